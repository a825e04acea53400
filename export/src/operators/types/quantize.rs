//! Operators between numbers and the integers that stand for them.

use crate::error::{Error, Result};
use crate::facts::{NodeView, typed};
use crate::graph::{Dim, TensorType};
use crate::tensor::DataType;
use crate::tensor::quantised::{range, unknown_codes};

/// `QuantizeLinear(x, scale, zero point)`
pub(crate) fn quantize_linear(view: &NodeView) -> Result<Vec<TensorType>> {
    check_scale(view)?;
    let dtype = match (view.optional(2)?, view.int("output_dtype", 0)?) {
        (Some(zero_point), _) => zero_point.dtype,
        (None, 0) => DataType::Uint8,
        (None, number) => DataType::from_onnx(i32::try_from(number).unwrap_or_default())?,
    };
    check_codes(dtype)?;
    Ok(vec![TensorType { dtype, shape: view.shape(0)?.clone() }])
}

/// `DequantizeLinear(q, scale, zero point)`
pub(crate) fn dequantize_linear(view: &NodeView) -> Result<Vec<TensorType>> {
    check_scale(view)?;
    if view.dtype(0)? != DataType::Int32 {
        check_codes(view.dtype(0)?)?;
    }
    Ok(vec![TensorType { dtype: view.dtype(1)?, shape: view.shape(0)?.clone() }])
}

/// `DynamicQuantizeLinear(x)`: one scale and zero point for all of it, the whole batch.
pub(crate) fn dynamic_quantize_linear(view: &NodeView) -> Result<Vec<TensorType>> {
    let codes = TensorType { dtype: DataType::Uint8, shape: view.shape(0)?.clone() };
    Ok(vec![codes, typed(view.dtype(0)?, Vec::new()), typed(DataType::Uint8, Vec::new())])
}

fn check_codes(dtype: DataType) -> Result<()> {
    range(dtype).map(|_| ()).ok_or_else(|| unknown_codes(dtype))
}

/// One scale for all, or one for each index of an axis whose length is known.
fn check_scale(view: &NodeView) -> Result<()> {
    if view.int("block_size", 0)? != 0 {
        return Err(Error::unsupported(
            "has blockwise scales for activations: quantise only weights blockwise, or the model per channel",
        ));
    }
    let scale = view.shape(1)?;
    if scale.elements() == Some(Dim::Fixed(1)) {
        return Ok(());
    }
    let shape = view.shape(0)?;
    let length = shape.0[view.axis(1, shape.rank())?];
    if scale.rank() == 1 && scale.0[0] == length && length.fixed().is_some() {
        return Ok(());
    }
    Err(Error::shape(format!(
        "its scale is {scale}, wanted one number, or one for each of the {length} elements of an axis"
    )))
}
