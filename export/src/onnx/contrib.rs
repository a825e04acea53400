//! Operators of other domains that are read: those that ONNX Runtime's quantiser writes, and of scikit-learn's models those
//! that have a gradient or lead to a label.
//!
//! ONNX Runtime's own domain is a large attack surface of ONNX Runtime (its matrix products of packed weights have had reads past the
//! end), so that the list is short, and each operator on it is checked by our own shapes before it runs.

use std::collections::BTreeSet;

use crate::graph::{Attribute, Graph};

/// Name of ONNX Runtime's own domain.
pub(super) const DOMAIN: &str = "com.microsoft";

/// Name of the domain of the operators that scikit-learn's models are made of.
pub(super) const CLASSICAL: &str = "ai.onnx.ml";

/// Of that domain what `upgrade/classical` writes out, and what stands behind the scores alone, in alphabetical order. All
/// that is written again has one form in every version of the domain.
const KNOWN_CLASSICAL: [&str; 10] = [
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

/// What `onnxruntime.quantization` 1.32 writes (its `registry.py` and `quant_utils.py`), in alphabetical order.
const KNOWN: [&str; 12] = [
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

/// Whether an operator of another domain than ONNX's is read.
pub(super) fn is_known(domain: &str, op_type: &str) -> bool {
    match domain {
        DOMAIN => KNOWN.contains(&op_type),
        CLASSICAL => KNOWN_CLASSICAL.contains(&op_type),
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
pub(super) fn domains(graph: &Graph) -> BTreeSet<&str> {
    let mut domains = BTreeSet::new();
    for node in graph.nodes() {
        domains.extend(split(&node.op_type).0);
        for attribute in node.attributes.0.values() {
            if let Attribute::Graph(body) = attribute {
                domains.extend(self::domains(&body.graph));
            }
        }
    }
    domains
}
