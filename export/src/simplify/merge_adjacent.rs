//! Merges adjacent Transposes into one Transpose, and adjacent Reshapes into one Reshape.

use std::collections::HashMap;

use super::reshape_node::reshape_node;
use super::use_counts::use_counts;
use crate::facts::{Known, NodeView};
use crate::graph::{Attribute, Attributes, Graph, Node, NodeId, ValueId};
use crate::operators::types::permutation;
use crate::tensor::Tensor;

/// Replaces the second node of each pair by one that does both and reads the input of the first.
pub(super) fn merge(graph: &mut Graph) {
    let producers = graph.producers();
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let merged =
            merge_transposes(graph, &producers, id).or_else(|| merge_reshapes(graph, &producers, id));
        if let Some(node) = merged {
            *graph.node_mut(id) = node;
        }
    }
}

/// Transposes to channels-last before the pixels are flattened: `Transpose [N, C, h, w] → [N, h, w, C]` and a Reshape
/// in place of `Reshape [N, C, h, w] → [N, C, h·w]` and a Transpose to `[N, h·w, C]`.
///
/// ONNX Runtime's Conv reorders its result from the blocked layout anyway, and can write this order.
pub(super) fn transpose_before_flatten(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), use_counts(graph));
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let read_once = graph.node(id).optional_input(0).filter(|read| uses.get(read) == Some(&1));
        let Some(first) = read_once.and_then(|read| producers.get(&read).copied()) else { continue };
        if let Some([transpose, reshape]) = swapped(graph, graph.node(first).clone(), graph.node(id).clone())
        {
            *graph.node_mut(first) = transpose;
            *graph.node_mut(id) = reshape;
        }
    }
}

/// Rewrites `Reshape → Transpose → Reshape` as one Transpose, if the first merges the leading axes, the second swaps
/// the last two, and the third splits the leading axes again.
pub(super) fn stacked_transposes(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), use_counts(graph));
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let read_once = |node: &Node| {
            let read = node.optional_input(0).filter(|read| uses.get(read) == Some(&1))?;
            producers.get(&read).map(|id| graph.node(*id))
        };
        let split = graph.node(id);
        let Some(transpose) = read_once(split).filter(|_| is_reshape(split)) else { continue };
        let Some(merge_axes) = read_once(transpose).filter(|node| is_reshape(node)) else { continue };
        if let Some(node) = stacked_transpose(graph, merge_axes, transpose, split) {
            *graph.node_mut(id) = node;
        }
    }
}

fn stacked_transpose(graph: &Graph, merge_axes: &Node, transpose: &Node, split: &Node) -> Option<Node> {
    let known = Known::new(0);
    let axes = permutation(&NodeView { graph, node: transpose, known: &known }).ok()?;
    let stack = &graph.shape(merge_axes.optional_input(0)?).ok()?.0;
    let (leading, matrix) = stack.split_at_checked(stack.len().checked_sub(2)?)?;
    let joined = &graph.shape(transpose.optional_input(0)?).ok()?.0;
    let result = &graph.shape(split.optional_output(0)?).ok()?.0;
    let wanted = [leading, &[matrix[1], matrix[0]]].concat();
    if transpose.op_type != "Transpose" || axes != [0, 2, 1] || joined[1..] != *matrix || *result != wanted {
        return None;
    }
    let mut perm: Vec<i64> = (0..stack.len() as i64).collect();
    let last = perm.len() - 1;
    perm.swap(last - 1, last);
    Some(Node {
        op_type: "Transpose".to_owned(),
        inputs: vec![merge_axes.optional_input(0)],
        attributes: Attributes::from_pairs([("perm", perm.into())]),
        ..split.clone()
    })
}

fn swapped(graph: &mut Graph, mut reshape: Node, mut transpose: Node) -> Option<[Node; 2]> {
    let known = Known::new(0);
    let axes = permutation(&NodeView { graph, node: &transpose, known: &known }).ok()?;
    if !is_reshape(&reshape) || transpose.op_type != "Transpose" || axes != [0, 2, 1] {
        return None;
    }
    let (image, flat) = (reshape.optional_input(0)?, transpose.optional_input(0)?);
    let mut tensor_type = graph.tensor_type(image).ok()?.clone();
    let dims = &mut tensor_type.shape.0;
    if dims.len() < 4 || dims[..2] != graph.shape(flat).ok()?.0[..2] {
        return None;
    }
    dims[1..].rotate_left(1);
    let perm = [0].into_iter().chain(2..dims.len() as i64).chain([1]).collect();
    let output = transpose.optional_output(0)?;
    let last = graph.add_fresh_value(&format!("{}/channels_last", transpose.name), Some(tensor_type));
    let shape = graph.shape(output).ok()?.clone();
    let (name, outputs) = (reshape.name.clone(), transpose.outputs.clone());
    reshape = reshape_node(graph, &name, last, &shape)?;
    reshape.outputs = outputs;
    transpose.inputs = vec![Some(image)];
    transpose.outputs = vec![Some(last)];
    transpose.attributes.0.insert("perm".to_owned(), Attribute::Ints(perm));
    Some([transpose, reshape])
}

fn preceding<'g>(graph: &'g Graph, producers: &HashMap<ValueId, NodeId>, second: &Node) -> Option<&'g Node> {
    producers.get(&second.optional_input(0)?).map(|id| graph.node(*id))
}

fn merge_transposes(graph: &Graph, producers: &HashMap<ValueId, NodeId>, id: NodeId) -> Option<Node> {
    let second = graph.node(id);
    let first = preceding(graph, producers, second)?;
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

fn merge_reshapes(graph: &mut Graph, producers: &HashMap<ValueId, NodeId>, id: NodeId) -> Option<Node> {
    let second = graph.node(id);
    let first = preceding(graph, producers, second)?;
    if !is_reshape(first) || !is_reshape(second) {
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

fn is_reshape(node: &Node) -> bool {
    matches!(node.op_type.as_str(), "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze")
}
