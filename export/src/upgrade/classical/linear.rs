//! The scores of LinearClassifier: `x·Cᵀ + intercepts`, and a transform of them.
//!
//! One row of coefficients for two classes is a score `s` of the second class. ONNX Runtime labels by its sign; of LOGISTIC
//! it makes `[σ(−s), σ(s)]`, whose larger one is the label, and of everything else `[1 − s, s]`, whose larger one is not.

use super::transform::Transform;
use super::{Rows, check_length, classes, floats, rows};
use crate::error::{Error, Result};
use crate::graph::{Attribute, Builder, Node, ValueId};
use crate::tensor::Tensor;

pub(super) fn scores(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let Rows { value, features } = rows(builder, node, 0)?;
    let (coefficients, intercepts) = (floats(node, "coefficients")?, floats(node, "intercepts")?);
    let classes = classes(node)?;
    let transform = Transform::of(node)?;
    let one_row = intercepts.len() == 1 && classes == 2;
    if !one_row {
        check_length("intercepts", intercepts.len(), Some(classes), "one for each class")?;
    }
    let wanted = intercepts.len().checked_mul(features);
    let why = format!("one for each of {features} features and each of {} intercepts", intercepts.len());
    check_length("coefficients", coefficients.len(), wanted, &why)?;
    let (coefficients, intercepts) = match (one_row, transform) {
        (false, _) => (coefficients.to_vec(), intercepts.to_vec()),
        (true, Transform::Logistic) => (with_opposite(coefficients), with_opposite(intercepts)),
        (true, _) => return Err(label_is_another()),
    };
    let rows = intercepts.len();
    let coefficients = builder.constant(Tensor::from_f32(&[rows, features], &coefficients));
    let intercepts = builder.constant(Tensor::from_f32(&[rows], &intercepts));
    let transposed = [("transB", Attribute::Int(1))];
    let scores = builder.op_with("Gemm", &[value, coefficients, intercepts], transposed)?;
    transform.apply(builder, scores)
}

/// The row of the first class, which is the negative of the second's, and then that.
fn with_opposite(row: &[f32]) -> Vec<f32> {
    row.iter().map(|value| -value).chain(row.iter().copied()).collect()
}

fn label_is_another() -> Error {
    Error::unsupported(
        "has one row of coefficients for two classes and a `post_transform` other than LOGISTIC: its label follows the \
         sign of a score s, but its scores are [1 - s, s], so that the class with the larger score is not the label; \
         write the rows of both classes, [-coefficients, coefficients]",
    )
}
