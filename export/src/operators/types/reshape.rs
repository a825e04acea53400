//! Operators that keep the elements and their order.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::facts::Symbol;
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, Shape, TensorType, normalise_axis};

/// `Reshape(x, target)`: `0` copies a dimension (unless `allowzero`), one `-1` is what remains.
pub(crate) fn reshape(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let target = view.symbols(1)?;
    let allow_zero = view.flag("allowzero", false)?;
    let copied = |axis: usize| {
        input.shape.0.get(axis).copied().ok_or_else(|| {
            Error::shape(format!("the target copies axis {axis}, but the input is {}", input.shape))
        })
    };
    let mut dims = Vec::with_capacity(target.len());
    for (axis, symbol) in target.into_iter().enumerate() {
        dims.push(match symbol {
            Symbol::Int(0) if !allow_zero => Some(copied(axis)?),
            Symbol::Int(-1) | Symbol::Unknown => None,
            known => {
                Some(known.dim().ok_or_else(|| Error::shape(format!("the target has a size of {known:?}")))?)
            }
        });
    }
    let unknown = dims.iter().filter(|dim| dim.is_none()).count();
    if unknown > 1 {
        return Err(view.undetermined(1));
    }
    Ok(vec![typed(input.dtype, fill(&input.shape, &dims)?)])
}

/// Fills the one dimension that is open with what remains of the input's elements.
fn fill(input: &Shape, dims: &[Option<Dim>]) -> Result<Vec<Dim>> {
    let shown = || {
        let dims: Vec<String> =
            dims.iter().map(|dim| dim.map_or("-1".to_owned(), |dim| dim.to_string())).collect();
        Error::shape(format!("input {input} does not fill the target [{}]", dims.join(", ")))
    };
    let total = input.elements().ok_or_else(shown)?;
    let stated = Shape(dims.iter().flatten().copied().collect()).elements().ok_or_else(shown)?;
    // Zero elements leave an open dimension undetermined, and 0/0 is refused by `divided_by`.
    let rest = total.divided_by(stated);
    match (dims.iter().all(Option::is_some), rest) {
        (true, _) if total == stated => Ok(dims.iter().flatten().copied().collect()),
        (false, Some(rest)) => Ok(dims.iter().map(|dim| dim.unwrap_or(rest)).collect()),
        _ => Err(shown()),
    }
}

/// `Flatten`: everything before `axis`, times everything from it on.
pub(crate) fn flatten(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let (axis, rank) = (view.int("axis", 1)?, input.shape.rank());
    let axis = if axis == rank as i64 { rank } else { normalise_axis(axis, rank)? };
    let product = |dims: &[Dim]| {
        let product = Shape(dims.to_vec()).elements();
        product.ok_or_else(|| Error::shape(format!("the product of {} has no value", input.shape)))
    };
    let dims = vec![product(&input.shape.0[..axis])?, product(&input.shape.0[axis..])?];
    Ok(vec![typed(input.dtype, dims)])
}

/// `Squeeze(x, axes)`: those axes must be ones; without `axes`, all ones go.
pub(crate) fn squeeze(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let is_one = |axis: &usize| input.shape.0[*axis] == Dim::Fixed(1);
    let axes: BTreeSet<usize> = match view.optional_ints(1)? {
        Some(axes) => axes.into_iter().map(|axis| input.shape.axis(axis)).collect::<Result<_>>()?,
        None => (0..input.shape.rank()).filter(is_one).collect(),
    };
    if let Some(axis) = axes.iter().find(|axis| !is_one(axis)) {
        return Err(Error::shape(format!("axis {axis} of {} is not 1", input.shape)));
    }
    let kept = input.shape.0.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| *dim);
    Ok(vec![typed(input.dtype, kept.collect())])
}

/// `Unsqueeze(x, axes)`: axes count in the output.
pub(crate) fn unsqueeze(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let added = view.ints(1)?;
    let rank = input.shape.rank() + added.len();
    let axes: BTreeSet<usize> =
        added.iter().map(|axis| normalise_axis(*axis, rank)).collect::<Result<_>>()?;
    if axes.len() != added.len() {
        return Err(Error::format(format!("axes {added:?} repeat")));
    }
    let mut own = input.shape.0.iter().copied();
    let dims =
        (0..rank).filter_map(|axis| if axes.contains(&axis) { Some(Dim::Fixed(1)) } else { own.next() });
    Ok(vec![typed(input.dtype, dims.collect())])
}
