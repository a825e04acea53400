//! Scaler: `(x − offset)·scale`, both one number, or one for each feature.

use super::inputs::{FeatureRows, check_length, feature_rows, floats};
use crate::error::{Error, Result};
use crate::graph::{Builder, Node, ValueId};
use crate::tensor::Tensor;

pub(super) fn scale(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let FeatureRows { value, features } = feature_rows(builder, node, 0)?;
    let (offset, scale) = (floats(node, "offset")?, floats(node, "scale")?);
    if scale.is_empty() {
        return Err(Error::format("has no attribute `scale`"));
    }
    check_length("offset", offset.len(), Some(scale.len()), "as many as of `scale`")?;
    if scale.len() != 1 {
        check_length("scale", scale.len(), Some(features), "one, or one for each feature")?;
    }
    let offset = builder.constant(Tensor::from_f32(&[offset.len()], offset));
    let scale = builder.constant(Tensor::from_f32(&[scale.len()], scale));
    let centred = builder.op("Sub", &[value, offset])?;
    builder.op("Mul", &[centred, scale])
}
