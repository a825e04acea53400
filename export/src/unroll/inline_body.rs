//! Inlines a copy of a body into the graph around it.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Subgraph, ValueId};

/// The nodes of a body, and what it returns.
pub(super) struct InlinedBody {
    pub(super) nodes: Vec<Node>,
    pub(super) outputs: Vec<ValueId>,
}

/// Adds the values and constants of `body` to `graph`, under names that start with `prefix`; its inputs are
/// `arguments`. The nodes are not added yet.
pub(super) fn inline_body(
    graph: &mut Graph,
    body: &Subgraph,
    arguments: &[ValueId],
    prefix: &str,
) -> Result<InlinedBody> {
    let inner = &body.graph;
    if inner.inputs().len() != arguments.len() {
        return Err(Error::format(format!(
            "passes {} values to its body, which takes {}",
            arguments.len(),
            inner.inputs().len()
        )));
    }
    let mut ids: HashMap<ValueId, ValueId> =
        inner.inputs().iter().copied().zip(arguments.iter().copied()).collect();
    for (id, tensor) in inner.constants() {
        let name = format!("{prefix}/{}", inner.value(id).name);
        ids.insert(id, graph.add_constant(&name, tensor.clone()));
    }
    let mut nodes = Vec::with_capacity(inner.nodes().len());
    for node in inner.nodes() {
        for output in node.outputs.iter().flatten() {
            let name = format!("{prefix}/{}", inner.value(*output).name);
            ids.insert(*output, graph.add_fresh_value(&name, None));
        }
        let outer = |id: &Option<ValueId>| id.map(|id| ids[&id]);
        nodes.push(Node {
            name: format!("{prefix}/{}", node.name),
            op_type: node.op_type.clone(),
            inputs: node.inputs.iter().map(outer).collect(),
            outputs: node.outputs.iter().map(outer).collect(),
            attributes: node.attributes.clone(),
        });
    }
    Ok(InlinedBody { nodes, outputs: inner.outputs().iter().map(|id| ids[id]).collect() })
}
