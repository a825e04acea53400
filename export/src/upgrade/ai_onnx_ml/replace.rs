//! Imputer and Binarizer: they replace values.

use super::inputs::{FeatureRows, feature_rows, floats, to_float32};
use crate::error::{Error, Result};
use crate::graph::{Builder, Node, ValueId};
use crate::tensor::{DataType, Tensor};

/// Imputer: replaces the value that marks a missing feature. If the number of imputed values is not that of the
/// features, the first is used for all, as ONNX Runtime does.
pub(super) fn impute(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let found = builder.graph().tensor_type(node.input(0)?)?.dtype;
    let imputed = floats(node, "imputed_value_floats")?;
    if found != DataType::Float32 || imputed.is_empty() {
        return Err(Error::unsupported(format!(
            "imputes {found}, wanted float32 and `imputed_value_floats`: ONNX Runtime has no other kernel with a gradient"
        )));
    }
    let FeatureRows { value, features } = feature_rows(builder, node, 0)?;
    let imputed = if imputed.len() == features { imputed } else { &imputed[..1] };
    let imputed = builder.constant(Tensor::from_f32(&[imputed.len()], imputed));
    let missing = node.attributes.float("replaced_value_float", 0.0)?;
    let is_missing = if missing.is_nan() {
        builder.op("IsNaN", &[value])?
    } else {
        let missing = builder.scalar(missing);
        builder.op("Equal", &[value, missing])?
    };
    builder.op("Where", &[is_missing, imputed, value])
}

/// Binarizer: 1 where `x` of any shape is above the threshold, and else 0.
pub(super) fn binarize(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let value = to_float32(builder, node.input(0)?)?;
    let threshold = builder.scalar(node.attributes.float("threshold", 0.0)?);
    let above = builder.op("Greater", &[value, threshold])?;
    builder.cast(above, DataType::Float32)
}
