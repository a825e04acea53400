//! The readers of a value: a rewrite may only remove what nobody else needs.

use std::collections::HashMap;

use crate::graph::{Graph, ValueId};

/// How often each value is used, by nodes and as an output of the graph.
pub(super) fn use_counts(graph: &Graph) -> HashMap<ValueId, usize> {
    let mut uses = HashMap::new();
    let inputs = graph.nodes().iter().flat_map(|node| node.inputs.iter().flatten());
    for id in inputs.chain(graph.outputs()) {
        *uses.entry(*id).or_default() += 1;
    }
    uses
}
