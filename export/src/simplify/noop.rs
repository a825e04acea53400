//! Removes nodes that return their input unchanged.

use std::collections::HashMap;

use super::use_counts::use_counts;
use crate::facts::{Known, LARGEST_FOLLOWED, NodeView};
use crate::graph::{Graph, Node, ValueId};
use crate::operators::types::{axis_ranges, permutation};

/// Removes all such nodes.
pub(super) fn remove(graph: &mut Graph) {
    let uses = use_counts(graph);
    let bypasses: Vec<(ValueId, ValueId)> =
        graph.nodes().iter().filter_map(|node| bypass(graph, node, &uses)).collect();
    let mut replaced: HashMap<ValueId, ValueId> = HashMap::new();
    // Nodes are in topological order, so that a chain of such nodes is replaced by its very first input.
    for (output, input) in bypasses {
        let input = replaced.get(&input).copied().unwrap_or(input);
        if can_replace(graph, output, input) {
            replaced.insert(output, input);
        }
    }
    graph.replace_all_uses(&replaced);
    graph.prune();
}

/// An output of the graph must not become one of its inputs or a constant.
fn can_replace(graph: &Graph, output: ValueId, input: ValueId) -> bool {
    !graph.outputs().contains(&output)
        || !(graph.inputs().contains(&input) || graph.constant(input).is_some())
}

/// Output and input of a node that returns its input.
fn bypass(graph: &Graph, node: &Node, uses: &HashMap<ValueId, usize>) -> Option<(ValueId, ValueId)> {
    let (output, input) = (node.optional_output(0)?, node.optional_input(0)?);
    let only_output = node.outputs.iter().flatten().skip(1).all(|other| !uses.contains_key(other));
    let same_type = graph.tensor_type(output).ok()? == graph.tensor_type(input).ok()?;
    (only_output && same_type && returns_its_input(graph, node)).then_some((output, input))
}

/// For a node whose output has the type of its first input.
fn returns_its_input(graph: &Graph, node: &Node) -> bool {
    let known = Known::new(LARGEST_FOLLOWED);
    let view = NodeView { graph, node, known: &known };
    match node.op_type.as_str() {
        "Cast" | "Expand" | "Flatten" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" => true,
        "Dropout" => node.inputs.len() < 3,
        "Concat" => node.inputs.len() == 1,
        "Tile" => view.ints(1).is_ok_and(|repeats| repeats.iter().all(|repeat| *repeat == 1)),
        "Pad" => view.ints(1).is_ok_and(|pads| pads.iter().all(|pad| *pad == 0)),
        "Transpose" => permutation(&view).is_ok_and(|axes| axes.iter().copied().eq(0..axes.len())),
        "Slice" => axis_ranges(&view)
            .is_ok_and(|ranges| ranges.iter().all(|range| range.start == 0 && range.step == 1)),
        // Splitting into one part.
        "Split" => node.outputs.len() == 1,
        _ => false,
    }
}
