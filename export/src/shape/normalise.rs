//! Normalisations.

use super::broadcast::broadcast;
use super::view::{NodeView, fixed};
use crate::error::{Error, Result};
use crate::graph::{Dim, Shape, TensorType};
use crate::tensor::DataType;

/// `BatchNormalization(x, scale, bias, mean, variance)` in inference mode.
pub(super) fn batch(view: &NodeView) -> Result<Vec<TensorType>> {
    if view.flag("training_mode", false)? {
        return Err(Error::unsupported(
            "normalises with the statistics of the batch (training_mode = 1), so that the images of a batch \
             influence each other; export the model in inference mode",
        ));
    }
    per_channel(view, 1..5)
}

/// `InstanceNormalization(x, scale, bias)`
pub(super) fn instance(view: &NodeView) -> Result<Vec<TensorType>> {
    per_channel(view, 1..3)
}

fn per_channel(view: &NodeView, parameters: std::ops::Range<usize>) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let channels = match input.shape.0.get(1) {
        Some(dim) => fixed(*dim, "the number of channels")?,
        None => return Err(Error::shape(format!("the input is {}, wanted [N, C, …]", input.shape))),
    };
    for index in parameters {
        let shape = view.shape(index)?;
        if *shape != Shape::fixed(&[channels]) {
            return Err(Error::shape(format!(
                "input {index} is {shape}, wanted [{channels}] as input 0 is {}",
                input.shape
            )));
        }
    }
    Ok(vec![input.clone()])
}

/// `LayerNormalization(x, scale, bias)`: the result, the mean and the inverse standard deviation.
pub(super) fn layer(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let axis = view.axis(-1, input.shape.rank())?;
    let normalised = Shape(input.shape.0[axis..].to_vec());
    view.input(1)?;
    for index in [1, 2] {
        let Some(parameter) = view.optional(index)? else { continue };
        if broadcast(&normalised, &parameter.shape).ok().as_ref() != Some(&normalised) {
            return Err(Error::shape(format!(
                "input {index} is {}, which does not broadcast to {normalised}",
                parameter.shape
            )));
        }
    }
    let mut statistics = input.shape.clone();
    statistics.0[axis..].fill(Dim::Fixed(1));
    let statistics = TensorType { dtype: DataType::Float32, shape: statistics };
    Ok(vec![input.clone(), statistics.clone(), statistics])
}
