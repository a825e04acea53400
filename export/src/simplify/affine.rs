//! BatchNormalization over the last axis, and its way into the weights of the next MatMul.
//!
//! In a transformer a BatchNormalization stands between two transpositions, because its channels must be axis 1. In
//! inference it is `x·scale + shift` on whichever axis the channels are, so that the transpositions are not needed;
//! and where only matrices read the result, `(x·scale + shift)·W = x·(diag(scale)·W) + shift·W` needs no node at all.

use std::collections::HashMap;

use super::uses;
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};
use crate::shape::{Known, NodeView, permutation};
use crate::tensor::Tensor;

/// `x·scale + shift`, one number a channel.
pub(super) struct Affine {
    pub(super) scale: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

impl Affine {
    /// `self` of what `first` makes of `x`.
    pub(super) fn after(&self, first: &Self) -> Self {
        let product = |(a, b): (&f64, &f64)| a * b;
        let shifted = self.scale.iter().zip(&first.shift).map(product);
        Self {
            scale: self.scale.iter().zip(&first.scale).map(product).collect(),
            shift: shifted.zip(&self.shift).map(|(shifted, shift)| shifted + shift).collect(),
        }
    }
}

/// Rewrites `Transpose → BatchNormalization → Transpose` back to the first layout, if the channels are last in it, as
/// `Mul → Add`.
pub(super) fn normalise_in_place(graph: &mut Graph) {
    let (uses, producers) = (uses(graph), graph.producers());
    for index in 0..graph.nodes().len() {
        let back = NodeId(index as u32);
        let producer = |id: Option<ValueId>| producers.get(&id?).copied();
        let Some(batch) = producer(graph.node(back).optional_input(0)) else { continue };
        let Some(there) = producer(graph.node(batch).optional_input(0)) else { continue };
        let read_once = graph.node(batch).optional_output(0).and_then(|id| uses.get(&id)) == Some(&1);
        if !read_once || !channels_are_last(graph, [there, batch, back]) {
            continue;
        }
        if let Some(affine) = affine(graph, graph.node(batch)) {
            let input = graph.node(there).optional_input(0);
            become_binary(graph, batch, "Mul", input, &affine.scale);
            let scaled = graph.node(batch).optional_output(0);
            become_binary(graph, back, "Add", scaled, &affine.shift);
        }
    }
}

/// Whether these are a Transpose that brings the last axis to axis 1, a BatchNormalization, and the way back.
fn channels_are_last(graph: &Graph, [there, batch, back]: [NodeId; 3]) -> bool {
    let known = Known::new(0);
    let axes = |id: NodeId| {
        let node = graph.node(id);
        (node.op_type == "Transpose").then(|| permutation(&NodeView { graph, node, known: &known }).ok())?
    };
    let (Some(there), Some(back)) = (axes(there), axes(back)) else { return false };
    graph.node(batch).op_type == "BatchNormalization"
        && there.get(1).is_some_and(|channels| channels + 1 == there.len())
        && back.iter().enumerate().all(|(axis, from)| there[*from] == axis)
}

/// `scale = γ/√(σ² + ε)` and `shift = β − μ·scale` of a BatchNormalization with constant parameters.
pub(super) fn affine(graph: &Graph, node: &Node) -> Option<Affine> {
    let parameter = |index: usize| graph.constant(node.optional_input(index)?)?.to_f32();
    let (gamma, beta, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = f64::from(node.attributes.float("epsilon", 1e-5).ok()?);
    let deviations = variance.iter().map(|variance| (f64::from(*variance) + epsilon).sqrt());
    let scale: Vec<f64> =
        gamma.iter().zip(deviations).map(|(gamma, deviation)| f64::from(*gamma) / deviation).collect();
    let centres = mean.iter().zip(&scale).map(|(mean, scale)| f64::from(*mean) * scale);
    let shift = beta.iter().zip(centres).map(|(beta, centre)| f64::from(*beta) - centre).collect();
    Some(Affine { scale, shift })
}

/// Makes a node `op_type(input, values)`, its output staying what it is.
fn become_binary(graph: &mut Graph, id: NodeId, op_type: &str, input: Option<ValueId>, values: &[f64]) {
    let base = format!("{}/{op_type}", graph.node(id).name);
    let values = graph.add_constant(&base, rounded(&[values.len()], values));
    let node = graph.node_mut(id);
    node.op_type = op_type.to_owned();
    node.inputs = vec![input, Some(values)];
    node.attributes = Attributes::default();
}

pub(super) fn rounded(dims: &[usize], values: &[f64]) -> Tensor {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    Tensor::from_f32(dims, &values)
}

/// Moves `x·scale + shift` into every MatMul with constant weights that reads it.
pub(super) fn fold_into_weights(graph: &mut Graph) {
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    let (uses, producers) = (uses(graph), graph.producers());
    for index in 0..graph.nodes().len() {
        let node = graph.node(NodeId(index as u32)).clone();
        let read = node.optional_input(0).filter(|_| node.op_type == "MatMul");
        let found = read.and_then(|id| {
            let add = *producers.get(&id)?;
            let read_once = uses.get(&id) == Some(&1);
            scaled_and_shifted(graph, &producers, add).or_else(|| shifted(graph, add).filter(|_| read_once))
        });
        let folded = found.and_then(|(input, affine)| folded(graph, &node, input, &affine));
        match folded {
            Some(pair) => nodes.extend(pair),
            None => nodes.push(node),
        }
    }
    graph.set_nodes(nodes);
}

/// `x` and the numbers of `Add(Mul(x, scale), shift)` with constant vectors.
fn scaled_and_shifted(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    add: NodeId,
) -> Option<(ValueId, Affine)> {
    let (scaled, shift) = with_vector(graph, graph.node(add), "Add")?;
    let (input, scale) = with_vector(graph, graph.node(*producers.get(&scaled)?), "Mul")?;
    (scale.len() == shift.len()).then_some((input, Affine { scale, shift }))
}

/// `x` and the numbers of `Add(x, shift)` with a constant vector.
fn shifted(graph: &Graph, add: NodeId) -> Option<(ValueId, Affine)> {
    let (input, shift) = addends(graph, graph.node(add))?;
    Some((input, Affine { scale: vec![1.0; shift.len()], shift }))
}

/// The two operands of `op_type(value, constant vector)`.
fn with_vector(graph: &Graph, node: &Node, op_type: &str) -> Option<(ValueId, Vec<f64>)> {
    let (value, vector) = (node.optional_input(0)?, node.optional_input(1)?);
    let constant =
        graph.constant(vector).filter(|constant| node.op_type == op_type && constant.dims().len() == 1)?;
    Some((value, constant.to_f32()?.into_iter().map(f64::from).collect()))
}

/// `MatMul → Add` of `x` in place of a MatMul of `x·scale + shift`.
fn folded(graph: &mut Graph, node: &Node, input: ValueId, affine: &Affine) -> Option<[Node; 2]> {
    let weights = graph.constant(node.optional_input(1)?)?;
    let (dims, values) = (weights.dims().to_vec(), weights.to_f32()?);
    let &[rows, columns] = &*dims else { return None };
    if rows != affine.scale.len() || columns == 0 {
        return None;
    }
    let mut scaled = Vec::with_capacity(values.len());
    let mut bias = vec![0.0; columns];
    for ((row, scale), shift) in values.chunks_exact(columns).zip(&affine.scale).zip(&affine.shift) {
        scaled.extend(row.iter().map(|weight| f64::from(*weight) * scale));
        bias.iter_mut().zip(row).for_each(|(bias, weight)| *bias += f64::from(*weight) * shift);
    }
    let weights = graph.add_constant(&format!("{}/weights", node.name), rounded(&dims, &scaled));
    let bias = graph.add_constant(&format!("{}/bias", node.name), rounded(&[columns], &bias));
    let product = graph.add_fresh_value(&format!("{}/product", node.name), None);
    let multiply =
        Node { inputs: vec![Some(input), Some(weights)], outputs: vec![Some(product)], ..node.clone() };
    let add = Node {
        name: format!("{}/Add", node.name),
        op_type: "Add".to_owned(),
        inputs: vec![Some(product), Some(bias)],
        ..node.clone()
    };
    Some([multiply, add])
}

/// Adds up the constants of two Adds in a row.
pub(super) fn merge_biases(graph: &mut Graph) {
    let (uses, producers) = (uses(graph), graph.producers());
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let Some((inner, own)) = addends(graph, graph.node(id)) else { continue };
        let Some(first) = producers.get(&inner).filter(|_| uses.get(&inner) == Some(&1)) else { continue };
        let Some((input, other)) =
            addends(graph, graph.node(*first)).filter(|(_, other)| other.len() == own.len())
        else {
            continue;
        };
        let sum: Vec<f64> = own.iter().zip(&other).map(|(a, b)| a + b).collect();
        become_binary(graph, id, "Add", Some(input), &sum);
    }
}

/// The operands of an Add of a constant vector on either side.
pub(super) fn addends(graph: &Graph, node: &Node) -> Option<(ValueId, Vec<f64>)> {
    let mut turned = node.clone();
    turned.inputs.reverse();
    with_vector(graph, node, "Add").or_else(|| with_vector(graph, &turned, "Add"))
}
