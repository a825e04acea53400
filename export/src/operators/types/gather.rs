//! Gathers and scatters.

use crate::error::{Error, Result};
use crate::facts::{NodeView, fixed, typed};
use crate::graph::{Shape, TensorType};
use crate::tensor::DataType;

/// `Gather(x, indices)`: the axis is replaced by the axes of the indices.
pub(crate) fn gather(view: &NodeView) -> Result<Vec<TensorType>> {
    let (input, indices) = (view.input(0)?, indices(view)?);
    let axis = view.axis(0, input.shape.rank())?;
    let (before, after) = (&input.shape.0[..axis], &input.shape.0[axis + 1..]);
    Ok(vec![typed(input.dtype, [before, &indices.0, after].concat())])
}

/// `GatherElements(x, indices)`
pub(crate) fn gather_elements(view: &NodeView) -> Result<Vec<TensorType>> {
    let (input, indices) = (view.input(0)?, indices(view)?);
    let axis = view.axis(0, input.shape.rank())?;
    check_beside(&input.shape, indices, axis)?;
    Ok(vec![typed(input.dtype, indices.0.clone())])
}

/// `GatherND(x, indices)`
pub(crate) fn gather_nd(view: &NodeView) -> Result<Vec<TensorType>> {
    let (input, indices) = (view.input(0)?, indices(view)?);
    let batch_dims = view.int("batch_dims", 0)?;
    let misfit =
        || Error::shape(format!("indices {indices} do not fit {} with batch_dims {batch_dims}", input.shape));
    let batch = usize::try_from(batch_dims).map_err(|_| misfit())?;
    let (depth, outer) = indices.0.split_last().ok_or_else(misfit)?;
    let depth = fixed(*depth, "the last axis of the indices")?;
    let rest = depth.checked_add(batch).and_then(|from| input.shape.0.get(from..)).ok_or_else(misfit)?;
    if outer.get(..batch) != input.shape.0.get(..batch) {
        return Err(misfit());
    }
    Ok(vec![typed(input.dtype, [outer, rest].concat())])
}

/// `ScatterElements(x, indices, updates)`
pub(crate) fn scatter_elements(view: &NodeView) -> Result<Vec<TensorType>> {
    let (input, indices, updates) = (view.input(0)?, indices(view)?, view.shape(2)?);
    let axis = view.axis(0, input.shape.rank())?;
    check_rank(&input.shape, indices)?;
    input.shape.axis(axis as i64)?;
    if updates != indices {
        return Err(Error::shape(format!("updates {updates} for indices {indices}")));
    }
    Ok(vec![input.clone()])
}

/// `ScatterND(x, indices, updates)`
pub(crate) fn scatter_nd(view: &NodeView) -> Result<Vec<TensorType>> {
    let (input, indices, updates) = (view.input(0)?, indices(view)?, view.shape(2)?);
    let misfit =
        || Error::shape(format!("indices {indices} and updates {updates} do not fit {}", input.shape));
    let (depth, outer) = indices.0.split_last().ok_or_else(misfit)?;
    let rest = input.shape.0.get(fixed(*depth, "the last axis of the indices")?..).ok_or_else(misfit)?;
    if updates.0 != [outer, rest].concat() {
        return Err(misfit());
    }
    Ok(vec![input.clone()])
}

fn indices<'a>(view: &NodeView<'a>) -> Result<&'a Shape> {
    match view.dtype(1)? {
        DataType::Int32 | DataType::Int64 => view.shape(1),
        other => Err(Error::shape(format!("indices are {other}, wanted i32 or i64"))),
    }
}

fn check_rank(input: &Shape, indices: &Shape) -> Result<()> {
    if input.rank() == indices.rank() {
        return Ok(());
    }
    Err(Error::shape(format!("indices {indices} and input {input} have different numbers of axes")))
}

fn check_beside(input: &Shape, indices: &Shape, axis: usize) -> Result<()> {
    check_rank(input, indices)?;
    let larger = |(other, (wanted, found)): (usize, (_, _))| other != axis && wanted != found;
    let fixed_pairs = input.0.iter().zip(&indices.0).map(|(a, b)| (a.fixed(), b.fixed()));
    // ONNX allows fewer indices than elements on the other axes.
    match fixed_pairs.enumerate().filter(|pair| larger(*pair)).find(|(_, (a, b))| a.is_none() || a < b) {
        Some(_) => Err(Error::shape(format!("indices {indices} reach beyond {input}"))),
        None => Ok(()),
    }
}
