//! The readers of a value: a rewrite may only remove what nobody else needs.

use std::collections::HashMap;

use crate::graph::{Graph, NodeId, ValueId};

/// How often each value is used, by nodes and as an output of the graph.
pub(super) fn use_counts(graph: &Graph) -> HashMap<ValueId, usize> {
    let mut uses = HashMap::new();
    let inputs = graph.nodes().iter().flat_map(|node| node.inputs.iter().flatten());
    for id in inputs.chain(graph.outputs()) {
        *uses.entry(*id).or_default() += 1;
    }
    uses
}

/// The nodes that read each value, each node once.
pub(super) fn readers(graph: &Graph) -> HashMap<ValueId, Vec<NodeId>> {
    let mut readers: HashMap<ValueId, Vec<NodeId>> = HashMap::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        for input in node.inputs.iter().flatten() {
            let of_value = readers.entry(*input).or_default();
            if of_value.last() != Some(&NodeId(index as u32)) {
                of_value.push(NodeId(index as u32));
            }
        }
    }
    readers
}
