//! The adjoint of broadcasting: the sum over the axes that were stretched.

use super::broadcast::reshape;
use super::sums;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};

/// Sums a cotangent over the axes along which a value of shape `to` was broadcast, so that it has that shape.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when an axis of the batch would have to be summed: the
/// gradients of different images would mix.
pub(super) fn unbroadcast(builder: &mut Builder<'_>, cotangent: ValueId, to: &Shape) -> Result<ValueId> {
    let from = builder.graph().shape(cotangent)?.clone();
    let axes = stretched_axes(&from, to)?;
    let summed = if axes.is_empty() { cotangent } else { sums::sum(builder, cotangent, &axes)? };
    reshape(builder, summed, to)
}

/// Axes of `from` that are longer than those of `to`, aligned at the last axis.
fn stretched_axes(from: &Shape, to: &Shape) -> Result<Vec<usize>> {
    let extra = from
        .rank()
        .checked_sub(to.rank())
        .ok_or_else(|| Error::shape(format!("a cotangent of shape {from} for a value of shape {to}")))?;
    let target = |axis: usize| axis.checked_sub(extra).map_or(Dim::Fixed(1), |axis| to.0[axis]);
    let axes: Vec<usize> = (0..from.rank()).filter(|axis| from.0[*axis] != target(*axis)).collect();
    if let Some(axis) = axes.iter().find(|axis| from.0[**axis].fixed().is_none()) {
        return Err(Error::unsupported(format!(
            "axis {axis} of {from} is the batch and is shared by all images: gradients of different images would mix"
        )));
    }
    Ok(axes)
}
