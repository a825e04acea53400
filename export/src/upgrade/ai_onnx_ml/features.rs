//! ArrayFeatureExtractor and FeatureVectorizer: features selected and concatenated.

use super::inputs::{check_length, feature_rows};
use crate::error::{Error, Result};
use crate::graph::{Attribute, Builder, Dim, Node, ValueId};
use crate::tensor::Tensor;

/// ArrayFeatureExtractor: elements of the last axis. A vector gives one row.
pub(super) fn extract(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let value = node.input(0)?;
    let shape = builder.graph().shape(value)?.clone();
    let Some(Dim::Fixed(size)) = shape.0.last().copied() else {
        return Err(Error::shape(format!(
            "selects among the last axis of {shape}, whose size must be fixed"
        )));
    };
    let indices = builder.graph().constant(node.input(1)?).and_then(Tensor::to_i64).ok_or_else(|| {
        Error::unsupported(
            "its indices are computed at run time, so it has no gradient: export only the scores",
        )
    })?;
    let fits = |index: &i64| usize::try_from(*index).is_ok_and(|index| index < size);
    if indices.is_empty() || !indices.iter().all(fits) {
        return Err(Error::format(format!(
            "its indices are {indices:?}, wanted some in 0 to {size} of {shape}"
        )));
    }
    let indices = builder.ints(&indices);
    let chosen = builder.op_with("Gather", &[value, indices], [("axis", Attribute::Int(-1))])?;
    if shape.rank() > 1 {
        return Ok(chosen);
    }
    let axis = builder.ints(&[0]);
    builder.op("Unsqueeze", &[chosen, axis])
}

/// FeatureVectorizer: the inputs concatenated. ONNX Runtime truncates or pads an input whose width is not the declared
/// one; here such an input is refused.
pub(super) fn concatenate(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let widths = node.attributes.ints("inputdimensions")?.unwrap_or_default();
    check_length("inputdimensions", widths.len(), Some(node.inputs.len()), "one for each input")?;
    let mut parts = Vec::with_capacity(widths.len());
    for (index, width) in widths.iter().enumerate() {
        let part = feature_rows(builder, node, index)?;
        if usize::try_from(*width) != Ok(part.features) {
            return Err(Error::unsupported(format!(
                "its input {index} has {} features, but `inputdimensions` says {width}: say the same",
                part.features
            )));
        }
        parts.push(part.value);
    }
    match parts[..] {
        [] => Err(Error::format("has no inputs")),
        [one] => Ok(one),
        _ => builder.op_with("Concat", &parts, [("axis", Attribute::Int(1))]),
    }
}
