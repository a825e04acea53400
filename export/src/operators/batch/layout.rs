//! Operators that change shapes, repeat, join and cut.

use super::effect::{BatchAxis, BatchView, Effect, batch_axis};
use crate::graph::{Dim, Shape};
use crate::operators::types::{axis_ranges, permutation};

/// Transpose: the batch axis moves with the others.
pub(crate) fn transpose(node: &BatchView<'_>) -> Option<Effect> {
    let (batch, axes) = (node.first_input_only()?, permutation(&node.view).ok()?);
    let axis = axes.iter().position(|axis| *axis == batch.axis)?;
    Some(Effect::Independent(BatchAxis { axis, ..batch }))
}

/// A Reshape keeps the row-major order, so the numbers of elements before and after the index of an image stay the
/// same.
pub(crate) fn reshape(node: &BatchView<'_>) -> Option<Effect> {
    let batch = node.first_input_only()?;
    let (from, to) = (node.view.shape(0).ok()?, node.output()?);
    let inner_elements = |shape: &Shape, axis: usize| -> Option<usize> {
        shape.0[axis + 1..].iter().try_fold(1_usize, |product, dim| product.checked_mul(dim.fixed()?))
    };
    let inner = inner_elements(from, batch.axis)?.checked_mul(batch.inner)?;
    let axis = batch_axis(to)?;
    let (rest, size) = (inner_elements(to, axis)?, multiple(to.0[axis])?);
    if rest == 0 || !inner.is_multiple_of(rest) {
        return Some(Effect::Mixed);
    }
    let inner = inner / rest;
    let fits = inner > 0 && size.is_multiple_of(inner);
    Some(if fits { Effect::Independent(BatchAxis { axis, inner }) } else { Effect::Mixed })
}

/// Repetition adds copies of images in front of the others, never between them.
pub(crate) fn repeat(node: &BatchView<'_>) -> Option<Effect> {
    let batch = node.first_input_only()?;
    let (from, to) = (node.view.shape(0).ok()?, node.output()?);
    let axis = batch.axis + to.rank().checked_sub(from.rank())?;
    (batch_axis(to) == Some(axis)).then_some(Effect::Independent(BatchAxis { axis, ..batch }))
}

/// Concat: along another axis than the batch, or of batches.
pub(crate) fn concat(node: &BatchView<'_>) -> Option<Effect> {
    let (axis, batch) = (node.axis(0)?, node.common_axis()?);
    let all_depend = (0..node.view.node.inputs.len()).all(|index| node.batch(index).is_some());
    (axis != batch.axis || all_depend).then_some(Effect::Independent(batch))
}

/// Slice: the whole batch, or it chooses among the images.
pub(crate) fn slice(node: &BatchView<'_>) -> Option<Effect> {
    let batch = node.first_input_only()?;
    let range = *axis_ranges(&node.view).ok()?.get(batch.axis)?;
    let whole = range.start == 0 && range.step == 1;
    let same = node.view.shape(0).ok()?.0[batch.axis] == node.output()?.0[batch.axis];
    Some(if whole && same { Effect::Independent(batch) } else { Effect::Mixed })
}

/// Pad: of other axes than the batch.
pub(crate) fn pad(node: &BatchView<'_>) -> Option<Effect> {
    let batch = node.first_input_only()?;
    let rank = node.view.shape(0).ok()?.rank();
    let pads = node.view.ints(1).ok()?;
    let zero = |axis: usize| pads.get(axis) == Some(&0);
    let plain = pads.len() == 2 * rank && !node.view.has(3);
    (plain && zero(batch.axis) && zero(rank + batch.axis)).then_some(Effect::Independent(batch))
}

/// `k` of `k·N`.
fn multiple(dim: Dim) -> Option<usize> {
    match dim {
        Dim::Batch(k) => Some(k),
        Dim::Fixed(_) => None,
    }
}
