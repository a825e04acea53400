//! Decomposes operators of the domain `ai.onnx.ml`, which scikit-learn's converter writes, into operators of ONNX.
//!
//! Each gives the results of ONNX Runtime's kernel, up to rounding. These are not always those of the operator's page;
//! where they differ, the file of the operator says how. Inputs are cast to float32, and outputs are float32.
//! Attributes are untrusted: every length is checked before it is used. Operator pages: ONNX `Operators-ml.md`; ONNX
//! Runtime 1.32 `onnxruntime/core/providers/cpu/ml`.

mod features;
mod inputs;
mod linear;
mod normalizer;
mod post_transform;
mod replace;
mod scaler;
mod svm;
#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::graph::{Attributes, Builder, Graph, Node, ValueId};
use crate::operators::gradient::GradientKind;

/// An operator, and its decomposition.
pub(crate) struct Decomposition {
    /// Domain and name.
    pub(crate) op_type: &'static str,
    /// What its gradient is.
    pub(crate) gradient: GradientKind,
    /// What is refused, or which subgradient is used at a kink: a phrase for `docs/operators.md`.
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
) -> Decomposition {
    Decomposition { op_type, gradient, limits, output, emit }
}

/// All of them.
pub(crate) const OPERATORS: &[Decomposition] = &[
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
        GradientKind::Subgradient,
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
