//! Affine maps `x·scale + shift` on the last axis, folded into the weights of the MatMul that reads them.
//!
//! A transformer needs two Transposes around a BatchNormalization, because the channels of that operator are axis 1. At
//! inference it is an affine map, which can act on the last axis directly, without the Transposes. If only matrix
//! products read the result, the map costs no node at all: `(x·scale + shift)·W = x·(diag(scale)·W) + shift·W`.

use std::collections::HashMap;

use super::use_counts::use_counts;
use crate::facts::{Known, NodeView};
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};
use crate::operators::types::permutation;
use crate::tensor::Tensor;

/// The map `x·scale + shift`, with one scale and one shift a channel.
pub(super) struct Affine {
    pub(super) scale: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

impl Affine {
    /// The composition `self ∘ first`.
    pub(super) fn after(&self, first: &Self) -> Self {
        let product = |(a, b): (&f64, &f64)| a * b;
        let shifted = self.scale.iter().zip(&first.shift).map(product);
        Self {
            scale: self.scale.iter().zip(&first.scale).map(product).collect(),
            shift: shifted.zip(&self.shift).map(|(shifted, shift)| shifted + shift).collect(),
        }
    }
}

/// Rewrites `Transpose → BatchNormalization → Transpose`, where the Transposes only move the channels from the last
/// axis to axis 1 and back, as `Mul → Add` on the last axis.
pub(super) fn normalise_channels_last(graph: &mut Graph) {
    let (uses, producers) = (use_counts(graph), graph.producers());
    for index in 0..graph.nodes().len() {
        let back = NodeId(index as u32);
        let producer = |id: Option<ValueId>| producers.get(&id?).copied();
        let Some(batch_norm) = producer(graph.node(back).optional_input(0)) else { continue };
        let Some(forward) = producer(graph.node(batch_norm).optional_input(0)) else { continue };
        let read_once = graph.node(batch_norm).optional_output(0).and_then(|id| uses.get(&id)) == Some(&1);
        if !read_once || !channels_are_last(graph, [forward, batch_norm, back]) {
            continue;
        }
        if let Some(affine) = batch_norm_affine(graph, graph.node(batch_norm)) {
            let input = graph.node(forward).optional_input(0);
            replace_with_binary(graph, batch_norm, "Mul", input, &affine.scale);
            let scaled = graph.node(batch_norm).optional_output(0);
            replace_with_binary(graph, back, "Add", scaled, &affine.shift);
        }
    }
}

/// Whether the nodes are a Transpose of the last axis to axis 1, a BatchNormalization, and the inverse Transpose.
fn channels_are_last(graph: &Graph, [forward, batch_norm, back]: [NodeId; 3]) -> bool {
    let known = Known::new(0);
    let axes = |id: NodeId| {
        let node = graph.node(id);
        (node.op_type == "Transpose").then(|| permutation(&NodeView { graph, node, known: &known }).ok())?
    };
    let (Some(forward), Some(back)) = (axes(forward), axes(back)) else { return false };
    graph.node(batch_norm).op_type == "BatchNormalization"
        && forward.get(1).is_some_and(|channels| channels + 1 == forward.len())
        && back.iter().enumerate().all(|(axis, from)| forward[*from] == axis)
}

/// `scale = γ/√(σ² + ε)` and `shift = β − μ·scale` of a BatchNormalization with constant parameters.
pub(super) fn batch_norm_affine(graph: &Graph, node: &Node) -> Option<Affine> {
    let parameter = |index: usize| graph.constant(node.optional_input(index)?)?.to_f32();
    let (gamma, beta, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = f64::from(node.attributes.float("epsilon", 1e-5).ok()?);
    let deviations = variance.iter().map(|variance| (f64::from(*variance) + epsilon).sqrt());
    let scale: Vec<f64> =
        gamma.iter().zip(deviations).map(|(gamma, deviation)| f64::from(*gamma) / deviation).collect();
    let scaled_means = mean.iter().zip(&scale).map(|(mean, scale)| f64::from(*mean) * scale);
    let shift = beta.iter().zip(scaled_means).map(|(beta, mean)| f64::from(*beta) - mean).collect();
    Some(Affine { scale, shift })
}

/// Replaces a node by `op_type(input, values)` with the same output.
fn replace_with_binary(graph: &mut Graph, id: NodeId, op_type: &str, input: Option<ValueId>, values: &[f64]) {
    let base = format!("{}/{op_type}", graph.node(id).name);
    let values = graph.add_constant(&base, f32_tensor(&[values.len()], values));
    let node = graph.node_mut(id);
    node.op_type = op_type.to_owned();
    node.inputs = vec![input, Some(values)];
    node.attributes = Attributes::default();
}

/// The values, computed in double precision, rounded to a float32 tensor.
pub(super) fn f32_tensor(dims: &[usize], values: &[f64]) -> Tensor {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    Tensor::from_f32(dims, &values)
}

/// Folds `x·scale + shift` into every MatMul with constant weights that reads it.
pub(super) fn fold_into_weights(graph: &mut Graph) {
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    let (uses, producers) = (use_counts(graph), graph.producers());
    for index in 0..graph.nodes().len() {
        let node = graph.node(NodeId(index as u32)).clone();
        let read = node.optional_input(0).filter(|_| node.op_type == "MatMul");
        let found = read.and_then(|id| {
            let add = *producers.get(&id)?;
            let read_once = uses.get(&id) == Some(&1);
            scale_and_shift(graph, &producers, add).or_else(|| shift_only(graph, add).filter(|_| read_once))
        });
        let folded = found.and_then(|(input, affine)| folded(graph, &node, input, &affine));
        match folded {
            Some(pair) => nodes.extend(pair),
            None => nodes.push(node),
        }
    }
    graph.set_nodes(nodes);
}

/// `x` and the map of `Add(Mul(x, scale), shift)` with constant vectors.
fn scale_and_shift(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    add: NodeId,
) -> Option<(ValueId, Affine)> {
    let (scaled, shift) = vector_operand(graph, graph.node(add), "Add")?;
    let (input, scale) = vector_operand(graph, graph.node(*producers.get(&scaled)?), "Mul")?;
    (scale.len() == shift.len()).then_some((input, Affine { scale, shift }))
}

/// `x` and the map of `Add(x, shift)` with a constant vector.
fn shift_only(graph: &Graph, add: NodeId) -> Option<(ValueId, Affine)> {
    let (input, shift) = bias_addition(graph, graph.node(add))?;
    Some((input, Affine { scale: vec![1.0; shift.len()], shift }))
}

/// Both operands of `op_type(value, vector)`, where the vector is constant.
fn vector_operand(graph: &Graph, node: &Node, op_type: &str) -> Option<(ValueId, Vec<f64>)> {
    let (value, vector) = (node.optional_input(0)?, node.optional_input(1)?);
    let constant =
        graph.constant(vector).filter(|constant| node.op_type == op_type && constant.dims().len() == 1)?;
    Some((value, constant.to_f32()?.into_iter().map(f64::from).collect()))
}

/// `x·(diag(scale)·W) + shift·W`, a MatMul and an Add, in place of the MatMul of `x·scale + shift` with `W`.
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
    let weights = graph.add_constant(&format!("{}/weights", node.name), f32_tensor(&dims, &scaled));
    let bias = graph.add_constant(&format!("{}/bias", node.name), f32_tensor(&[columns], &bias));
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

/// Merges two adjacent Adds of constant vectors into one.
pub(super) fn merge_biases(graph: &mut Graph) {
    let (uses, producers) = (use_counts(graph), graph.producers());
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let Some((inner, own)) = bias_addition(graph, graph.node(id)) else { continue };
        let Some(first) = producers.get(&inner).filter(|_| uses.get(&inner) == Some(&1)) else { continue };
        let Some((input, other)) =
            bias_addition(graph, graph.node(*first)).filter(|(_, other)| other.len() == own.len())
        else {
            continue;
        };
        let sum: Vec<f64> = own.iter().zip(&other).map(|(a, b)| a + b).collect();
        replace_with_binary(graph, id, "Add", Some(input), &sum);
    }
}

/// Value and bias of an Add of a constant vector, which may be either operand.
pub(super) fn bias_addition(graph: &Graph, node: &Node) -> Option<(ValueId, Vec<f64>)> {
    let mut swapped = node.clone();
    swapped.inputs.reverse();
    vector_operand(graph, node, "Add").or_else(|| vector_operand(graph, &swapped, "Add"))
}
