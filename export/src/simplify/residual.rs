//! LayerNormalization of a residual stream, with the sums around it.
//!
//! Forward, a stream `x + y` is written by an Add, read by the LayerNormalization and read again by the next Add; backward, the
//! gradient of the layer is added to what comes around it. Each is one pass with a kernel, and the bias of the layer that
//! makes `y` comes with it.

use std::collections::{HashMap, HashSet};

use super::fuse::take_bias;
use super::uses;
use crate::autodiff::kernels::{LAYER_NORMALIZATION_GRADIENT, RESIDUAL_LAYER_NORMALIZATION};
use crate::graph::{Attributes, Dim, Graph, Node, NodeId, ValueId};

/// The default of ONNX's LayerNormalization.
const EPSILON: f32 = 1e-5;

/// Rewrites a typed graph, differentiated or not.
pub(super) fn fuse(graph: &mut Graph) {
    sums_of_gradients(graph);
    sums_that_are_normalised(graph);
    graph.prune();
}

/// `gradient of the layer + what comes around it` in the place of the Add.
fn sums_of_gradients(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), uses(graph));
    for id in (0..graph.nodes().len() as u32).map(NodeId) {
        let Some([left, right]) = equal_terms(graph, graph.node(id)) else { continue };
        let gradient = |value: &ValueId| {
            let node = graph.node(*producers.get(value).filter(|_| uses.get(value) == Some(&1))?);
            (node.op_type == LAYER_NORMALIZATION_GRADIENT && node.inputs.len() == 3).then(|| node.clone())
        };
        let found = [(left, right), (right, left)]
            .into_iter()
            .find_map(|(value, around)| gradient(&value).map(|node| (node, around)));
        if let Some((gradient, around)) = found {
            let add = graph.node_mut(id);
            add.op_type = gradient.op_type;
            add.attributes = gradient.attributes;
            add.inputs = gradient.inputs;
            add.inputs.push(Some(around));
        }
    }
}

/// The Add and the LayerNormalization of its sum as one node, where the Add stood.
fn sums_that_are_normalised(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), uses(graph));
    let mut taken_in = HashSet::new();
    for id in (0..graph.nodes().len() as u32).map(NodeId) {
        let layer = graph.node(id).clone();
        let Some(sum) = layer.optional_input(0).filter(|_| is_bare(graph, &uses, &layer)) else { continue };
        let Some(add) = producers.get(&sum).copied().filter(|add| !taken_in.contains(add)) else { continue };
        let Some(terms) = equal_terms(graph, graph.node(add)) else { continue };
        let Some(deviations) = deviations(graph, &layer) else { continue };
        // The kernel adds the bias to its second term.
        let biased = terms.iter().enumerate().find_map(|(place, term)| {
            let gemm = layer_of(graph, &producers, &uses, *term)?;
            Some((place, take_bias(graph, gemm)?))
        });
        let (second, bias) = biased.map_or((1, None), |(place, bias)| (place, Some(bias)));
        let epsilon = layer.attributes.float("epsilon", EPSILON).unwrap_or(EPSILON);
        let node = graph.node_mut(add);
        node.op_type = RESIDUAL_LAYER_NORMALIZATION.to_owned();
        node.inputs = [terms[1 - second], terms[second]].into_iter().chain(bias).map(Some).collect();
        node.outputs = vec![Some(sum), layer.optional_output(0), Some(deviations)];
        node.attributes = Attributes::from_pairs([("epsilon", epsilon.into())]);
        taken_in.insert(id);
    }
    let kept =
        graph.nodes().iter().enumerate().filter(|(index, _)| !taken_in.contains(&NodeId(*index as u32)));
    let kept = kept.map(|(_, node)| node.clone()).collect();
    graph.set_nodes(kept);
}

/// The terms of an Add that have the shape of its sum.
fn equal_terms(graph: &Graph, add: &Node) -> Option<[ValueId; 2]> {
    let terms = [add.optional_input(0).filter(|_| add.op_type == "Add")?, add.optional_input(1)?];
    let shape = graph.shape(add.optional_output(0)?).ok()?;
    terms.iter().all(|term| graph.shape(*term).is_ok_and(|found| found == shape)).then_some(terms)
}

/// Whether a node is a LayerNormalization of rows without scale and shift whose means nobody reads.
fn is_bare(graph: &Graph, uses: &HashMap<ValueId, usize>, node: &Node) -> bool {
    if node.op_type != "LayerNormalization" {
        return false;
    }
    let rank = node.optional_input(0).and_then(|x| graph.shape(x).ok()).map(|shape| shape.rank() as i64);
    let axis = node.attributes.int("axis", -1).ok();
    let is_last = rank.zip(axis).is_some_and(|(rank, axis)| axis == -1 || axis + 1 == rank);
    let scale = node.optional_input(1).and_then(|scale| graph.constant(scale)?.to_f32());
    let is_one = scale.is_some_and(|scale| scale.iter().all(|value| *value == 1.0));
    let means = node.optional_output(1).is_some_and(|means| uses.contains_key(&means));
    is_last && is_one && node.optional_input(2).is_none() && !means
}

/// The node's inverse deviations, or a value for them.
fn deviations(graph: &mut Graph, layer: &Node) -> Option<ValueId> {
    if let Some(known) = layer.optional_output(2) {
        return Some(known);
    }
    let mut tensor_type = graph.tensor_type(layer.optional_output(0)?).ok()?.clone();
    *tensor_type.shape.0.last_mut()? = Dim::Fixed(1);
    Some(graph.add_fresh_value(&format!("{}/deviations", layer.name), Some(tensor_type)))
}

/// The Gemm whose rows a value is, as they are or with their tokens apart, where nothing else reads them.
fn layer_of(
    graph: &Graph,
    producers: &HashMap<ValueId, NodeId>,
    uses: &HashMap<ValueId, usize>,
    value: ValueId,
) -> Option<NodeId> {
    let read_once = |value: ValueId| producers.get(&value).copied().filter(|_| uses.get(&value) == Some(&1));
    let first = read_once(value)?;
    if graph.node(first).op_type != "Reshape" {
        return Some(first);
    }
    let rows = graph.node(first).optional_input(0)?;
    let width = |value: ValueId| graph.shape(value).ok()?.0.last().copied();
    read_once(rows).filter(|_| width(rows) == width(value))
}
