//! The scores of LinearClassifier: `x·Cᵀ + intercepts`, and a function of them (`post_transform`).
//!
//! With one row of coefficients for two classes there is one score `s`, of the second class, and its sign gives the
//! label. For LOGISTIC ONNX Runtime returns `[σ(−s), σ(s)]`, whose larger element agrees with the label. Otherwise it
//! returns `[1 − s, s]`, whose larger element does not; such a model is refused.

use super::inputs::{FeatureRows, check_length, class_count, feature_rows, floats};
use super::post_transform::PostTransform;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Builder, Node, ValueId};
use crate::tensor::Tensor;

pub(super) fn scores(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let FeatureRows { value, features } = feature_rows(builder, node, 0)?;
    let (coefficients, intercepts) = (floats(node, "coefficients")?, floats(node, "intercepts")?);
    let classes = class_count(node)?;
    let transform = PostTransform::from_node(node)?;
    let one_row = intercepts.len() == 1 && classes == 2;
    if !one_row {
        check_length("intercepts", intercepts.len(), Some(classes), "one for each class")?;
    }
    let wanted = intercepts.len().checked_mul(features);
    let why = format!("one for each of {features} features and each of {} intercepts", intercepts.len());
    check_length("coefficients", coefficients.len(), wanted, &why)?;
    let (coefficients, intercepts) = match (one_row, transform) {
        (false, _) => (coefficients.to_vec(), intercepts.to_vec()),
        (true, PostTransform::Logistic) => (with_opposite(coefficients), with_opposite(intercepts)),
        (true, _) => return Err(scores_contradict_label()),
    };
    let rows = intercepts.len();
    let coefficients = builder.constant(Tensor::from_f32(&[rows, features], &coefficients));
    let intercepts = builder.constant(Tensor::from_f32(&[rows], &intercepts));
    let transposed = [("transB", Attribute::Int(1))];
    let scores = builder.op_with("Gemm", &[value, coefficients, intercepts], transposed)?;
    transform.apply(builder, scores)
}

/// The row of the first class, which is the negative of that of the second, followed by that of the second.
fn with_opposite(row: &[f32]) -> Vec<f32> {
    row.iter().map(|value| -value).chain(row.iter().copied()).collect()
}

fn scores_contradict_label() -> Error {
    Error::unsupported(
        "has one row of coefficients for two classes and a `post_transform` other than LOGISTIC: its label follows the \
         sign of a score s, but its scores are [1 - s, s], so the class with the larger score is not the label; \
             give the rows of both classes, [-coefficients, coefficients]",
    )
}
