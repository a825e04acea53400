//! Attributes that became inputs, and operators that were renamed.

use crate::error::{Error, Result};
use crate::graph::{Attribute, Graph, Node};
use crate::tensor::Tensor;

/// Slice, opset 10.
pub(super) fn slice_bounds(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    attributes_to_inputs(graph, node, &[("starts", 1), ("ends", 2), ("axes", 3)])
}

/// TopK, opset 10.
pub(super) fn top_k_count(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    attributes_to_inputs(graph, node, &[("k", 1)])
}

/// Clip, opset 11.
pub(super) fn clip_bounds(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    attributes_to_inputs(graph, node, &[("min", 1), ("max", 2)])
}

/// Pad, opset 11.
pub(super) fn pads(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    attributes_to_inputs(graph, node, &[("pads", 1), ("value", 2)])
}

/// ReduceSum, Squeeze and Unsqueeze, opset 13; the other reductions, opset 18.
pub(super) fn axes(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    attributes_to_inputs(graph, node, &[("axes", 1)])
}

/// Split, opset 13.
pub(super) fn split_sizes(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    attributes_to_inputs(graph, node, &[("split", 1)])
}

/// Split, opset 18: the number of equal parts is stated.
pub(super) fn split_count(_: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    if node.optional_input(1).is_none() {
        node.attributes.0.insert("num_outputs".to_owned(), Attribute::Int(node.outputs.len() as i64));
    }
    Ok(vec![node])
}

/// Scatter is called ScatterElements from opset 11 on.
pub(super) fn rename_scatter(_: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    node.op_type = "ScatterElements".to_owned();
    Ok(vec![node])
}

/// Replaces each of these attributes that the node has by a constant input with that index.
pub(super) fn attributes_to_inputs(
    graph: &mut Graph,
    mut node: Node,
    attributes: &[(&str, usize)],
) -> Result<Vec<Node>> {
    for (name, index) in attributes {
        let Some(attribute) = node.attributes.0.remove(*name) else { continue };
        let tensor = match attribute {
            Attribute::Ints(values) => Tensor::vector_i64(&values),
            Attribute::Int(value) => Tensor::vector_i64(&[value]),
            Attribute::Float(value) => Tensor::scalar_f32(value),
            Attribute::Floats(values) => Tensor::from_f32(&[values.len()], &values),
            _ => return Err(Error::format(format!("attribute `{name}` is not made of numbers"))),
        };
        if node.inputs.len() <= *index {
            node.inputs.resize(*index + 1, None);
        }
        node.inputs[*index] = Some(graph.add_constant(&format!("{}/{name}", node.name), tensor));
    }
    Ok(vec![node])
}
