//! A model in float16: weights and arithmetic, with float32 at the borders.
//!
//! Inputs and outputs keep their types and names; a Cast follows each float32 input and precedes each float32 output.
//! float16 has 11 significant bits and ends at 65504. LayerNormalization computes its statistics in float32
//! (`stash_type` 1), and engines without float16 kernels for an operator, as ONNX Runtime on processors for many,
//! compute it in float32 and round its result.

use crate::error::{Error, Location, Result};
use crate::graph::{Attribute, Attributes, Graph, Node, TensorType, ValueId};
use crate::tensor::{DataType, Tensor};

/// The same model in float16.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), naming the weight or the node: a number that float16
/// cannot hold, or a body (If, Loop).
pub fn to_float16(mut graph: Graph) -> Result<Graph> {
    let constants: Vec<ValueId> = graph.constants().map(|(id, _)| id).collect();
    for id in constants {
        let narrowed = graph.constant(id).map(narrowed).transpose();
        let narrowed = narrowed.map_err(|error| error.at_tensor(&graph.value(id).name))?.flatten();
        if let Some(tensor) = narrowed {
            graph.set_constant(id, tensor);
        }
    }
    let nodes = graph.nodes().iter().map(|node| Ok(Node { attributes: attributes(node)?, ..node.clone() }));
    let mut nodes = nodes.collect::<Result<Vec<Node>>>()?;
    narrow_types(&mut graph);
    for output in float32_borders(&graph, graph.outputs()) {
        let inner = inner_value(&mut graph, output);
        replace(&mut nodes, output, inner, |node| &mut node.outputs);
        replace(&mut nodes, output, inner, |node| &mut node.inputs);
        nodes.push(cast(&graph, inner, output, DataType::Float32));
    }
    for input in float32_borders(&graph, graph.inputs()) {
        let inner = inner_value(&mut graph, input);
        replace(&mut nodes, input, inner, |node| &mut node.inputs);
        nodes.insert(0, cast(&graph, input, inner, DataType::Float16));
    }
    graph.set_nodes(nodes);
    Ok(graph)
}

/// The values at the border that are float32.
fn float32_borders(graph: &Graph, ids: &[ValueId]) -> Vec<ValueId> {
    let is_float32 = |id: &ValueId| {
        graph.value(*id).tensor_type.as_ref().is_none_or(|found| found.dtype == DataType::Float32)
    };
    let mut borders: Vec<ValueId> = ids.iter().copied().filter(is_float32).collect();
    borders.dedup();
    borders
}

/// Inner values that were float32 are float16.
fn narrow_types(graph: &mut Graph) {
    let borders: Vec<ValueId> = graph.inputs().iter().chain(graph.outputs()).copied().collect();
    for id in graph.value_ids() {
        if borders.contains(&id) {
            continue;
        }
        if let Some(TensorType { dtype: DataType::Float32, shape }) = &graph.value(id).tensor_type {
            let shape = shape.clone();
            graph.set_type(id, TensorType { dtype: DataType::Float16, shape });
        }
    }
}

/// A float16 value that stands for a float32 one at the border.
fn inner_value(graph: &mut Graph, border: ValueId) -> ValueId {
    let outer = graph.value(border);
    let inner_type = outer
        .tensor_type
        .as_ref()
        .map(|outer| TensorType { dtype: DataType::Float16, shape: outer.shape.clone() });
    let name = format!("{}/float16", outer.name);
    graph.add_fresh_value(&name, inner_type)
}

fn replace(nodes: &mut [Node], from: ValueId, to: ValueId, side: fn(&mut Node) -> &mut Vec<Option<ValueId>>) {
    for node in nodes {
        side(node).iter_mut().filter(|id| **id == Some(from)).for_each(|id| *id = Some(to));
    }
}

fn cast(graph: &Graph, from: ValueId, to: ValueId, dtype: DataType) -> Node {
    Node {
        name: graph.value(to).name.clone(),
        op_type: "Cast".to_owned(),
        inputs: vec![Some(from)],
        outputs: vec![Some(to)],
        attributes: Attributes::from_pairs([("to", Attribute::Int(dtype as i64))]),
    }
}

/// The attributes of a node with float16 where they said float32.
fn attributes(node: &Node) -> Result<Attributes> {
    let mut attributes = node.attributes.clone();
    for (name, value) in &mut attributes.0 {
        let at_node = |error: Error| error.at_node(node);
        match value {
            Attribute::Tensor(tensor) => {
                if let Some(narrow) = narrowed(tensor).map_err(at_node)? {
                    *tensor = narrow;
                }
            }
            Attribute::Int(number)
                if node.op_type == "Cast" && name == "to" && *number == DataType::Float32 as i64 =>
            {
                *number = DataType::Float16 as i64;
            }
            Attribute::Graph(_) => {
                let body = Error::unsupported("has a body: float16 is for models without If and Loop");
                let location = Location::Node { name: node.name.clone(), op_type: node.op_type.clone() };
                return Err(body.at(location));
            }
            _ => {}
        }
    }
    Ok(attributes)
}

/// A float32 tensor rounded to float16, to nearest and to even at ties; none for other types.
fn narrowed(tensor: &Tensor) -> Result<Option<Tensor>> {
    if tensor.dtype() != DataType::Float32 {
        return Ok(None);
    }
    let mut data = Vec::with_capacity(tensor.data().len() / 2);
    for (index, word) in tensor.data().as_chunks::<4>().0.iter().enumerate() {
        let number = f32::from_le_bytes(*word);
        let half = half::f16::from_f32(number);
        // An infinity of the model itself, such as that of a mask, stays one.
        if half.is_infinite() && number.is_finite() {
            return Err(Error::unsupported(format!(
                "holds {number} (element {index}), and float16 ends at 65504: use --precision float32"
            )));
        }
        data.extend_from_slice(&half.to_le_bytes());
    }
    Tensor::new(DataType::Float16, tensor.dims().to_vec(), data.into()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, push, run};

    /// `x·W + b` twice, the first product an output too.
    fn two_layers(weights: &[f32]) -> Graph {
        let mut graph = Graph::new("test", 17);
        let x = add(&mut graph, "f32[N, 2]").unwrap();
        let w = graph.add_constant("w", Tensor::from_f32(&[2, 2], weights));
        let first = push(&mut graph, "MatMul", &[x, w], "");
        let second = push(&mut graph, "MatMul", &[first, w], "");
        graph.add_output(second);
        graph.add_output(first);
        graph
    }

    #[test]
    fn borders_stay_float32_and_results_are_near() {
        let graph = two_layers(&[0.5, -1.25, 0.3, 0.1]);
        let narrow = to_float16(graph.clone()).unwrap();
        let text = narrow.to_string();
        assert!(text.contains("%w: f16[2, 2]") && text.contains("input %input: f32[N, 2]"), "{text}");
        for ((_, wide), (_, narrow)) in run(&graph, 3).iter().zip(run(&narrow, 3)) {
            for (wide, narrow) in wide.iter().zip(narrow) {
                assert!((wide - narrow).abs() < 2e-3 && *wide != narrow, "{wide} {narrow}");
            }
        }
    }

    #[test]
    fn what_float16_cannot_hold_is_named() {
        let error = to_float16(two_layers(&[0.5, 7e4, 0.0, 0.0])).unwrap_err().to_string();
        assert_eq!(
            error,
            "tensor `w`: holds 70000 (element 1), and float16 ends at 65504: use --precision float32"
        );
    }
}
