//! The inputs of these operators: rows of features, and attributes whose lengths are checked.

use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Node, ValueId};
use crate::tensor::DataType;

/// One row of features for each image.
#[derive(Debug, Clone, Copy)]
pub(super) struct FeatureRows {
    /// `[N, F]`, float32.
    pub(super) value: ValueId,
    /// `F`.
    pub(super) features: usize,
}

/// Input number `index` as rows of features, cast to float32 as ONNX Runtime's kernels do.
pub(super) fn feature_rows(builder: &mut Builder<'_>, node: &Node, index: usize) -> Result<FeatureRows> {
    let id = node.input(index)?;
    let found = builder.graph().tensor_type(id)?.clone();
    let [_, Dim::Fixed(features)] = found.shape.0[..] else {
        return Err(Error::shape(format!(
            "its input {index} is {}, wanted one row of features for each image, [N, F]",
            found.shape
        )));
    };
    Ok(FeatureRows { value: to_float32(builder, id)?, features })
}

/// A value cast to float32, if it is anything else.
pub(super) fn to_float32(builder: &mut Builder<'_>, id: ValueId) -> Result<ValueId> {
    match builder.graph().tensor_type(id)?.dtype {
        DataType::Float32 => Ok(id),
        _ => builder.cast(id, DataType::Float32),
    }
}

/// A list of numbers; empty where the attribute is absent.
pub(super) fn floats<'n>(node: &'n Node, name: &str) -> Result<&'n [f32]> {
    let values = node.attributes.floats(name)?.unwrap_or_default();
    if values.iter().any(|value| value.is_nan()) {
        return Err(Error::unsupported(format!(
            "attribute `{name}` holds NaN, which would make every score NaN: train the model again"
        )));
    }
    Ok(values)
}

/// Refuses an attribute of another length.
pub(super) fn check_length(name: &str, found: usize, wanted: Option<usize>, why: &str) -> Result<()> {
    match wanted {
        Some(wanted) if wanted == found => Ok(()),
        Some(wanted) => {
            Err(Error::format(format!("attribute `{name}` has {found} numbers, wanted {wanted}: {why}")))
        }
        None => Err(Error::format(format!("attribute `{name}` cannot have the required length: {why}"))),
    }
}

/// The number of class labels.
///
/// # Errors
/// Without labels.
pub(super) fn class_count(node: &Node) -> Result<usize> {
    let texts = node.attributes.texts("classlabels_strings")?.unwrap_or_default().len();
    let ints = node.attributes.ints("classlabels_ints")?.unwrap_or_default().len();
    match (texts, ints) {
        (0, 0) => Err(Error::format("has neither `classlabels_strings` nor `classlabels_ints`")),
        (0, classes) | (classes, _) => Ok(classes),
    }
}
