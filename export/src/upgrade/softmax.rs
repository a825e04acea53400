//! Softmax, LogSoftmax and Hardmax, which before opset 13 flattened their input to two axes.

use crate::error::Result;
use crate::graph::{Attribute, Attributes, Graph, Node, ValueId};
use crate::tensor::Tensor;

/// On the last axis both forms agree; on other axes the flattening becomes nodes of its own.
pub(super) fn flatten_explicitly(graph: &mut Graph, mut node: Node) -> Result<Vec<Node>> {
    let shape = graph.shape(node.input(0)?)?.clone();
    let axis = shape.axis(node.attributes.int("axis", 1)?)?;
    node.attributes.0.insert("axis".to_owned(), Attribute::Int(-1));
    if axis + 1 == shape.rank() {
        return Ok(vec![node]);
    }
    let target =
        graph.add_constant(&format!("{}/shape", node.name), Tensor::vector_i64(&shape.reshape_target()?));
    let flat = graph.add_fresh_value(&format!("{}/flat", node.name), None);
    let normalised = graph.add_fresh_value(&format!("{}/normalised", node.name), None);
    let axis = Attributes::from_pairs([("axis", Attribute::Int(axis as i64))]);
    let (input, output) = (node.input(0)?, node.output(0)?);
    let flatten = helper_node(&node, "Flatten", &[input], flat, axis);
    let restore = helper_node(&node, "Reshape", &[normalised, target], output, Attributes::default());
    node.inputs = vec![Some(flat)];
    node.outputs = vec![Some(normalised)];
    Ok(vec![flatten, node, restore])
}

fn helper_node(
    node: &Node,
    op_type: &str,
    inputs: &[ValueId],
    output: ValueId,
    attributes: Attributes,
) -> Node {
    Node {
        name: format!("{}/{op_type}", node.name),
        op_type: op_type.to_owned(),
        inputs: inputs.iter().copied().map(Some).collect(),
        outputs: vec![Some(output)],
        attributes,
    }
}
