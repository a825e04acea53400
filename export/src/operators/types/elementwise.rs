//! Operators whose output has the shape of their first input.

use crate::error::{Error, Result};
use crate::facts::NodeView;
use crate::graph::{Dim, TensorType};
use crate::tensor::DataType;

/// The output has the type and shape of the first input.
pub(crate) fn unary(view: &NodeView) -> Result<Vec<TensorType>> {
    Ok(vec![view.input(0)?.clone()])
}

/// `Clip(x, min, max)`: the bounds are scalars.
pub(crate) fn clip(view: &NodeView) -> Result<Vec<TensorType>> {
    for index in [1, 2] {
        if let Some(bound) =
            view.optional(index)?.filter(|bound| bound.shape.elements() != Some(Dim::Fixed(1)))
        {
            return Err(Error::shape(format!("input {index} is {}, wanted a scalar", bound.shape)));
        }
    }
    unary(view)
}

/// `Dropout(x, ratio, training_mode)`.
pub(crate) fn dropout(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?.clone();
    let mask = TensorType { dtype: DataType::Bool, shape: input.shape.clone() };
    Ok(vec![input, mask])
}

/// Softmax and its like: `axis` must exist.
pub(crate) fn along_axis(view: &NodeView) -> Result<Vec<TensorType>> {
    view.axis(-1, view.shape(0)?.rank())?;
    unary(view)
}

/// `Cast`
pub(crate) fn cast(view: &NodeView) -> Result<Vec<TensorType>> {
    let number = view.int("to", 0)?;
    let number = i32::try_from(number).map_err(|_| Error::format(format!("attribute `to` is {number}")))?;
    Ok(vec![TensorType { dtype: DataType::from_onnx(number)?, shape: view.shape(0)?.clone() }])
}

/// The output is `bool`.
pub(crate) fn predicate(view: &NodeView) -> Result<Vec<TensorType>> {
    Ok(vec![TensorType { dtype: DataType::Bool, shape: view.shape(0)?.clone() }])
}

/// `CastLike(x, y)`: the type of `y`.
pub(crate) fn cast_like(view: &NodeView) -> Result<Vec<TensorType>> {
    Ok(vec![TensorType { dtype: view.dtype(1)?, shape: view.shape(0)?.clone() }])
}

/// `Trilu(x, k)`: the triangle of a matrix, or of each of a stack.
pub(crate) fn triangle(view: &NodeView) -> Result<Vec<TensorType>> {
    let shape = view.shape(0)?;
    if shape.rank() < 2 {
        return Err(Error::shape(format!("the input is {shape}, wanted two dimensions or more")));
    }
    unary(view)
}
