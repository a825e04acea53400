//! OneHot, TopK and NonZero.

use crate::error::{Error, Result};
use crate::facts::Content;
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, TensorType, normalise_axis};
use crate::tensor::DataType;

/// `OneHot(indices, depth, values)`: a new axis of length `depth`.
pub(crate) fn one_hot(view: &NodeView) -> Result<Vec<TensorType>> {
    let indices = view.shape(0)?;
    let axis = normalise_axis(view.int("axis", -1)?, indices.rank() + 1)?;
    let depth = depth(view)?;
    let mut dims = indices.0.clone();
    dims.insert(axis, Dim::Fixed(depth));
    Ok(vec![typed(view.dtype(2)?, dims)])
}

/// The number of classes, which may be a floating-point number.
fn depth(view: &NodeView) -> Result<usize> {
    let numbers = match view.content(1).as_deref() {
        Some(Content::Float(array)) => array.elements().iter().map(|value| *value as i64).collect(),
        _ => view.ints(1)?,
    };
    match numbers[..] {
        [depth] if depth > 0 => Ok(depth as usize),
        ref other => Err(Error::shape(format!("the depth is {other:?}, wanted one positive number"))),
    }
}

/// `TopK(x, k)`: the largest (or smallest) values, and their indices.
pub(crate) fn top_k(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let axis = view.axis(-1, input.shape.rank())?;
    let count = view.ints(1)?;
    let available = input.shape.0[axis];
    let count = match count[..] {
        [count] if count >= 0 && available.fixed().is_none_or(|available| count as usize <= available) => {
            count as usize
        }
        _ => return Err(Error::shape(format!("takes the top {count:?} of axis {axis} of {}", input.shape))),
    };
    let mut dims = input.shape.0.clone();
    dims[axis] = Dim::Fixed(count);
    Ok(vec![typed(input.dtype, dims.clone()), typed(DataType::Int64, dims)])
}

/// `NonZero(x)`: the positions of the elements that are not zero, one column each.
pub(crate) fn non_zero(view: &NodeView) -> Result<Vec<TensorType>> {
    let rank = view.shape(0)?.rank();
    let positions = view.content(0).as_deref().and_then(Content::non_zero);
    let count = positions.ok_or_else(|| view.undetermined(0))?.len();
    Ok(vec![typed(DataType::Int64, vec![Dim::Fixed(rank), Dim::Fixed(count)])])
}
