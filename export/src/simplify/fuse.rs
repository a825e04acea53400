//! Operators of the forward pass that the engine has kernels for, in place of standard ones.
//!
//! An exact Gelu adds the bias of the layer before it, and hands out its slope: the gradient is one product then, and the
//! error function and the exponential are computed once, together. A Softmax whose shares are never denormal numbers makes
//! the products with them as fast as others.

use super::uses;
use crate::autodiff::kernels::{GELU, GELU_GRADIENT, SOFTMAX};
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};

/// Rewrites a typed graph, differentiated or not; only sessions that know our operators run it then.
pub(crate) fn fuse(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), uses(graph));
    for id in (0..graph.nodes().len() as u32).map(NodeId) {
        let node = graph.node(id);
        if is_last_softmax(graph, node) {
            let node = graph.node_mut(id);
            node.op_type = SOFTMAX.to_owned();
            node.attributes = Attributes::default();
        } else if is_exact_gelu(node)
            && let Some(x) = node.optional_input(0)
        {
            let gradients = gradients(graph, x);
            let readers = 1 + gradients.len();
            let layer = producers.get(&x).copied().filter(|_| uses.get(&x) == Some(&readers));
            let bias = layer.and_then(|layer| take_bias(graph, layer));
            let slope = (!gradients.is_empty()).then(|| hand_out_slope(graph, id, &gradients));
            let gelu = graph.node_mut(id);
            gelu.op_type = GELU.to_owned();
            gelu.inputs = [Some(x)].into_iter().chain(bias.map(Some)).collect();
            gelu.outputs.extend(slope.map(Some));
            gelu.attributes = Attributes::default();
        }
    }
}

pub(super) fn is_exact_gelu(node: &Node) -> bool {
    node.op_type == "Gelu" && node.attributes.text("approximate", "none") == Ok("none")
}

fn is_last_softmax(graph: &Graph, node: &Node) -> bool {
    let shape = node.optional_input(0).and_then(|x| graph.shape(x).ok());
    let axis = node.attributes.int("axis", -1).ok();
    node.op_type == "Softmax"
        && shape.zip(axis).is_some_and(|(shape, axis)| axis == -1 || axis + 1 == shape.rank() as i64)
}

/// The gradients of Gelu at `x`.
fn gradients(graph: &Graph, x: ValueId) -> Vec<NodeId> {
    let numbered = graph.nodes().iter().enumerate();
    numbered
        .filter(|(_, node)| node.op_type == GELU_GRADIENT && node.optional_input(1) == Some(x))
        .map(|(index, _)| NodeId(index as u32))
        .collect()
}

/// Makes the gradients products with one more value of the Gelu's type: its slope.
fn hand_out_slope(graph: &mut Graph, gelu: NodeId, gradients: &[NodeId]) -> ValueId {
    let gelu = graph.node(gelu);
    let name = format!("{}/slope", gelu.name);
    let tensor_type = gelu.optional_output(0).and_then(|y| graph.value(y).tensor_type.clone());
    let slope = graph.add_fresh_value(&name, tensor_type);
    for id in gradients {
        let gradient = graph.node_mut(*id);
        gradient.op_type = "Mul".to_owned();
        gradient.inputs[1] = Some(slope);
    }
    slope
}

/// The bias that the node adds to each row of what it computes, if it is a layer: without it from then on.
fn take_bias(graph: &mut Graph, layer: NodeId) -> Option<ValueId> {
    let gemm = graph.node(layer);
    let bias = gemm.optional_input(2).filter(|_| gemm.op_type == "Gemm")?;
    let width = graph.shape(gemm.optional_output(0)?).ok()?.0.last()?.fixed()?;
    let is_row = graph.constant(bias)?.dims() == [width];
    if !is_row || gemm.attributes.float("beta", 1.0) != Ok(1.0) {
        return None;
    }
    graph.node_mut(layer).inputs.truncate(2);
    Some(bias)
}
