//! The lengths of the sequences of a batch: all must be whole.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId, ValueId};
use crate::tensor::{DataType, Tensor};

/// Refuses lengths other than `steps`, and lengths that are not constant.
pub(super) fn check_lengths(graph: &Graph, lengths: ValueId, steps: usize) -> Result<()> {
    match repeated_number(graph, lengths) {
        Some(found) if usize::try_from(found) == Ok(steps) => Ok(()),
        Some(found) => Err(Error::unsupported(format!(
            "its sequences of {steps} steps have the length {found}: cut the input instead"
        ))),
        None => Err(Error::unsupported(
            "its sequence_lens differ or are known only at run time: export the model without them, or with one \
             length for all",
        )),
    }
}

/// The number that a tensor repeats, however its size is computed: exporters expand one length to the batch.
fn repeated_number(graph: &Graph, mut value: ValueId) -> Option<i64> {
    let producers: HashMap<ValueId, NodeId> = graph.producers();
    // One step for each node at most: a graph has no cycles.
    loop {
        if let Some(constant) = graph.constant(value) {
            return single(constant);
        }
        let node: &Node = graph.node(*producers.get(&value)?);
        match node.op_type.as_str() {
            "Cast" | "Expand" | "Tile" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Slice" => {
                value = node.optional_input(0)?;
            }
            "ConstantOfShape" => return single(node.attributes.tensor("value").ok()??),
            _ => return None,
        }
    }
}

fn single(constant: &Tensor) -> Option<i64> {
    let numbers: Vec<i64> = match constant.dtype() {
        DataType::Int32 => constant.data().chunks_exact(4).map(int32).collect(),
        _ => constant.to_i64()?,
    };
    let (first, rest) = numbers.split_first()?;
    rest.iter().all(|number| number == first).then_some(*first)
}

fn int32(bytes: &[u8]) -> i64 {
    let mut word = [0; 4];
    word.copy_from_slice(bytes);
    i64::from(i32::from_le_bytes(word))
}
