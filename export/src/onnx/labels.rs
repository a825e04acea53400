//! Leaves out what leads to outputs that no tensor of ours can hold: maps of labels to scores, and labels that are text.
//!
//! scikit-learn's converter ends a classifier with a ZipMap, which makes `{label: score}` of each row, beside the labels. The
//! scores themselves are its input. Texts and sequences cannot be read, but beside scores they need not be.

use std::collections::{HashMap, HashSet};

use super::contrib;
use super::proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

/// Number of the element type `STRING`.
const STRING: i32 = 8;

/// Puts scores in the place of maps, drops outputs that are texts or no tensors where others are left, and then whatever
/// led to them alone. A file without such outputs stays as it is.
pub(super) fn leave_out(proto: &mut GraphProto, nodes: &mut Vec<NodeProto>) {
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
    keep_needed(proto, nodes);
}

fn names(outputs: &[ValueInfoProto]) -> Vec<String> {
    outputs.iter().map(|output| output.name().to_owned()).collect()
}

/// The input of the ZipMap that makes an output.
fn scores_of_map(output: &ValueInfoProto, nodes: &[NodeProto]) -> Option<ValueInfoProto> {
    let is_map = |node: &&NodeProto| {
        node.domain() == contrib::CLASSICAL
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
fn keep_needed(proto: &mut GraphProto, nodes: &mut Vec<NodeProto>) {
    let producers: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)))
        .collect();
    let mut needed: HashSet<String> = HashSet::new();
    let mut kept = vec![false; nodes.len()];
    let mut waiting = names(&proto.output);
    while let Some(name) = waiting.pop() {
        if let Some(index) = producers.get(name.as_str()).copied()
            && !std::mem::replace(&mut kept[index], true)
        {
            names_read(&nodes[index], &mut waiting);
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

/// Everything that a node or a body of it reads by name.
fn names_read(node: &NodeProto, names: &mut Vec<String>) {
    names.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
    for body in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
        names.extend(body.output.iter().map(|output| output.name().to_owned()));
        body.node.iter().for_each(|inner| names_read(inner, names));
    }
}
