//! Numbers in float64.

use crate::graph::{Builder, ValueId};
use crate::tensor::Tensor;

/// Adds a float64 scalar.
pub(super) fn number(builder: &mut Builder<'_>, value: f64) -> ValueId {
    builder.constant(Tensor::scalar_f64(value))
}
