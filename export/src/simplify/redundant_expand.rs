//! Bypasses an Expand to the batch whose readers broadcast anyway.

use std::collections::HashMap;

use crate::graph::{Graph, Node, NodeId, Shape, TensorType, ValueId};
use crate::operators::types::broadcast;
use crate::tensor::Tensor;

/// Makes every node that would broadcast to the same result read the input of the Expand, or the single value of the
/// ConstantOfShape. Other readers keep the expansion.
pub(super) fn bypass(graph: &mut Graph) {
    let mut readers: HashMap<ValueId, Vec<NodeId>> = HashMap::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        for input in node.inputs.iter().flatten() {
            readers.entry(*input).or_default().push(NodeId(index as u32));
        }
    }
    for index in 0..graph.nodes().len() {
        let Some((expanded, source)) = expansion(graph, NodeId(index as u32)) else { continue };
        for &id in readers.get(&expanded).into_iter().flatten() {
            if is_redundant_for(graph, graph.node(id), expanded, source).is_some() {
                let inputs = graph.node_mut(id).inputs.iter_mut().flatten();
                inputs.filter(|input| **input == expanded).for_each(|input| *input = source);
            }
        }
    }
}

/// The output of an expansion and the smaller tensor that it repeats.
fn expansion(graph: &mut Graph, id: NodeId) -> Option<(ValueId, ValueId)> {
    let node = graph.node(id);
    let expanded = node.optional_output(0)?;
    match node.op_type.as_str() {
        "Expand" => Some((expanded, node.optional_input(0)?)),
        "ConstantOfShape" => {
            let value = match node.attributes.tensor("value").ok()? {
                Some(value) => value.with_dims(Vec::new()).ok()?,
                None => Tensor::scalar_f32(0.0),
            };
            let name = format!("{}/value", node.name);
            Some((expanded, graph.add_constant(&name, value)))
        }
        _ => None,
    }
}

/// `Some` if a node reads `expanded`, and its result has the same shape when it reads `source` instead.
fn is_redundant_for(graph: &Graph, user: &Node, expanded: ValueId, source: ValueId) -> Option<()> {
    let reads = user.inputs.contains(&Some(expanded));
    let broadcasts = matches!(
        user.op_type.as_str(),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" | "Where" | "Equal" | "Less" | "Greater"
    );
    if !reads || !broadcasts {
        return None;
    }
    let shape_of = |id: &ValueId| graph.shape(if *id == expanded { source } else { *id }).ok();
    let shapes: Vec<&Shape> = user.inputs.iter().flatten().map(shape_of).collect::<Option<_>>()?;
    let result =
        shapes.into_iter().try_fold(Shape::default(), |result, shape| broadcast(&result, shape)).ok()?;
    let TensorType { shape, .. } = graph.tensor_type(user.optional_output(0)?).ok()?;
    (result == *shape).then_some(())
}
