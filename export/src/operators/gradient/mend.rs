//! Keeps what a rule computes finite where its node may spoil it: 0·∞ is zero, and an infinite slope keeps its sign.
//!
//! A contribution that is NaN becomes zero: it comes from a cotangent of zero, as that of a branch that is not taken
//! (the "double where" of JAX's documentation), or from an argument outside of the operator's domain, where there is
//! no derivative. An infinite one becomes [`HUGE`], so that it outweighs the others and still meets no other infinity.

use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// Stands for an infinite slope: far above any other, and its square is finite.
const HUGE: f32 = 1e18;

/// The contribution with finite elements only.
pub(super) fn mend(builder: &mut Builder<'_>, contribution: ValueId) -> Result<ValueId> {
    let zero = builder.scalar(0.0);
    // NaN alone differs from itself.
    let is_number = builder.op("Equal", &[contribution, contribution])?;
    let numbers = builder.op("Where", &[is_number, contribution, zero])?;
    let (least, greatest) = (builder.scalar(-HUGE), builder.scalar(HUGE));
    builder.op("Clip", &[numbers, least, greatest])
}
