//! Reductions.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, Shape, TensorType};
use crate::tensor::DataType;

/// What becomes of the axes that are reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduced {
    Kept,
    Dropped,
}

/// `ReduceMean` and its like, with `axes` as second input.
pub(crate) fn reduce(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    Ok(vec![typed(input.dtype, without(&input.shape, &reduced_axes(view)?, reduced(view)?))])
}

/// The axes that a reduction runs over.
pub(crate) fn reduced_axes(view: &NodeView) -> Result<BTreeSet<usize>> {
    let shape = view.shape(0)?;
    let axes = view.optional_ints(1)?.unwrap_or_default();
    if !axes.is_empty() {
        return axes.into_iter().map(|axis| shape.axis(axis)).collect();
    }
    let none = view.flag("noop_with_empty_axes", false)?;
    Ok(if none { BTreeSet::new() } else { (0..shape.rank()).collect() })
}

/// `ArgMax`, `ArgMin`
pub(crate) fn arg(view: &NodeView) -> Result<Vec<TensorType>> {
    let shape = view.shape(0)?;
    let axis = BTreeSet::from([view.axis(0, shape.rank())?]);
    Ok(vec![typed(DataType::Int64, without(shape, &axis, reduced(view)?))])
}

fn reduced(view: &NodeView) -> Result<Reduced> {
    Ok(if view.flag("keepdims", true)? { Reduced::Kept } else { Reduced::Dropped })
}

fn without(shape: &Shape, axes: &BTreeSet<usize>, reduced: Reduced) -> Vec<Dim> {
    let dims = shape.0.iter().enumerate();
    match reduced {
        Reduced::Kept => {
            dims.map(|(axis, dim)| if axes.contains(&axis) { Dim::Fixed(1) } else { *dim }).collect()
        }
        Reduced::Dropped => dims.filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| *dim).collect(),
    }
}
