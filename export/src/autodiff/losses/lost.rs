//! Scores of -∞, which losses cannot compare: 0·∞ and ∞ - ∞ are not numbers.

use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// The logits `[N, K]` with a finite number in place of -∞: the least finite logit of the image, less `distance`.
pub(super) fn with_finite_scores(
    builder: &mut Builder<'_>,
    logits: ValueId,
    distance: f32,
) -> Result<ValueId> {
    let (least, most) = (builder.scalar(f32::MIN), builder.scalar(f32::MAX));
    let is_lost = builder.op("Less", &[logits, least])?;
    let raised = builder.op("Where", &[is_lost, most, logits])?;
    let axis = builder.ints(&[1]);
    let least = builder.op_with("ReduceMin", &[raised, axis], [("keepdims", 1.into())])?; // [N, 1]
    let distance = builder.scalar(distance);
    let stand_in = builder.op("Sub", &[least, distance])?;
    builder.op("Where", &[is_lost, stand_in, logits])
}
