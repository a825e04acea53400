//! What is `x·scale + shift`, one number a channel, in front of or behind a layer of weights: moved into the weights.
//!
//! In front stands the normalisation of the pixels, a subtraction and a division of every pixel in each pass, and their
//! adjoints in each backward pass; behind, the BatchNormalization that training needed. Channels are axis 1. A Conv
//! that pads with zeros takes in only the scale: beyond the border of the image, `0·scale + shift` is not zero.

use std::collections::HashMap;

use super::affine::{Affine, rounded};
use super::layer::Layer;
use super::uses;
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};
use crate::tensor::Tensor;

/// Of more channels, or flat pixels, nothing is moved: a file can state any number, and each has two numbers here.
const MOST_CHANNELS: usize = 1 << 20;

/// Moves what stands in front of a Conv or Gemm into its weights.
pub(super) fn in_front(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), uses(graph));
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    for index in 0..graph.nodes().len() {
        let node = graph.node(NodeId(index as u32)).clone();
        let read = node.optional_input(0).filter(|_| matches!(&*node.op_type, "Conv" | "Gemm"));
        let found = read.and_then(|read| chain(graph, &producers, read));
        let layer = found.as_ref().and_then(|_| Layer::of(graph, &node));
        let rewritten = match (found, layer) {
            (Some((input, map)), Some(layer)) if layer.inputs() == map.scale.len() => {
                let read_once = read.and_then(|id| uses.get(&id)) == Some(&1);
                absorb(graph, &node, layer, input, &map, read_once)
            }
            _ => None,
        };
        nodes.extend(rewritten.unwrap_or_else(|| vec![node]));
    }
    graph.set_nodes(nodes);
}

/// The layer reading `input`, `map` being in its weights.
fn absorb(
    graph: &mut Graph,
    node: &Node,
    layer: Layer,
    input: ValueId,
    map: &Affine,
    read_once: bool,
) -> Option<Vec<Node>> {
    if !layer.pads() || map.shift.iter().all(|shift| *shift == 0.0) {
        return Some(vec![layer.after(map).write(graph, node, input)]);
    }
    // x·scale + shift = (x + shift/scale)·scale. Where others read it too, the sum would be one node more.
    let is_scaled = map.scale.iter().any(|scale| *scale != 1.0);
    if !read_once || !is_scaled || map.scale.contains(&0.0) {
        return None;
    }
    let offsets: Vec<f64> = map.shift.iter().zip(&map.scale).map(|(shift, scale)| shift / scale).collect();
    let add = channel_node(graph, &node.name, "Add", input, &offsets)?;
    let only_scale = Affine { scale: map.scale.clone(), shift: vec![0.0; offsets.len()] };
    let shifted = add.optional_output(0)?;
    Some(vec![add, layer.after(&only_scale).write(graph, node, shifted)])
}

/// `op_type(input, values)` with one value a channel.
fn channel_node(
    graph: &mut Graph,
    prefix: &str,
    op_type: &str,
    input: ValueId,
    values: &[f64],
) -> Option<Node> {
    let tensor_type = graph.tensor_type(input).ok()?.clone();
    let rest = vec![1; tensor_type.shape.rank().saturating_sub(2)];
    let dims = [&[values.len()], &rest[..]].concat();
    let name = format!("{prefix}/channels/{op_type}");
    let values = graph.add_constant(&format!("{name}/constant"), rounded(&dims, values));
    let output = graph.add_fresh_value(&name, Some(tensor_type));
    Some(Node {
        name: graph.value(output).name.clone(),
        op_type: op_type.to_owned(),
        inputs: vec![Some(input), Some(values)],
        outputs: vec![Some(output)],
        attributes: Attributes::default(),
    })
}

/// Moves what stands behind a Conv or Gemm, and reads it alone, into its weights.
pub(super) fn behind(graph: &mut Graph) {
    let (mut producers, uses) = (graph.producers(), uses(graph));
    let mut absorbed = vec![false; graph.nodes().len()];
    for (index, absorbed) in absorbed.iter_mut().enumerate() {
        let id = NodeId(index as u32);
        let Some((input, map)) = per_channel(graph, graph.node(id)) else { continue };
        let Some(producer) = producers.get(&input).copied().filter(|_| uses.get(&input) == Some(&1)) else {
            continue;
        };
        let node = graph.node(producer).clone();
        let layer = Layer::of(graph, &node).filter(|layer| layer.outputs() == map.scale.len());
        let (Some(layer), Some(read)) = (layer, node.optional_input(0)) else { continue };
        let mut node = layer.before(&map).write(graph, &node, read);
        node.outputs = vec![graph.node(id).optional_output(0)];
        producers.extend(node.outputs.iter().flatten().map(|output| (*output, producer)));
        *graph.node_mut(producer) = node;
        *absorbed = true;
    }
    let remaining = graph.nodes().iter().zip(absorbed).filter(|(_, absorbed)| !absorbed);
    let remaining = remaining.map(|(node, _)| node.clone()).collect();
    graph.set_nodes(remaining);
}

/// Lets per-channel nodes follow the node that flattens images, so that they stand in front of a layer.
pub(super) fn flatten_first(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), uses(graph));
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    for index in 0..graph.nodes().len() {
        let node = graph.node(NodeId(index as u32)).clone();
        let read_once = node.optional_input(0).and_then(|id| uses.get(&id)) == Some(&1);
        let rewritten = read_once.then(|| flattened(graph, &producers, &node)).flatten();
        nodes.extend(rewritten.unwrap_or_else(|| vec![node]));
    }
    graph.set_nodes(nodes);
}

/// `Reshape → Mul → Add`, one number a pixel, in place of a Reshape to `[N, pixels]` of `x·scale + shift`.
fn flattened(graph: &mut Graph, producers: &HashMap<ValueId, NodeId>, node: &Node) -> Option<Vec<Node>> {
    let image = node.optional_input(0).filter(|_| matches!(&*node.op_type, "Reshape" | "Flatten"))?;
    let output = node.optional_output(0)?;
    let tensor_type = graph.tensor_type(output).ok()?.clone();
    let from = graph.shape(image).ok()?;
    let (&[batch, pixels], [first, channels, ..]) = (&tensor_type.shape.0[..], &from.0[..]) else {
        return None;
    };
    let (pixels, channels) = (pixels.fixed()?, channels.fixed()?);
    if *first != batch || channels == 0 || from.rank() < 3 || pixels > MOST_CHANNELS {
        return None;
    }
    let (input, map) = chain(graph, producers, image)?;
    let each = |values: &[f64]| -> Vec<f64> {
        values.iter().flat_map(|value| std::iter::repeat_n(*value, pixels / channels)).collect()
    };
    let flat = graph.add_fresh_value(&format!("{}/flat", node.name), Some(tensor_type));
    let mut reshape = node.clone();
    reshape.inputs[0] = Some(input);
    reshape.outputs = vec![Some(flat)];
    let multiply = channel_node(graph, &node.name, "Mul", flat, &each(&map.scale))?;
    let mut add = channel_node(graph, &node.name, "Add", multiply.optional_output(0)?, &each(&map.shift))?;
    add.outputs = vec![Some(output)];
    Some(vec![reshape, multiply, add])
}

/// The longest chain of per-channel nodes that ends in `value`: its input, and what it computes altogether.
fn chain(graph: &Graph, producers: &HashMap<ValueId, NodeId>, value: ValueId) -> Option<(ValueId, Affine)> {
    let step = |value: ValueId| per_channel(graph, graph.node(*producers.get(&value)?));
    let (mut input, mut map) = step(value)?;
    while let Some((earlier, first)) = step(input) {
        map = map.after(&first);
        input = earlier;
    }
    Some((input, map))
}

/// `x` and what is computed of it, where a node does the same to all elements of a channel, the channels being axis 1.
fn per_channel(graph: &Graph, node: &Node) -> Option<(ValueId, Affine)> {
    if node.op_type == "BatchNormalization" {
        let trains = node.attributes.int("training_mode", 0).ok()? != 0;
        return Some((node.optional_input(0)?, super::affine::affine(graph, node).filter(|_| !trains)?));
    }
    let (left, right) = (node.optional_input(0)?, node.optional_input(1)?);
    let channel = |value, constant| channel_values(graph, node, value, graph.constant(constant)?);
    let (input, values) = match channel(left, right) {
        Some(values) => (left, values),
        None if matches!(&*node.op_type, "Add" | "Mul") => (right, channel(right, left)?),
        None => return None,
    };
    let (one, zero) = (vec![1.0; values.len()], vec![0.0; values.len()]);
    let each = |of: fn(f64) -> f64| values.iter().map(|value| of(*value)).collect();
    let map = match &*node.op_type {
        "Add" => Affine { scale: one, shift: values },
        "Sub" => Affine { scale: one, shift: each(|value| -value) },
        "Mul" => Affine { scale: values, shift: zero },
        "Div" => Affine { scale: each(f64::recip), shift: zero },
        _ => return None,
    };
    Some((input, map))
}

/// One value for each channel, from a constant that is the same for all elements of a channel.
fn channel_values(graph: &Graph, node: &Node, value: ValueId, constant: &Tensor) -> Option<Vec<f64>> {
    let shape = graph.shape(value).ok()?;
    let same_shape = graph.shape(node.optional_output(0)?).ok()? == shape;
    let channels = shape.0.get(1)?.fixed().filter(|channels| *channels <= MOST_CHANNELS)?;
    let before = shape.rank().checked_sub(constant.dims().len()).filter(|_| same_shape)?;
    let varies = |(axis, size): (usize, &usize)| *size != 1 && axis + before != 1;
    if constant.dims().iter().enumerate().any(varies) {
        return None;
    }
    let values: Vec<f64> = constant.to_f32()?.into_iter().map(f64::from).collect();
    match values[..] {
        [value] => Some(vec![value; channels]),
        _ => Some(values),
    }
}
