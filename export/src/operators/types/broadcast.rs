//! Operators that broadcast their inputs against each other.

use crate::error::{Error, Result};
use crate::facts::NodeView;
use crate::graph::{Dim, Shape, TensorType};
use crate::tensor::DataType;

/// Inputs and output have one type.
pub(crate) fn same_type(view: &NodeView) -> Result<Vec<TensorType>> {
    let inputs = view.inputs()?;
    let dtype = view.dtype(0)?;
    check_types(&inputs, dtype)?;
    Ok(vec![TensorType { dtype, shape: all(&inputs)? }])
}

/// The output has the type of the first input.
pub(crate) fn type_of_the_first(view: &NodeView) -> Result<Vec<TensorType>> {
    Ok(vec![TensorType { dtype: view.dtype(0)?, shape: all(&view.inputs()?)? }])
}

/// Inputs that broadcast to the first, whose type the output has: operators of our own.
pub(crate) fn like_the_first(view: &NodeView) -> Result<Vec<TensorType>> {
    let first = view.input(0)?;
    for input in view.inputs()? {
        if broadcast(&first.shape, &input.shape)? != first.shape {
            return Err(Error::shape(format!("{} does not broadcast to {}", input.shape, first.shape)));
        }
    }
    Ok(vec![first.clone()])
}

/// Two outputs of the type and shape of the first input, to which the others broadcast.
pub(crate) fn with_slope(view: &NodeView) -> Result<Vec<TensorType>> {
    let outputs = like_the_first(view)?;
    Ok([&outputs[..], &outputs[..]].concat())
}

/// Inputs have one type, the output is `bool`.
pub(crate) fn comparison(view: &NodeView) -> Result<Vec<TensorType>> {
    let inputs = view.inputs()?;
    check_types(&inputs, view.dtype(0)?)?;
    Ok(vec![TensorType { dtype: DataType::Bool, shape: all(&inputs)? }])
}

/// `Where(condition, then, otherwise)`
pub(crate) fn where_(view: &NodeView) -> Result<Vec<TensorType>> {
    let inputs = view.inputs()?;
    check_types(&inputs[..1.min(inputs.len())], DataType::Bool)?;
    let dtype = view.dtype(1)?;
    check_types(inputs.get(1..).unwrap_or_default(), dtype)?;
    Ok(vec![TensorType { dtype, shape: all(&inputs)? }])
}

/// The shape that both broadcast to.
pub(crate) fn broadcast(left: &Shape, right: &Shape) -> Result<Shape> {
    let rank = left.rank().max(right.rank());
    let dim = |shape: &Shape, axis: usize| match (axis + shape.rank()).checked_sub(rank) {
        Some(own_axis) => shape.0[own_axis],
        None => Dim::Fixed(1),
    };
    (0..rank)
        .map(|axis| match (dim(left, axis), dim(right, axis)) {
            (a, b) if a == b => Ok(a),
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Ok(other),
            _ => Err(Error::shape(format!("shapes {left} and {right} do not broadcast"))),
        })
        .collect::<Result<Vec<Dim>>>()
        .map(Shape)
}

fn all(inputs: &[&TensorType]) -> Result<Shape> {
    inputs.iter().try_fold(Shape::default(), |shape, input| broadcast(&shape, &input.shape))
}

fn check_types(inputs: &[&TensorType], wanted: DataType) -> Result<()> {
    match inputs.iter().find(|input| input.dtype != wanted) {
        Some(other) => Err(Error::shape(format!("an input is {}, wanted {wanted}", other.dtype))),
        None => Ok(()),
    }
}
