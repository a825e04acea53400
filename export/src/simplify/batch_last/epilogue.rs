//! What follows a layer is computed before the layer's result is written: a sum with another value, a Relu, and the gate
//! of the gradient of a Relu.

use std::collections::HashMap;

use crate::graph::own_operators::CONVOLUTION_BATCH_LAST;
use crate::graph::{Attribute, Graph, Node, ValueId};
use crate::simplify::use_counts::use_counts;

/// Positions among the inputs of the layer.
const RESIDUAL: usize = 3;
const GATE: usize = 4;

/// Lets layers absorb the nodes that follow them, where nothing else reads what is between.
pub(super) fn absorb(graph: &mut Graph) {
    let mut nodes: Vec<Option<Node>> = graph.nodes().iter().cloned().map(Some).collect();
    let uses = use_counts(graph);
    let alone = |value: ValueId| uses.get(&value) == Some(&1);
    let mut makers: HashMap<ValueId, usize> = HashMap::new();
    for position in 0..nodes.len() {
        let Some(node) = nodes[position].clone() else { continue };
        let merged = candidates(graph, &node, &makers, &nodes).into_iter().find_map(|(maker, absorbed)| {
            let layer = nodes[maker].as_ref().filter(|layer| layer.optional_output(0).is_some_and(alone))?;
            Some((maker, with(layer, &node, absorbed)?))
        });
        if let Some((maker, layer)) = merged {
            nodes[maker] = None;
            nodes[position] = Some(layer);
        }
        if let Some(node) = &nodes[position] {
            node.outputs.iter().flatten().for_each(|output| {
                makers.insert(*output, position);
            });
        }
    }
    graph.set_nodes(nodes.into_iter().flatten().collect());
}

/// What a layer takes over from the node behind it.
#[derive(Clone, Copy)]
enum Absorbed {
    Residual(ValueId),
    Relu,
    Gate(ValueId),
}

/// The layers that a node might be absorbed by, by position.
fn candidates(
    graph: &Graph,
    node: &Node,
    makers: &HashMap<ValueId, usize>,
    nodes: &[Option<Node>],
) -> Vec<(usize, Absorbed)> {
    let maker = |value: ValueId| {
        let position = *makers.get(&value)?;
        nodes[position].as_ref().map(|node| (position, node))
    };
    let layer = |value: ValueId| {
        maker(value).filter(|(_, node)| node.op_type == CONVOLUTION_BATCH_LAST).map(|(position, _)| position)
    };
    let (Some(left), right) = (node.optional_input(0), node.optional_input(1)) else { return Vec::new() };
    let orders = right.map_or_else(Vec::new, |right| vec![(left, right), (right, left)]);
    let absorbed: Vec<Option<(usize, Absorbed)>> = match &*node.op_type {
        "Relu" => vec![layer(left).map(|layer| (layer, Absorbed::Relu))],
        "Add" => {
            let fits = |own, other| own != other && graph.shape(own).ok() == graph.shape(other).ok();
            let sums = orders.into_iter().filter(|(own, other)| fits(*own, *other));
            sums.map(|(own, other)| layer(own).map(|layer| (layer, Absorbed::Residual(other)))).collect()
        }
        "Mul" => {
            let gate = |step| maker(step).and_then(|(_, node)| step_of(node));
            let gated = orders.into_iter().map(|(own, step)| (layer(own), gate(step)));
            gated.map(|(layer, gate)| layer.zip(gate.map(Absorbed::Gate))).collect()
        }
        _ => Vec::new(),
    };
    absorbed.into_iter().flatten().collect()
}

/// The value whose sign decides, of a node that is 1 where it is positive and 0 elsewhere.
fn step_of(node: &Node) -> Option<ValueId> {
    let is_step = node.op_type == "HardSigmoid"
        && node.attributes.float("alpha", 0.2) == Ok(f32::MAX)
        && node.attributes.float("beta", 0.5) == Ok(0.0);
    node.optional_input(0).filter(|_| is_step)
}

/// The layer with what it absorbs, writing what the node wrote; `None` where it has done something that comes later.
fn with(layer: &Node, node: &Node, absorbed: Absorbed) -> Option<Node> {
    let is_free = |index: usize| layer.optional_input(index).is_none();
    let is_open = is_free(GATE) && layer.attributes.int("relu", 0) == Ok(0);
    let mut layer = layer.clone();
    match absorbed {
        Absorbed::Residual(other) if is_open && is_free(RESIDUAL) => set_input(&mut layer, RESIDUAL, other),
        Absorbed::Relu if is_open => {
            layer.attributes.0.insert("relu".to_owned(), Attribute::Int(1));
        }
        Absorbed::Gate(gate) if is_free(GATE) => set_input(&mut layer, GATE, gate),
        Absorbed::Residual(_) | Absorbed::Relu | Absorbed::Gate(_) => return None,
    }
    layer.outputs.clone_from(&node.outputs);
    Some(layer)
}

fn set_input(layer: &mut Node, index: usize, value: ValueId) {
    layer.inputs.resize(layer.inputs.len().max(index + 1), None);
    layer.inputs[index] = Some(value);
}
