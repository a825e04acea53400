//! Folds a per-channel affine map `x·scale + shift` before or after a Conv or Gemm into its weights and bias.
//!
//! Before the first layer this is the normalisation of the pixels: a subtraction and a division of every pixel in each
//! forward pass, and their adjoints in each backward pass. After a layer it is the BatchNormalization of the training.
//! Channels are axis 1. Into a Conv with zero padding only the scale can be folded: the padding is not mapped, and
//! `0·scale + shift` would not be zero.

use std::collections::HashMap;

use super::affine::{Affine, f32_tensor};
use super::layer::Layer;
use super::use_counts::use_counts;
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};
use crate::tensor::Tensor;

/// Nothing is folded for more channels or flat pixels than this: a file can state any number, and each costs two
/// floats.
const MAX_CHANNELS: usize = 1 << 20;

/// Folds the affine map before a Conv or Gemm into its weights.
pub(super) fn fold_preceding(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), use_counts(graph));
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    for index in 0..graph.nodes().len() {
        let node = graph.node(NodeId(index as u32)).clone();
        let read = node.optional_input(0).filter(|_| matches!(&*node.op_type, "Conv" | "Gemm"));
        let found = read.and_then(|read| affine_chain(graph, &producers, read));
        let layer = found.as_ref().and_then(|_| Layer::from_node(graph, &node));
        let rewritten = match (found, layer) {
            (Some((input, map)), Some(layer)) if layer.inputs() == map.scale.len() => {
                let read_once = read.and_then(|id| uses.get(&id)) == Some(&1);
                fold_into_layer(graph, &node, layer, input, &map, read_once)
            }
            _ => None,
        };
        nodes.extend(rewritten.unwrap_or_else(|| vec![node]));
    }
    graph.set_nodes(nodes);
}

/// The layer that reads `input`, with `map` folded into its weights.
fn fold_into_layer(
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
    // x·scale + shift = (x + shift/scale)·scale. If other nodes read the map too, the Add would be an additional node.
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
    let values = graph.add_constant(&format!("{name}/constant"), f32_tensor(&dims, values));
    let output = graph.add_fresh_value(&name, Some(tensor_type));
    Some(Node {
        name: graph.value(output).name.clone(),
        op_type: op_type.to_owned(),
        inputs: vec![Some(input), Some(values)],
        outputs: vec![Some(output)],
        attributes: Attributes::default(),
    })
}

/// Folds the affine map after a Conv or Gemm into its weights, if nothing else reads the layer.
pub(super) fn fold_following(graph: &mut Graph) {
    let (mut producers, uses) = (graph.producers(), use_counts(graph));
    let mut folded = vec![false; graph.nodes().len()];
    for (index, folded) in folded.iter_mut().enumerate() {
        let id = NodeId(index as u32);
        let Some((input, map)) = channel_affine(graph, graph.node(id)) else { continue };
        let Some(producer) = producers.get(&input).copied().filter(|_| uses.get(&input) == Some(&1)) else {
            continue;
        };
        let node = graph.node(producer).clone();
        let layer = Layer::from_node(graph, &node).filter(|layer| layer.outputs() == map.scale.len());
        let (Some(layer), Some(read)) = (layer, node.optional_input(0)) else { continue };
        let mut node = layer.before(&map).write(graph, &node, read);
        node.outputs = vec![graph.node(id).optional_output(0)];
        producers.extend(node.outputs.iter().flatten().map(|output| (*output, producer)));
        *graph.node_mut(producer) = node;
        *folded = true;
    }
    let remaining = graph.nodes().iter().zip(folded).filter(|(_, folded)| !folded);
    let remaining = remaining.map(|(node, _)| node.clone()).collect();
    graph.set_nodes(remaining);
}

/// Moves the flattening of images before per-channel nodes, so that these come directly before a layer.
pub(super) fn flatten_before(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), use_counts(graph));
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    for index in 0..graph.nodes().len() {
        let node = graph.node(NodeId(index as u32)).clone();
        let read_once = node.optional_input(0).and_then(|id| uses.get(&id)) == Some(&1);
        let rewritten = read_once.then(|| flattened(graph, &producers, &node)).flatten();
        nodes.extend(rewritten.unwrap_or_else(|| vec![node]));
    }
    graph.set_nodes(nodes);
}

/// `Reshape → Mul → Add`, with one scale and shift a pixel, in place of a Reshape of `x·scale + shift` to
/// `[N, pixels]`.
fn flattened(graph: &mut Graph, producers: &HashMap<ValueId, NodeId>, node: &Node) -> Option<Vec<Node>> {
    let image = node.optional_input(0).filter(|_| matches!(&*node.op_type, "Reshape" | "Flatten"))?;
    let output = node.optional_output(0)?;
    let tensor_type = graph.tensor_type(output).ok()?.clone();
    let from = graph.shape(image).ok()?;
    let (&[batch, pixels], [first, channels, ..]) = (&tensor_type.shape.0[..], &from.0[..]) else {
        return None;
    };
    let (pixels, channels) = (pixels.fixed()?, channels.fixed()?);
    if *first != batch || channels == 0 || from.rank() < 3 || pixels > MAX_CHANNELS {
        return None;
    }
    let (input, map) = affine_chain(graph, producers, image)?;
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

/// The longest chain of per-channel nodes that ends in `value`: its input, and the map that it computes as a whole.
fn affine_chain(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    value: ValueId,
) -> Option<(ValueId, Affine)> {
    let step = |value: ValueId| channel_affine(graph, graph.node(*producers.get(&value)?));
    let (mut input, mut map) = step(value)?;
    while let Some((earlier, first)) = step(input) {
        map = map.after(&first);
        input = earlier;
    }
    Some((input, map))
}

/// `x` and the map of it, if a node applies one affine function to all elements of a channel (axis 1).
fn channel_affine(graph: &Graph, node: &Node) -> Option<(ValueId, Affine)> {
    if node.op_type == "BatchNormalization" {
        let is_training = node.attributes.int("training_mode", 0).ok()? != 0;
        return Some((
            node.optional_input(0)?,
            super::affine::batch_norm_affine(graph, node).filter(|_| !is_training)?,
        ));
    }
    let (left, right) = (node.optional_input(0)?, node.optional_input(1)?);
    let channel = |value, constant| channel_values(graph, node, value, graph.constant(constant)?);
    let (input, values) = match channel(left, right) {
        Some(values) => (left, values),
        None if matches!(&*node.op_type, "Add" | "Mul") => (right, channel(right, left)?),
        None => return None,
    };
    let (one, zero) = (vec![1.0; values.len()], vec![0.0; values.len()]);
    let each = |function: fn(f64) -> f64| values.iter().map(|value| function(*value)).collect();
    let map = match &*node.op_type {
        "Add" => Affine { scale: one, shift: values },
        "Sub" => Affine { scale: one, shift: each(|value| -value) },
        "Mul" => Affine { scale: values, shift: zero },
        "Div" => Affine { scale: each(f64::recip), shift: zero },
        _ => return None,
    };
    Some((input, map))
}

/// One value a channel, from a constant that broadcasts over all other axes.
fn channel_values(graph: &Graph, node: &Node, value: ValueId, constant: &Tensor) -> Option<Vec<f64>> {
    let shape = graph.shape(value).ok()?;
    let same_shape = graph.shape(node.optional_output(0)?).ok()? == shape;
    let channels = shape.0.get(1)?.fixed().filter(|channels| *channels <= MAX_CHANNELS)?;
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
