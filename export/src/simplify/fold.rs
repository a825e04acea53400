//! Constant folding.

use crate::error::Result;
use crate::facts::Known;
use crate::graph::{Graph, Node, NodeId, ValueId};
use crate::shape::infer_with;
use crate::tensor::Tensor;

/// Most elements of a folded constant; larger tensors are computed when the model runs.
const LARGEST_FOLDED: usize = 1 << 22;

/// Most elements of a folded ConstantOfShape, Expand or Tile: larger ones are cheaper to compute than to store.
const LARGEST_REPEATED: usize = 1 << 12;

/// Replaces every node whose outputs are known before the graph runs by constants.
pub(super) fn constants(graph: &mut Graph) -> Result<()> {
    let mut known = Known::new(LARGEST_FOLDED);
    let mut folded = vec![false; graph.nodes().len()];
    for (index, folded) in folded.iter_mut().enumerate() {
        let id = NodeId(index as u32);
        infer_with(graph, id, &mut known)?;
        if let Some(tensors) = results(graph, graph.node(id), &known) {
            *folded = true;
            for (output, tensor) in tensors {
                graph.set_constant(output, tensor);
                known.remove(output);
            }
        }
    }
    let nodes = graph.nodes().iter().zip(folded).filter(|(_, folded)| !folded).map(|(node, _)| node.clone());
    let nodes = nodes.collect();
    graph.set_nodes(nodes);
    Ok(())
}

fn results(graph: &Graph, node: &Node, known: &Known) -> Option<Vec<(ValueId, Tensor)>> {
    let repeats = matches!(node.op_type.as_str(), "ConstantOfShape" | "Expand" | "Tile");
    let largest = if repeats { LARGEST_REPEATED } else { LARGEST_FOLDED };
    let result = |output: &ValueId| {
        if graph.outputs().contains(output) {
            return None;
        }
        let tensor = known.content(graph, *output)?.to_tensor(graph.tensor_type(*output).ok()?.dtype)?;
        (tensor.elements() <= largest).then_some((*output, tensor))
    };
    node.outputs.iter().flatten().map(result).collect()
}

/// Gives every Reshape whose target is computed a constant target, with `-1` for the batch.
pub(super) fn reshape_targets(graph: &mut Graph) {
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let Some((name, target)) = computed_target(graph, graph.node(id)) else { continue };
        let target = graph.add_constant(&format!("{name}/target"), target);
        let node = graph.node_mut(id);
        node.inputs[1] = Some(target);
        node.attributes.0.remove("allowzero");
    }
}

fn computed_target(graph: &Graph, node: &Node) -> Option<(String, Tensor)> {
    let target = node.optional_input(1).filter(|_| node.op_type == "Reshape")?;
    if graph.constant(target).is_some() {
        return None;
    }
    let shape = graph.shape(node.optional_output(0)?).ok()?;
    // In a target, 0 means "copy this dimension", and -1 is undefined if a dimension is 0.
    let empty = shape.0.iter().any(|dim| dim.fixed() == Some(0));
    let target = shape.reshape_target().ok().filter(|_| !empty)?;
    Some((node.name.clone(), Tensor::vector_i64(&target)))
}
