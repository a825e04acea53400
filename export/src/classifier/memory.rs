//! How much memory a graph needs at least, from its shapes alone.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, ValueId};

/// Bytes that are needed at the same time when a typed graph runs on a batch of `rows`: its constants, and the most of
/// what its nodes compute and others still read.
///
/// An engine that reuses memory needs little more: what a kernel takes for itself, and copies of weights in another order.
///
/// # Errors
/// When the type of a value is not known.
pub(super) fn peak_bytes(graph: &Graph, rows: usize) -> Result<u64> {
    let last_use = last_uses(graph);
    let mut live: u128 = graph.constants().map(|(_, tensor)| tensor.data().len() as u128).sum();
    for input in graph.inputs() {
        live = live.saturating_add(bytes(graph, *input, rows)?);
    }
    let mut peak = live;
    for (place, node) in graph.nodes().iter().enumerate() {
        for output in node.outputs.iter().flatten() {
            live = live.saturating_add(bytes(graph, *output, rows)?);
        }
        peak = peak.max(live);
        let mut ended: Vec<ValueId> = node.inputs.iter().chain(&node.outputs).flatten().copied().collect();
        ended.sort_by_key(|value| value.index());
        ended.dedup();
        for value in ended {
            let is_last = last_use.get(&value).is_none_or(|last| *last <= place);
            if is_last && graph.constant(value).is_none() {
                live = live.saturating_sub(bytes(graph, value, rows)?);
            }
        }
    }
    Ok(u64::try_from(peak).unwrap_or(u64::MAX))
}

/// The place of the last node that reads each value; outputs are read after all.
fn last_uses(graph: &Graph) -> HashMap<ValueId, usize> {
    let mut last = HashMap::new();
    for (place, node) in graph.nodes().iter().enumerate() {
        last.extend(node.inputs.iter().flatten().map(|value| (*value, place)));
    }
    last.extend(graph.outputs().iter().map(|value| (*value, usize::MAX)));
    last
}

fn bytes(graph: &Graph, value: ValueId, rows: usize) -> Result<u128> {
    let known = graph.tensor_type(value)?;
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => *size as u128,
        Dim::Batch(factor) => *factor as u128 * rows as u128,
    };
    let elements = known.shape.0.iter().map(size).try_fold(1_u128, u128::checked_mul);
    let bytes = elements.and_then(|elements| elements.checked_mul(known.dtype.size() as u128));
    bytes.ok_or_else(|| {
        Error::shape(format!("has more elements than can be counted: {}", known.shape))
            .at_tensor(graph.value(value).name.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Attributes, Node, Shape, TensorType};
    use crate::tensor::{DataType, Tensor};

    /// `images [N, 4] → a = Relu → b = Relu(a) → c = Add(b, weight [4])`
    fn chain() -> Graph {
        let mut graph = Graph::new("chain", 17);
        let typed =
            || Some(TensorType { dtype: DataType::Float32, shape: Shape(vec![Dim::N, Dim::Fixed(4)]) });
        let values: Vec<ValueId> =
            ["images", "a", "b", "c"].iter().map(|name| graph.add_value(name, typed()).unwrap()).collect();
        let weight = graph.add_constant("weight", Tensor::from_f32(&[4], &[1.0; 4]));
        let mut push = |op_type: &str, inputs: Vec<ValueId>, output| {
            graph.push_node(Node {
                name: String::new(),
                op_type: op_type.into(),
                inputs: inputs.into_iter().map(Some).collect(),
                outputs: vec![Some(output)],
                attributes: Attributes::default(),
            });
        };
        push("Relu", vec![values[0]], values[1]);
        push("Relu", vec![values[1]], values[2]);
        push("Add", vec![values[2], weight], values[3]);
        graph.add_input(values[0]);
        graph.add_output(values[3]);
        graph
    }

    #[test]
    fn a_chain_needs_its_weights_and_two_values() {
        // The constant has 16 bytes; a value of one row, too. The images are the caller's only while they are read.
        assert_eq!(peak_bytes(&chain(), 1).unwrap(), 16 + 2 * 16);
        assert_eq!(peak_bytes(&chain(), 100).unwrap(), 16 + 2 * 1600);
    }

    #[test]
    fn sizes_that_overflow_are_the_largest_number_or_an_error() {
        assert_eq!(peak_bytes(&chain(), usize::MAX).unwrap(), u64::MAX);
    }
}
