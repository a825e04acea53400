//! Decomposes operators of the domain `ai.onnx.ml`, which scikit-learn's converter writes, into operators of ONNX.
//!
//! Each gives the results of ONNX Runtime's kernel, up to rounding. These are not always those of the operator's page; where
//! they differ, the file of the operator says how. Inputs are cast to float32, and outputs are float32. Attributes are
//! untrusted: every length is checked before it is used. Operator pages: ONNX
//! `Operators-ml.md`; ONNX Runtime 1.32 `onnxruntime/core/providers/cpu/ml`.

mod features;
mod linear;
mod normalizer;
mod post_transform;
mod replace;
mod scaler;
mod svm;
#[cfg(test)]
mod tests;

use crate::autodiff::GradientKind;
use crate::error::{Error, Result};
use crate::graph::{Attributes, Builder, Dim, Graph, Node, ValueId};
use crate::tensor::DataType;

/// An operator, and its decomposition.
pub(crate) struct Operator {
    /// Domain and name.
    pub(crate) op_type: &'static str,
    /// What its gradient is.
    pub(crate) gradient: GradientKind,
    /// What is refused, or what passes at a kink: a phrase for `docs/operators.md`.
    pub(crate) limits: &'static str,
    /// Index of the output that is computed; the others are labels.
    output: usize,
    /// Appends nodes and returns that output.
    emit: fn(&mut Builder<'_>, &Node) -> Result<ValueId>,
}

const fn operator(
    op_type: &'static str,
    gradient: GradientKind,
    limits: &'static str,
    output: usize,
    emit: fn(&mut Builder<'_>, &Node) -> Result<ValueId>,
) -> Operator {
    Operator { op_type, gradient, limits, output, emit }
}

/// All of them.
pub(crate) const OPERATORS: &[Operator] = &[
    operator(
        "ai.onnx.ml::ArrayFeatureExtractor",
        GradientKind::Exact,
        "written out as Gather; the indices must be constant",
        0,
        features::extract,
    ),
    operator(
        "ai.onnx.ml::Binarizer",
        GradientKind::Zero,
        "written out as a comparison",
        0,
        replace::binarize,
    ),
    operator(
        "ai.onnx.ml::FeatureVectorizer",
        GradientKind::Exact,
        "written out as Concat; each input must have the width that is declared",
        0,
        features::concatenate,
    ),
    operator(
        "ai.onnx.ml::Imputer",
        GradientKind::Exact,
        "written out as Where; zero where a value is replaced; float32 only",
        0,
        replace::impute,
    ),
    operator(
        "ai.onnx.ml::LinearClassifier",
        GradientKind::Exact,
        "written out as Gemm; its label carries no gradient; one row for two classes with LOGISTIC only",
        1,
        linear::scores,
    ),
    operator(
        "ai.onnx.ml::Normalizer",
        GradientKind::Kinked,
        "written out as a norm and Div; a row whose norm is zero stays as it is",
        0,
        normalizer::normalise,
    ),
    operator(
        "ai.onnx.ml::SVMClassifier",
        GradientKind::Exact,
        "written out as kernels of the support vectors; its label carries no gradient; without probabilities",
        1,
        svm::scores,
    ),
    operator("ai.onnx.ml::Scaler", GradientKind::Exact, "written out as Sub and Mul", 0, scaler::scale),
];

/// Their names.
pub(super) static NAMES: [&str; OPERATORS.len()] = names();

const fn names() -> [&'static str; OPERATORS.len()] {
    let mut names = [""; OPERATORS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = OPERATORS[index].op_type;
        index += 1;
    }
    names
}

/// Decomposes a node of one of the [`OPERATORS`].
pub(super) fn decompose(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    let Some(operator) = OPERATORS.iter().find(|operator| operator.op_type == node.op_type) else {
        return Ok(vec![node]);
    };
    let output = node.output(operator.output)?;
    let value = (operator.emit)(&mut Builder::new(graph, node.name.clone()), &node)?;
    Ok(vec![Node {
        name: node.name,
        op_type: "Identity".to_owned(),
        inputs: vec![Some(value)],
        outputs: vec![Some(output)],
        attributes: Attributes::default(),
    }])
}

/// One row of features for each image.
#[derive(Debug, Clone, Copy)]
struct FeatureRows {
    /// `[N, F]`, float32.
    value: ValueId,
    /// `F`.
    features: usize,
}

/// Input number `index` as rows of features, cast to float32 as ONNX Runtime's kernels do.
fn feature_rows(builder: &mut Builder<'_>, node: &Node, index: usize) -> Result<FeatureRows> {
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
fn to_float32(builder: &mut Builder<'_>, id: ValueId) -> Result<ValueId> {
    match builder.graph().tensor_type(id)?.dtype {
        DataType::Float32 => Ok(id),
        _ => builder.cast(id, DataType::Float32),
    }
}

/// A list of numbers; empty where the attribute is absent.
fn floats<'n>(node: &'n Node, name: &str) -> Result<&'n [f32]> {
    let values = node.attributes.floats(name)?.unwrap_or_default();
    if values.iter().any(|value| value.is_nan()) {
        return Err(Error::unsupported(format!(
            "attribute `{name}` holds NaN, which would make every score NaN: train the model again"
        )));
    }
    Ok(values)
}

/// Refuses an attribute of another length.
fn check_length(name: &str, found: usize, wanted: Option<usize>, why: &str) -> Result<()> {
    match wanted {
        Some(wanted) if wanted == found => Ok(()),
        Some(wanted) => {
            Err(Error::format(format!("attribute `{name}` has {found} numbers, wanted {wanted}: {why}")))
        }
        None => Err(Error::format(format!("attribute `{name}` cannot have the length that it must: {why}"))),
    }
}

/// The number of class labels.
///
/// # Errors
/// Without labels.
fn class_count(node: &Node) -> Result<usize> {
    let texts = node.attributes.texts("classlabels_strings")?.unwrap_or_default().len();
    let ints = node.attributes.ints("classlabels_ints")?.unwrap_or_default().len();
    match (texts, ints) {
        (0, 0) => Err(Error::format("has neither `classlabels_strings` nor `classlabels_ints`")),
        (0, classes) | (classes, _) => Ok(classes),
    }
}
