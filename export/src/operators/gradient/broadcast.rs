//! Shapes of cotangents: repeating a value along axes where it has one element, and reshaping.

use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};

/// Repeats a value whose axes are `1` or full along the axes where it is `1`, so that it has shape `to`.
///
/// The target of the Expand holds a `1` for the batch, which the value has already: so `N` need not be known.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when the batch itself would have to be repeated.
pub(super) fn expand(builder: &mut Builder<'_>, value: ValueId, to: &Shape) -> Result<ValueId> {
    let from = builder.graph().shape(value)?.clone();
    if from == *to {
        return Ok(value);
    }
    let repeats_batch = |(from, to): (&Dim, &Dim)| to.fixed().is_none() && from != to;
    if from.rank() != to.rank() || from.0.iter().zip(&to.0).any(repeats_batch) {
        return Err(Error::unsupported(format!("a gradient of shape {from} cannot be repeated to {to}")));
    }
    let target: Vec<i64> = to.0.iter().map(|dim| dim.fixed().map_or(1, |size| size as i64)).collect();
    let target = builder.ints(&target);
    builder.op("Expand", &[value, target])
}

/// Reshape to a shape with at most one batch dimension; a constant is reshaped now, an equal shape left alone.
///
/// # Errors
/// As [`Shape::reshape_target`].
pub(super) fn reshape(builder: &mut Builder<'_>, value: ValueId, to: &Shape) -> Result<ValueId> {
    if builder.graph().shape(value)? == to {
        return Ok(value);
    }
    if let (Some(constant), Some(dims)) = (builder.graph().constant(value), to.to_fixed()) {
        let reshaped = constant.with_dims(dims)?;
        return Ok(builder.constant(reshaped));
    }
    let target = builder.ints(&to.reshape_target()?);
    builder.op("Reshape", &[value, target])
}
