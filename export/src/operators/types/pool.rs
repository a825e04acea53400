//! Pooling.

use super::window::{Rounding, Windows, kernel_shape};
use crate::error::{Error, Result};
use crate::facts::NodeView;
use crate::graph::{Dim, Shape, TensorType};
use crate::tensor::DataType;

/// `MaxPool`: the maxima, and optionally their flat indices.
pub(crate) fn max_pool(view: &NodeView) -> Result<Vec<TensorType>> {
    let pooled = pooled(view)?;
    let indices = TensorType { dtype: DataType::Int64, shape: pooled.shape.clone() };
    Ok(vec![pooled, indices])
}

/// `AveragePool`, `LpPool`
pub(crate) fn average_pool(view: &NodeView) -> Result<Vec<TensorType>> {
    Ok(vec![pooled(view)?])
}

/// `GlobalAveragePool`, `GlobalMaxPool`: spatial axes become ones.
pub(crate) fn global(view: &NodeView) -> Result<Vec<TensorType>> {
    let mut pooled = view.input(0)?.clone();
    check_images(&pooled.shape)?;
    pooled.shape.0[2..].fill(Dim::Fixed(1));
    Ok(vec![pooled])
}

fn pooled(view: &NodeView) -> Result<TensorType> {
    let mut pooled = view.input(0)?.clone();
    check_images(&pooled.shape)?;
    let kernel = kernel_shape(view)?.ok_or_else(|| Error::format("attribute `kernel_shape` is missing"))?;
    let rounding = if view.flag("ceil_mode", false)? { Rounding::Ceil } else { Rounding::Floor };
    let spatial = Windows::new(view, kernel)?.output(&pooled.shape.0[2..], rounding)?;
    pooled.shape.0.splice(2.., spatial);
    Ok(pooled)
}

fn check_images(shape: &Shape) -> Result<()> {
    if shape.rank() < 3 {
        return Err(Error::shape(format!("the input is {shape}, wanted [N, C, …] with spatial axes")));
    }
    Ok(())
}
