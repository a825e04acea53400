//! The integers of a model that takes 8-bit levels, as float32.
//!
//! Such a model begins with nodes on uint8 (a Transpose, say) and a Cast or DequantizeLinear to float. Every level is a
//! whole number, so float32 computes the same, and its derivative is not lost.

use std::collections::HashSet;

use super::precision::sharing_a_type;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Graph, Node, NodeId, ValueId};
use crate::tensor::{DataType, Tensor};

/// The name of the node, put in front of the model, that casts pixels to levels.
pub(crate) const TO_LEVELS: &str = "images/to_levels";

/// Makes float32 of the levels of a typed graph, where it has any. Afterwards the types of computed values must be
/// inferred again.
///
/// # Errors
/// Names a DequantizeLinear of the levels with more than one scale.
pub(super) fn as_floats(graph: &mut Graph) -> Result<()> {
    let cast = graph.nodes().iter().position(|node| node.name == TO_LEVELS && node.op_type == "Cast");
    let Some(cast) = cast else { return Ok(()) };
    let levels = graph.nodes()[cast].output(0)?;
    let converted = sharing_a_type(graph, vec![levels])?;
    for id in converted.iter().copied() {
        if let Some(tensor) = graph.constant(id) {
            let values: Vec<f32> = tensor.data().iter().map(|byte| f32::from(*byte)).collect();
            let floats = Tensor::from_f32(tensor.dims(), &values);
            graph.set_constant(id, floats);
        }
    }
    let to = Attributes::from_pairs([("to", Attribute::Int(DataType::Float32 as i64))]);
    graph.node_mut(NodeId(cast as u32)).attributes = to;
    dequantise(graph, &converted)
}

/// DequantizeLinear of floats: `(x - zero) · scale`.
fn dequantise(graph: &mut Graph, converted: &HashSet<ValueId>) -> Result<()> {
    let mut nodes = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes().to_vec() {
        let levels = node.optional_input(0).filter(|id| converted.contains(id));
        match (node.op_type.as_str(), levels) {
            ("DequantizeLinear", Some(levels)) => nodes.extend(as_arithmetic(graph, &node, levels)?),
            _ => nodes.push(node),
        }
    }
    graph.set_nodes(nodes);
    Ok(())
}

fn as_arithmetic(graph: &mut Graph, node: &Node, levels: ValueId) -> Result<Vec<Node>> {
    let scale = node.input(1)?;
    if graph.constant(scale).is_none_or(|scale| scale.elements() != 1) {
        let message = "has levels of the images as its input and not one scale for all of them";
        return Err(Error::unsupported(message).at_node(node));
    }
    let arithmetic = |op_type: &str, inputs: [ValueId; 2], output| Node {
        name: format!("{}/{op_type}", node.name),
        op_type: op_type.to_owned(),
        inputs: inputs.map(Some).into(),
        outputs: vec![Some(output)],
        attributes: Attributes::default(),
    };
    let output = node.output(0)?;
    Ok(match node.optional_input(2) {
        None => vec![arithmetic("Mul", [levels, scale], output)],
        Some(zero) => {
            let difference = graph.add_fresh_value(&format!("{}/Sub", node.name), None);
            vec![
                arithmetic("Sub", [levels, zero], difference),
                arithmetic("Mul", [difference, scale], output),
            ]
        }
    })
}
