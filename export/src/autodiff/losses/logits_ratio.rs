//! Difference of logits ratio, untargeted and targeted (Croce and Hein 2020).
//!
//! Both are `L = (z·d) / D`: the direction `d` is one-hot at the other class minus one-hot at the label, and
//! `D = Σ_r c_r z_(r)` weighs the largest logits `z_(r)`. Where those are equal, `D` is one, so that `L` is the margin;
//! the reference adds 1e-12 to `D` instead, which would decide alone where the logits have that scale. With `s` the
//! `[N, K]` rows that hold `c_r` at the class of rank `r`, the derivative by the logits is `(d − L·s) / D`.
//!
//! The graphs run on batches of tiny networks too, where a node costs more than its arithmetic. So ranks come from
//! one TopK, `d − L·s` is one scattered sum instead of a one-hot, a product and a difference, and everything between
//! has the few columns of the ranks. No class is masked by a number, so logits of any scale keep their ranks.

use super::one_hot::one_hot;
use crate::error::{Error, Result};
use crate::graph::{Attributes, Builder, ValueId};
use crate::tensor::Tensor;

/// `c` of `z_(1) − z_(3)`.
const DLR: &[f32] = &[1.0, 0.0, -1.0];

/// `c` of `z_(1) − ½(z_(3) + z_(4))`.
const TARGETED_DLR: &[f32] = &[1.0, 0.0, -0.5, -0.5];

/// `(max_{j≠y} z_j − z_y) / (z_(1) − z_(3))` `[N]` and its derivative by the logits `[N, K]`.
pub(super) fn dlr(
    builder: &mut Builder<'_>,
    logits: ValueId,
    labels: ValueId,
    classes: usize,
) -> Result<(ValueId, ValueId)> {
    let ranks = Ranks::find(builder, logits, DLR)?;
    let minus_label = one_hot(builder, labels, classes, -1.0)?; // [N, K]
    let competitor = competitor(builder, minus_label, &ranks)?; // [N, 3]
    let direction = ranks.scatter_add(builder, minus_label, competitor)?;
    ratio(builder, logits, direction, &ranks)
}

/// `(z_t − z_y) / (z_(1) − ½(z_(3) + z_(4)))` `[N]` and its derivative by the logits `[N, K]`.
pub(super) fn targeted_dlr(
    builder: &mut Builder<'_>,
    logits: ValueId,
    [labels, targets]: [ValueId; 2],
    classes: usize,
) -> Result<(ValueId, ValueId)> {
    let ranks = Ranks::find(builder, logits, TARGETED_DLR)?;
    let minus_label = one_hot(builder, labels, classes, -1.0)?; // [N, K]
    let target = one_hot(builder, targets, classes, 1.0)?;
    let direction = builder.op("Add", &[target, minus_label])?;
    ratio(builder, logits, direction, &ranks)
}

/// The largest logits of each image, in order, and how the denominator weighs them.
struct Ranks {
    /// `[N, R]`
    logits: ValueId,
    /// `[N, R]`
    classes: ValueId,
    /// `c`, one a rank.
    weights: &'static [f32],
}

impl Ranks {
    fn find(builder: &mut Builder<'_>, logits: ValueId, weights: &'static [f32]) -> Result<Self> {
        let count = builder.ints(&[weights.len() as i64]);
        let inputs = vec![Some(logits), Some(count)];
        match builder.node("TopK", inputs, Attributes::default(), 2)?[..] {
            [logits, classes] => Ok(Self { logits, classes, weights }),
            _ => Err(Error::format("TopK has two outputs")),
        }
    }

    /// `D`, `[N, 1]`.
    fn denominator(&self, builder: &mut Builder<'_>) -> Result<ValueId> {
        let weights = builder.constant(Tensor::from_f32(&[self.weights.len(), 1], self.weights));
        let (zero, one) = (builder.scalar(0.0), builder.scalar(1.0));
        let compared = builder.op("Gemm", &[self.logits, weights])?;
        let is_tie = builder.op("Equal", &[compared, zero])?;
        builder.op("Where", &[is_tie, one, compared])
    }

    /// `onto` `[N, K]` plus `values` `[N, R]`, each at the class of its rank.
    fn scatter_add(&self, builder: &mut Builder<'_>, onto: ValueId, values: ValueId) -> Result<ValueId> {
        let attributes = [("axis", 1.into()), ("reduction", "add".into())];
        builder.op_with("ScatterElements", &[onto, self.classes, values], attributes)
    }
}

/// One at the largest logit that is not the label's, which is the first or the second: `[N, 3]` by rank.
fn competitor(builder: &mut Builder<'_>, minus_label: ValueId, ranks: &Ranks) -> Result<ValueId> {
    let minus_is_label =
        builder.op_with("GatherElements", &[minus_label, ranks.classes], [("axis", 1.into())])?; // [N, 3]
    // (1, 0, 0), and where the first is the label (0, 1, 0).
    let first = builder.constant(Tensor::from_f32(&[3], &[1.0, 0.0, 0.0]));
    let shift = builder.constant(Tensor::from_f32(&[3, 3], &[1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
    builder.op("Gemm", &[minus_is_label, shift, first])
}

/// `L` and `(d − L·s) / D`.
fn ratio(
    builder: &mut Builder<'_>,
    logits: ValueId,
    direction: ValueId,
    ranks: &Ranks,
) -> Result<(ValueId, ValueId)> {
    let axis = builder.ints(&[1]);
    let picked = builder.op("Mul", &[logits, direction])?;
    let difference = builder.op_with("ReduceSum", &[picked, axis], [("keepdims", 1.into())])?; // [N, 1]
    let denominator = ranks.denominator(builder)?; // [N, 1]
    let ratio = builder.op("Div", &[difference, denominator])?; // [N, 1]
    let loss = builder.op("Squeeze", &[ratio, axis])?; // [N]

    let minus_weights: Vec<f32> = ranks.weights.iter().map(|weight| -weight).collect();
    let minus_weights = builder.constant(Tensor::from_f32(&[ranks.weights.len()], &minus_weights));
    let through_denominator = builder.op("Mul", &[ratio, minus_weights])?; // [N, R]
    let numerator = ranks.scatter_add(builder, direction, through_denominator)?; // [N, K]
    Ok((loss, builder.op("Div", &[numerator, denominator])?))
}
