//! Moves Shape to the earliest tensor of the same shape.

use std::collections::HashMap;

use crate::graph::{Graph, Node, NodeId, ValueId};

/// Makes every Shape read the earliest tensor of that shape, so that nothing is computed for its size alone. For
/// example the class token is expanded to the batch size of the normalised images, which is that of the input images.
pub(super) fn read_earliest(graph: &mut Graph) {
    // In topological order, so that one step back leads to what is the earliest already.
    let mut earliest: HashMap<ValueId, ValueId> = HashMap::new();
    for index in 0..graph.nodes().len() {
        let id = NodeId(index as u32);
        let node = graph.node(id);
        if node.op_type == "Shape"
            && let Some(source) = node.optional_input(0).and_then(|source| earliest.get(&source))
        {
            graph.node_mut(id).inputs[0] = Some(*source);
            continue;
        }
        for output in node.outputs.iter().flatten() {
            if let Some(input) = input_of_equal_shape(graph, node, *output) {
                earliest.insert(*output, earliest.get(&input).copied().unwrap_or(input));
            }
        }
    }
}

fn input_of_equal_shape(graph: &Graph, producer: &Node, value: ValueId) -> Option<ValueId> {
    let wanted = graph.shape(value).ok()?;
    let inputs = producer.inputs.iter().flatten();
    inputs.copied().find(|input| graph.constant(*input).is_none() && graph.shape(*input).ok() == Some(wanted))
}
