//! Hoists DequantizeLinear to directly after QuantizeLinear.
//!
//! The quantiser lets operators that only move elements (and MaxPool, which picks one) work on integers:
//! `QuantizeLinear → MaxPool → DequantizeLinear`. With one scale for the whole tensor these commute with
//! DequantizeLinear, because `(q − z)·s` is increasing in `q`. Afterwards every operator on the gradient's path sees
//! floats.

use std::collections::HashMap;

use super::fold_quantised::standard_operator;
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};

/// Operators that commute with DequantizeLinear of their first input. More than those that only rearrange
/// (`REARRANGING` of the classifier): MaxPool, and Pad and Split with conditions of their own.
const COMMUTING: [&str; 12] = [
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "MaxPool",
    "Pad",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// Hoists each DequantizeLinear as far as possible. The graph must be in topological order.
pub(super) fn hoist(graph: &mut Graph) {
    let producers = graph.producers();
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes().to_vec() {
        let chain = commuting_chain(graph, &node, &producers);
        if chain.is_empty() {
            nodes.push(node);
        } else {
            nodes.extend(hoisted(graph, &node, &chain));
        }
    }
    graph.set_nodes(nodes);
}

/// The commuting nodes before a per-tensor DequantizeLinear, nearest first.
fn commuting_chain(graph: &Graph, node: &Node, producers: &HashMap<ValueId, NodeId>) -> Vec<Node> {
    let mut chain = Vec::new();
    let is_per_tensor = || -> Option<bool> {
        let scale = graph.constant(node.optional_input(1)?)?;
        Some(scale.elements() == 1 && graph.constant(node.optional_input(0)?).is_none())
    };
    if standard_operator(node) != "DequantizeLinear" || is_per_tensor() != Some(true) {
        return chain;
    }
    let mut value = node.optional_input(0);
    while let Some(producer) = value.and_then(|value| producers.get(&value)) {
        let above = graph.node(*producer);
        let first = above.outputs.iter().position(|output| *output == value);
        let commutes = COMMUTING.contains(&above.op_type.as_str())
            && (first == Some(0) || above.op_type == "Split")
            && (above.op_type != "Pad" || has_constant_value(graph, above));
        if !commutes {
            break;
        }
        chain.push(above.clone());
        value = above.optional_input(0);
    }
    chain
}

/// Whether the value that a Pad fills with is a constant: it must be dequantised too.
fn has_constant_value(graph: &Graph, pad: &Node) -> bool {
    pad.optional_input(2).is_some_and(|value| graph.constant(value).is_some())
        || pad.attributes.text("mode", "constant").is_ok_and(|mode| mode != "constant")
}

/// The DequantizeLinear, followed by copies of the nodes of `chain` that work on floats.
fn hoisted(graph: &mut Graph, dequantise: &Node, chain: &[Node]) -> Vec<Node> {
    let mut nodes = Vec::with_capacity(chain.len() + 1);
    let source = chain.last().and_then(|node| node.optional_input(0));
    let mut floats = graph.add_fresh_value(&format!("{}/raised", dequantise.name), None);
    nodes.push(Node {
        name: format!("{}/raised", dequantise.name),
        inputs: std::iter::once(source).chain(dequantise.inputs[1..].iter().copied()).collect(),
        outputs: vec![Some(floats)],
        ..dequantise.clone()
    });
    // The output of each node, in the order of the data: the last is that of the DequantizeLinear.
    let mut wanted = dequantise.optional_input(0);
    let mut outputs = Vec::new();
    for node in chain {
        outputs.push(node.outputs.iter().position(|output| *output == wanted).unwrap_or_default());
        wanted = node.optional_input(0);
    }
    for (level, (node, position)) in chain.iter().zip(outputs).enumerate().rev() {
        let output = match level {
            0 => dequantise.outputs[0],
            _ => Some(graph.add_fresh_value(&format!("{}/{}", dequantise.name, node.name), None)),
        };
        let mut copy = Node { name: format!("{}/{}", dequantise.name, node.name), ..node.clone() };
        copy.inputs[0] = Some(floats);
        if node.op_type == "Pad" && copy.optional_input(2).is_some() {
            nodes.push(fill_value(graph, dequantise, &mut copy));
        }
        copy.outputs = node.outputs.iter().map(|id| id.map(|_| ValueId(0))).collect();
        for (index, slot) in copy.outputs.iter_mut().enumerate() {
            *slot = match slot {
                Some(_) if index == position => output,
                Some(_) => Some(graph.add_fresh_value(&format!("{}/unused", copy.name), None)),
                None => None,
            };
        }
        if let Some(output) = output {
            floats = output;
        }
        nodes.push(copy);
    }
    nodes
}

/// Dequantises what a Pad fills with.
fn fill_value(graph: &mut Graph, dequantise: &Node, pad: &mut Node) -> Node {
    let name = format!("{}/{}/value", dequantise.name, pad.name);
    let output = graph.add_fresh_value(&name, None);
    let value = pad.inputs[2].replace(output);
    Node {
        name,
        inputs: std::iter::once(value).chain(dequantise.inputs[1..].iter().copied()).collect(),
        outputs: vec![Some(output)],
        attributes: Attributes::default(),
        ..dequantise.clone()
    }
}
