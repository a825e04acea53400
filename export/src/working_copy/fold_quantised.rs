//! Folds QuantizeLinear and DequantizeLinear of constants, of any size: the gradient rules expect constant weights.

use super::quantisation::{Parameters, dequantised, quantised};
use crate::error::Result;
use crate::graph::{Graph, Node};
use crate::tensor::Tensor;

/// Replaces QuantizeLinear and DequantizeLinear of constants by their results. Nodes must be in topological order.
pub(super) fn fold(graph: &mut Graph) -> Result<()> {
    let nodes = graph.nodes().to_vec();
    let mut kept = Vec::with_capacity(nodes.len());
    for node in nodes {
        match folded(graph, &node).map_err(|error| error.at_node(&node))? {
            Some(tensor) if !graph.outputs().contains(&node.output(0)?) => {
                graph.set_constant(node.output(0)?, tensor);
            }
            _ => kept.push(node),
        }
    }
    graph.set_nodes(kept);
    Ok(())
}

fn folded(graph: &Graph, node: &Node) -> Result<Option<Tensor>> {
    let compute = match standard_operator(node) {
        "DequantizeLinear" => dequantised,
        "QuantizeLinear" => quantised,
        _ => return Ok(None),
    };
    let constant = |index: usize| node.optional_input(index).and_then(|id| graph.constant(id));
    let (Some(values), Some(scale)) = (constant(0), constant(1)) else { return Ok(None) };
    let zero_point = constant(2);
    if zero_point.is_none() && node.optional_input(2).is_some() {
        return Ok(None);
    }
    let (axis, block) = (node.attributes.int("axis", 1)?, node.attributes.int("block_size", 0)?);
    compute(values, &Parameters { scale, zero_point, axis, block }).map(Some)
}

/// The operator without the domain of ONNX Runtime, which has the same two for 16-bit integers before opset 21.
pub(super) fn standard_operator(node: &Node) -> &str {
    node.op_type.strip_prefix("com.microsoft::").unwrap_or(&node.op_type)
}
