//! Drops outputs that are not tensors of numbers: maps of labels to scores, and labels that are strings.
//!
//! scikit-learn's converter ends a classifier with a ZipMap, which makes a map `{label: score}` of each row, next to
//! the output of the labels. The scores are the input of the ZipMap. Strings and sequences are not supported, but a
//! model that also returns scores does not need them.

use std::collections::{HashMap, HashSet};

use super::domains;
use super::names_read::names_read;
use super::proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

/// Number of the element type `STRING`.
const STRING: i32 = 8;

/// Replaces maps by their scores and drops outputs of strings or other types, if at least one output is left; then
/// removes the nodes and initialisers that only those needed. A file without such outputs is not changed.
pub(super) fn drop_non_tensor_outputs(proto: &mut GraphProto, nodes: &mut Vec<NodeProto>) {
    let before = names(&proto.output);
    let unmapped: Vec<ValueInfoProto> = proto
        .output
        .iter()
        .map(|output| scores_of_map(output, nodes).unwrap_or_else(|| output.clone()))
        .collect();
    let mut seen = HashSet::new();
    let kept: Vec<ValueInfoProto> = unmapped
        .iter()
        .filter(|output| is_tensor(output) && seen.insert(output.name().to_owned()))
        .cloned()
        .collect();
    if kept.is_empty() || names(&kept) == before {
        return;
    }
    proto.output = kept;
    remove_unused(proto, nodes);
}

fn names(outputs: &[ValueInfoProto]) -> Vec<String> {
    outputs.iter().map(|output| output.name().to_owned()).collect()
}

/// The input of the ZipMap that makes an output.
fn scores_of_map(output: &ValueInfoProto, nodes: &[NodeProto]) -> Option<ValueInfoProto> {
    let is_map = |node: &&NodeProto| {
        node.domain() == domains::AI_ONNX_ML
            && node.op_type() == "ZipMap"
            && node.output.first().is_some_and(|name| name == output.name())
    };
    let scores = nodes.iter().find(is_map)?.input.first()?;
    Some(ValueInfoProto { name: Some(scores.clone()), ..ValueInfoProto::default() })
}

/// Whether an output may be a tensor of numbers. One without a declared type may.
fn is_tensor(output: &ValueInfoProto) -> bool {
    output.r#type.as_ref().is_none_or(|declared| match &declared.tensor_type {
        Some(tensor) => tensor.elem_type() != STRING,
        None => {
            declared.sequence_type.is_none()
                && declared.map_type.is_none()
                && declared.opaque_type.is_none()
                && declared.optional_type.is_none()
        }
    })
}

/// Removes nodes and initialisers that no output needs. Nodes may stand in any order.
fn remove_unused(proto: &mut GraphProto, nodes: &mut Vec<NodeProto>) {
    let producers: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)))
        .collect();
    let mut needed: HashSet<String> = HashSet::new();
    let mut kept = vec![false; nodes.len()];
    let mut worklist = names(&proto.output);
    while let Some(name) = worklist.pop() {
        if let Some(index) = producers.get(name.as_str()).copied()
            && !std::mem::replace(&mut kept[index], true)
        {
            worklist.extend(names_read(&nodes[index]).map(str::to_owned));
        }
        needed.insert(name);
    }
    let mut kept = kept.into_iter();
    nodes.retain(|_| kept.next().unwrap_or_default());
    proto.initializer.retain(|initializer: &TensorProto| needed.contains(initializer.name()));
    proto
        .sparse_initializer
        .retain(|sparse| sparse.values.as_ref().is_none_or(|values| needed.contains(values.name())));
}
