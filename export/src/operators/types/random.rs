//! Operators that draw numbers.

use crate::error::{Error, Result};
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, Shape, TensorType};
use crate::tensor::DataType;

/// `RandomNormal` and `RandomUniform`: the shape is an attribute.
pub(crate) fn of_shape(view: &NodeView) -> Result<Vec<TensorType>> {
    let wanted = || Error::format("attribute `shape` is missing or holds a negative number");
    let stated = view.node.attributes.ints("shape")?.ok_or_else(wanted)?;
    let dims: Option<Vec<usize>> = stated.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    Ok(vec![TensorType {
        dtype: dtype(view, DataType::Float32)?,
        shape: Shape::fixed(&dims.ok_or_else(wanted)?),
    }])
}

/// `RandomNormalLike`, `RandomUniformLike` and `Bernoulli`: the shape and, unless told, the type of the input.
pub(crate) fn like(view: &NodeView) -> Result<Vec<TensorType>> {
    let TensorType { dtype: own, shape } = view.input(0)?.clone();
    Ok(vec![TensorType { dtype: dtype(view, own)?, shape }])
}

/// `Multinomial(log p)`: `sample_size` classes for each row of `[N, K]`.
pub(crate) fn multinomial(view: &NodeView) -> Result<Vec<TensorType>> {
    let rows = view.of_rank(0, 2)?.0[0];
    let samples = view.int("sample_size", 1)?;
    let samples = usize::try_from(samples).map_err(|_| {
        Error::format(format!("attribute `sample_size` is {samples}, wanted a positive number"))
    })?;
    Ok(vec![typed(dtype(view, DataType::Int32)?, vec![rows, Dim::Fixed(samples)])])
}

/// The type that the attribute `dtype` names.
fn dtype(view: &NodeView, default: DataType) -> Result<DataType> {
    let number = view.int("dtype", default as i64)?;
    let number =
        i32::try_from(number).map_err(|_| Error::format(format!("attribute `dtype` is {number}")))?;
    DataType::from_onnx(number)
}
