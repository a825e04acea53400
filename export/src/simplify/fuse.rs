//! Replaces standard operators of the forward pass by our own, for engines that have our kernels.
//!
//! Our Gelu also adds the bias of the layer before it and outputs its derivative. The gradient is then one product, and
//! the error function and the exponential are computed only once, together. Our Softmax flushes denormals to zero, so
//! that the matrix products that read it do not slow down.

use super::use_counts::use_counts;
use crate::graph::own_operators::{GELU, GELU_GRADIENT, SOFTMAX};
use crate::graph::{Attributes, Graph, Node, NodeId, ValueId};

/// Rewrites a typed graph, differentiated or not. Afterwards only sessions with our operators can run it.
pub(crate) fn fuse(graph: &mut Graph) {
    let (producers, uses) = (graph.producers(), use_counts(graph));
    for id in (0..graph.nodes().len() as u32).map(NodeId) {
        let node = graph.node(id);
        if is_last_axis_softmax(graph, node) {
            let node = graph.node_mut(id);
            node.op_type = SOFTMAX.to_owned();
            node.attributes = Attributes::default();
        } else if is_exact_gelu(node)
            && let Some(x) = node.optional_input(0)
        {
            let gradients = gelu_gradients(graph, x);
            let readers = 1 + gradients.len();
            let layer = producers.get(&x).copied().filter(|_| uses.get(&x) == Some(&readers));
            let bias = layer.and_then(|layer| detach_bias(graph, layer));
            let slope = (!gradients.is_empty()).then(|| add_slope_output(graph, id, &gradients));
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

fn is_last_axis_softmax(graph: &Graph, node: &Node) -> bool {
    let shape = node.optional_input(0).and_then(|x| graph.shape(x).ok());
    let axis = node.attributes.int("axis", -1).ok();
    node.op_type == "Softmax"
        && shape.zip(axis).is_some_and(|(shape, axis)| axis == -1 || axis + 1 == shape.rank() as i64)
}

/// The gradients of Gelu at `x`.
fn gelu_gradients(graph: &Graph, x: ValueId) -> Vec<NodeId> {
    let numbered = graph.nodes().iter().enumerate();
    numbered
        .filter(|(_, node)| node.op_type == GELU_GRADIENT && node.optional_input(1) == Some(x))
        .map(|(index, _)| NodeId(index as u32))
        .collect()
}

/// Replaces the gradients by products with the slope, a new value of the Gelu's type, which is returned.
fn add_slope_output(graph: &mut Graph, gelu: NodeId, gradients: &[NodeId]) -> ValueId {
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

/// Removes the bias from a Gemm that adds one to each row, and returns it.
fn detach_bias(graph: &mut Graph, layer: NodeId) -> Option<ValueId> {
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
