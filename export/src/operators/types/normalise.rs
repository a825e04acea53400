//! Normalisations.

use super::broadcast::broadcast;
use crate::error::{Error, Result};
use crate::facts::{NodeView, fixed};
use crate::graph::{Dim, Shape, TensorType};
use crate::tensor::DataType;

/// `BatchNormalization(x, scale, bias, mean, variance)` in inference mode.
pub(crate) fn batch(view: &NodeView) -> Result<Vec<TensorType>> {
    if view.flag("training_mode", false)? {
        return Err(Error::unsupported(
            "normalises with the statistics of the batch (training_mode = 1), so the images of a batch influence \
             each other; export the model in inference mode",
        ));
    }
    per_channel(view, 1..5)
}

/// `InstanceNormalization(x, scale, bias)`
pub(crate) fn instance(view: &NodeView) -> Result<Vec<TensorType>> {
    per_channel(view, 1..3)
}

fn per_channel(view: &NodeView, parameters: std::ops::Range<usize>) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let channels = channels(&input.shape)?;
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

fn channels(shape: &Shape) -> Result<usize> {
    match shape.0.get(1) {
        Some(dim) => fixed(*dim, "the number of channels"),
        None => Err(Error::shape(format!("the input is {shape}, wanted [N, C, …]"))),
    }
}

/// `GroupNormalization(x, scale, bias)`: the parameters are one per group before opset 21, one per channel from then
/// on.
pub(crate) fn group(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let channels = channels(&input.shape)?;
    let groups = view.int("num_groups", 0)?;
    let groups =
        usize::try_from(groups).ok().filter(|groups| *groups > 0 && channels.is_multiple_of(*groups));
    let groups = groups.ok_or_else(|| {
        Error::format(format!(
            "attribute `num_groups` does not divide the {channels} channels of {}",
            input.shape
        ))
    })?;
    for index in [1, 2] {
        let shape = view.shape(index)?;
        if *shape != Shape::fixed(&[channels]) && *shape != Shape::fixed(&[groups]) {
            return Err(Error::shape(format!("input {index} is {shape}, wanted [{channels}] or [{groups}]")));
        }
    }
    Ok(vec![input.clone()])
}

/// `LRN(x)` works across channels.
pub(crate) fn across_channels(view: &NodeView) -> Result<Vec<TensorType>> {
    channels(view.shape(0)?)?;
    Ok(vec![view.input(0)?.clone()])
}

/// `MeanVarianceNormalization(x)`: `axes` must exist.
pub(crate) fn over_axes(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let axes = view.node.attributes.ints("axes")?.unwrap_or(&[0, 2, 3]);
    axes.iter().try_for_each(|axis| input.shape.axis(*axis).map(|_| ()))?;
    Ok(vec![input.clone()])
}

/// `RMSNormalization(x, scale)`
pub(crate) fn root_mean_square(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    check_parameters(view, &[1])?;
    Ok(vec![input.clone()])
}

/// `LayerNormalization(x, scale, bias)`: the result, the mean and the inverse standard deviation.
pub(crate) fn layer(view: &NodeView) -> Result<Vec<TensorType>> {
    let input = view.input(0)?;
    let axis = check_parameters(view, &[1, 2])?;
    let mut statistics = input.shape.clone();
    statistics.0[axis..].fill(Dim::Fixed(1));
    let statistics = TensorType { dtype: DataType::Float32, shape: statistics };
    Ok(vec![input.clone(), statistics.clone(), statistics])
}

/// The first axis that is normalised, after a check that the parameters broadcast to what is.
fn check_parameters(view: &NodeView, parameters: &[usize]) -> Result<usize> {
    let input = view.input(0)?;
    let axis = view.axis(-1, input.shape.rank())?;
    let normalised = Shape(input.shape.0[axis..].to_vec());
    view.input(1)?;
    for index in parameters.iter().copied() {
        let Some(parameter) = view.optional(index)? else { continue };
        if broadcast(&normalised, &parameter.shape).ok().as_ref() != Some(&normalised) {
            return Err(Error::shape(format!(
                "input {index} is {}, which does not broadcast to {normalised}",
                parameter.shape
            )));
        }
    }
    Ok(axis)
}
