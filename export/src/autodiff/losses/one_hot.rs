//! Class indices as rows.

use crate::error::Result;
use crate::graph::{Builder, ValueId};
use crate::tensor::Tensor;

/// One row a class index in `classes`: `on` at the class, zero elsewhere.
pub(super) fn one_hot(
    builder: &mut Builder<'_>,
    indices: ValueId,
    classes: usize,
    on: f32,
) -> Result<ValueId> {
    let depth = builder.constant(Tensor::vector_i64(&[classes as i64]));
    let off_on = builder.constant(Tensor::from_f32(&[2], &[0.0, on]));
    builder.op("OneHot", &[indices, depth, off_on]) // [N, K]
}
