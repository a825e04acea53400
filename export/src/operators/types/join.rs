//! Concat and Split.

use crate::error::{Error, Result};
use crate::facts::Symbol;
use crate::facts::{NodeView, fixed, typed};
use crate::graph::{Dim, Shape, TensorType};

/// `Concat`: all axes but one agree.
pub(crate) fn concat(view: &NodeView) -> Result<Vec<TensorType>> {
    let (first, rest) = (view.input(0)?, view.inputs()?);
    let axis = view.axis(0, first.shape.rank())?;
    let mut joined = first.shape.clone();
    for other in &rest[1..] {
        joined = join(&joined, &other.shape, axis)?;
        if other.dtype != first.dtype {
            return Err(Error::shape(format!("joins {} and {}", first.dtype, other.dtype)));
        }
    }
    Ok(vec![TensorType { dtype: first.dtype, shape: joined }])
}

fn join(left: &Shape, right: &Shape, axis: usize) -> Result<Shape> {
    let misfit = || Error::shape(format!("shapes {left} and {right} do not join along axis {axis}"));
    let agree = left.rank() == right.rank()
        && left.0.iter().zip(&right.0).enumerate().all(|(other, (a, b))| other == axis || a == b);
    if !agree {
        return Err(misfit());
    }
    let mut joined = left.clone();
    joined.0[axis] = Symbol::from(left.0[axis]).plus(right.0[axis].into()).dim().ok_or_else(misfit)?;
    Ok(joined)
}

/// `Split(x, sizes)`, or `num_outputs` equal parts of which the last may be smaller.
pub(crate) fn split(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let axis = view.axis(0, input.shape.rank())?;
    let part = |size| {
        let mut dims = input.shape.0.clone();
        dims[axis] = Dim::Fixed(size);
        typed(input.dtype, dims)
    };
    Ok(split_sizes(view, axis)?.into_iter().map(part).collect())
}

/// Sizes of the parts of a Split along `axis`.
pub(crate) fn split_sizes(view: &NodeView, axis: usize) -> Result<Vec<usize>> {
    let shape = view.shape(0)?;
    let total = fixed(shape.0[axis], "the axis that is split")?;
    let outputs = view.node.outputs.len();
    let sizes: Vec<usize> = match view.optional_ints(1)? {
        Some(stated) => stated.iter().filter_map(|size| usize::try_from(*size).ok()).collect(),
        None => {
            let parts = view.int("num_outputs", outputs as i64)?;
            // More parts than outputs are refused before they are listed: a file may state any number.
            let parts_are_outputs = usize::try_from(parts) == Ok(outputs);
            let sizes = if parts_are_outputs { equal_parts(total, outputs) } else { None };
            sizes.ok_or_else(|| Error::shape(format!("{total} elements do not make {parts} parts")))?
        }
    };
    if sizes.len() != outputs
        || sizes.iter().try_fold(0_usize, |sum, size| sum.checked_add(*size)) != Some(total)
    {
        return Err(Error::shape(format!("{outputs} parts of sizes {sizes:?} for axis {axis} of {shape}")));
    }
    Ok(sizes)
}

fn equal_parts(total: usize, parts: usize) -> Option<Vec<usize>> {
    if parts == 0 || parts > total.max(1) {
        return None;
    }
    let size = total.div_ceil(parts);
    (0..parts).map(|part| total.checked_sub(part * size).map(|rest| rest.min(size))).collect()
}
