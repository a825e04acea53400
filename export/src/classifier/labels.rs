//! Which outputs of a file are labels: integers that the operators show, before types are inferred.

use std::collections::HashMap;

use super::rearranging::REARRANGING;
use crate::graph::{Graph, NodeId, ValueId};
use crate::operators::has_integer_results;
use crate::tensor::DataType;

pub(super) const LINEAR: &str = "ai.onnx.ml::LinearClassifier";
pub(super) const SVM: &str = "ai.onnx.ml::SVMClassifier";

/// Operators whose first output is a label, and the second one scores.
pub(super) const CLASSIFIERS: [&str; 2] = [LINEAR, SVM];

/// Selects columns. It is no member of [`REARRANGING`], as a typed graph has it no more.
pub(super) const EXTRACTOR: &str = "ai.onnx.ml::ArrayFeatureExtractor";

/// Whether the operators show that a value holds integers. Types are not inferred yet.
pub(super) fn is_integer(graph: &Graph, producers: &HashMap<ValueId, NodeId>, mut value: ValueId) -> bool {
    // One step for each node at most: a graph has no cycles.
    loop {
        let Some(producer) = producers.get(&value) else {
            return graph.tensor_type(value).is_ok_and(|found| !found.dtype.is_float());
        };
        let node = graph.node(*producer);
        let op_type = node.op_type.as_str();
        if op_type == "Cast" {
            let to = node.attributes.int("to", 0).unwrap_or_default();
            let to = i32::try_from(to).ok().and_then(|to| DataType::from_onnx(to).ok());
            return to.is_some_and(|dtype| !dtype.is_float());
        }
        let is_first = node.optional_output(0) == Some(value);
        if has_integer_results(op_type)
            || CLASSIFIERS.contains(&op_type) && is_first
            || op_type == "TopK" && !is_first
        {
            return true;
        }
        if op_type == "ai.onnx.ml::LabelEncoder" {
            return ["values_floats", "default_float"].iter().all(|name| node.attributes.get(name).is_none());
        }
        match node.optional_input(0) {
            Some(input) if REARRANGING.contains(&op_type) || op_type == EXTRACTOR => value = input,
            _ => return false,
        }
    }
}
