//! Operators of other domains that are accepted: in `com.microsoft` those that ONNX Runtime's quantiser writes, in
//! `ai.onnx.ml` those that have a gradient or compute a label.
//!
//! `com.microsoft` is a large attack surface of ONNX Runtime (its products with packed weights have had out-of-bounds
//! reads). The list is therefore short, and our own shape inference checks each operator on it before it runs.

use std::collections::BTreeSet;

use crate::graph::{Attribute, Graph};

/// Name of ONNX Runtime's own domain.
pub(super) const MICROSOFT: &str = "com.microsoft";

/// Name of the domain of the operators that scikit-learn's models are made of.
pub(super) const AI_ONNX_ML: &str = "ai.onnx.ml";

/// The operators that `upgrade/ai_onnx_ml` decomposes, and those that only follow the scores, in alphabetical order.
/// Those that we write again have the same form in every version of the domain.
const AI_ONNX_ML_OPERATORS: [&str; 10] = [
    "ArrayFeatureExtractor",
    "Binarizer",
    "FeatureVectorizer",
    "Imputer",
    "LabelEncoder",
    "LinearClassifier",
    "Normalizer",
    "SVMClassifier",
    "Scaler",
    "ZipMap",
];

/// The operators that `onnxruntime.quantization` 1.32 writes (its `registry.py` and `quant_utils.py`), in alphabetical
/// order.
const MICROSOFT_OPERATORS: [&str; 12] = [
    "DequantizeLinear",
    "QGemm",
    "QLinearAdd",
    "QLinearAveragePool",
    "QLinearConcat",
    "QLinearGlobalAveragePool",
    "QLinearLeakyRelu",
    "QLinearMul",
    "QLinearSigmoid",
    "QLinearSoftmax",
    "QLinearWhere",
    "QuantizeLinear",
];

/// Whether an operator of a domain other than ONNX's is accepted.
pub(super) fn is_known(domain: &str, op_type: &str) -> bool {
    match domain {
        MICROSOFT => MICROSOFT_OPERATORS.contains(&op_type),
        AI_ONNX_ML => AI_ONNX_ML_OPERATORS.contains(&op_type),
        _ => false,
    }
}

/// Domain and operator of a node's type.
pub(super) fn split(op_type: &str) -> (Option<&str>, &str) {
    match op_type.split_once("::") {
        Some((domain, op_type)) => (Some(domain), op_type),
        None => (None, op_type),
    }
}

/// The domains, other than ONNX's, of the operators of a graph and of the bodies in it.
pub(super) fn used_by(graph: &Graph) -> BTreeSet<&str> {
    let mut domains = BTreeSet::new();
    for node in graph.nodes() {
        domains.extend(split(&node.op_type).0);
        for attribute in node.attributes.0.values() {
            if let Attribute::Graph(body) = attribute {
                domains.extend(used_by(&body.graph));
            }
        }
    }
    domains
}
