//! Two nodes in a row that one node does: transpositions, and changes of shape.

use std::collections::HashMap;

use crate::graph::{Attribute, Attributes, Graph, Node, NodeId, ValueId};
use crate::shape::{Known, NodeView, permutation};
use crate::tensor::Tensor;

/// Lets the second node of each pair read the input of the first.
pub(super) fn merge(graph: &mut Graph) {
    let producers = graph.producers();
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let merged = transposes(graph, &producers, id).or_else(|| reshapes(graph, &producers, id));
        if let Some(node) = merged {
            *graph.node_mut(id) = node;
        }
    }
}

fn first_of_pair<'g>(
    graph: &'g Graph,
    producers: &HashMap<ValueId, NodeId>,
    second: &Node,
) -> Option<&'g Node> {
    producers.get(&second.optional_input(0)?).map(|id| graph.node(*id))
}

fn transposes(graph: &Graph, producers: &HashMap<ValueId, NodeId>, id: NodeId) -> Option<Node> {
    let second = graph.node(id);
    let first = first_of_pair(graph, producers, second)?;
    if first.op_type != "Transpose" || second.op_type != "Transpose" {
        return None;
    }
    let known = Known::new(0);
    let axes = |node| permutation(&NodeView { graph, node, known: &known }).ok();
    let (inner, outer) = (axes(first)?, axes(second)?);
    let both = outer.into_iter().map(|axis| inner[axis] as i64).collect::<Vec<_>>();
    let mut node = second.clone();
    node.inputs = vec![Some(first.optional_input(0)?)];
    node.attributes.0.insert("perm".to_owned(), Attribute::Ints(both));
    Some(node)
}

fn reshapes(graph: &mut Graph, producers: &HashMap<ValueId, NodeId>, id: NodeId) -> Option<Node> {
    let second = graph.node(id);
    let first = first_of_pair(graph, producers, second)?;
    if !keeps_order(first) || !keeps_order(second) {
        return None;
    }
    let input = first.optional_input(0)?;
    let shape = graph.shape(second.optional_output(0)?).ok()?;
    let empty = shape.0.iter().any(|dim| dim.fixed() == Some(0));
    let target = shape.reshape_target().ok().filter(|_| !empty)?;
    let (name, outputs) = (second.name.clone(), second.outputs.clone());
    let target = graph.add_constant(&format!("{name}/target"), Tensor::vector_i64(&target));
    let inputs = vec![Some(input), Some(target)];
    Some(Node { name, op_type: "Reshape".to_owned(), inputs, outputs, attributes: Attributes::default() })
}

fn keeps_order(node: &Node) -> bool {
    matches!(node.op_type.as_str(), "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze")
}
