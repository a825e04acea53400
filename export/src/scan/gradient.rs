//! Operators on the path from the images to the output whose gradient is zero or a straight-through estimate.

use std::collections::HashSet;

use mimir_bundle::ScannedNode;

use super::scanned_node::scanned_node;
use crate::autodiff::{carrying_values, needed_values};
use crate::error::Result;
use crate::graph::{Graph, Node, Shape, ValueId};
use crate::operators::row::Gradient;
use crate::operators::{gradient_of, passes_straight_through, reads_sizes_only};
use crate::tensor::DataType;

/// The operators that were found, in the order of the graph.
#[derive(Debug, Default)]
pub(super) struct GradientScan {
    pub(super) cuts: Vec<ScannedNode>,
    pub(super) straight_through: Vec<ScannedNode>,
}

/// Scans a typed graph whose first input is the images.
pub(super) fn scan(graph: &Graph) -> Result<GradientScan> {
    let Some(images) = graph.inputs().first() else { return Ok(GradientScan::default()) };
    let carrying = carrying_values(graph, *images)?;
    let needed = needed_values(graph, &graph.outputs()[..graph.outputs().len().min(1)]);
    let boolean_uses = BooleanUses::new(graph);
    let shared = SharedConditions::new(graph, *images)?;
    let mut found = GradientScan::default();
    for node in graph.nodes().iter().filter(|node| writes(node, |id| needed.contains(id))) {
        if !reads(node, |id| carrying.contains(id)) || reads_sizes_only(node) {
            continue;
        }
        if !writes(node, |id| carrying.contains(id)) {
            if !boolean_uses.only_selects(node) {
                found.cuts.push(scanned_node(node));
            }
        } else if shared.choose_branch(graph, node)? {
            found.cuts.push(scanned_node(node));
        } else if passes_straight_through(&node.op_type) {
            found.straight_through.push(scanned_node(node));
        }
    }
    Ok(found)
}

fn reads(node: &Node, condition: impl Fn(&ValueId) -> bool) -> bool {
    node.inputs.iter().flatten().any(condition)
}

fn writes(node: &Node, condition: impl Fn(&ValueId) -> bool) -> bool {
    node.outputs.iter().flatten().any(condition)
}

/// The readers of Boolean values. A comparison that only selects between two branches, as in `Where(x > 0, x, 0)`, has
/// derivative zero and cuts no gradient; one that is cast to a number is a step function.
struct BooleanUses {
    /// Values that are more than conditions: numbers, outputs of the graph, and what such values are computed from.
    counting: HashSet<ValueId>,
}

impl BooleanUses {
    /// Of a graph in topological order.
    fn new(graph: &Graph) -> Self {
        let is_number =
            |id: &ValueId| graph.tensor_type(*id).map(|tensor_type| tensor_type.dtype) != Ok(DataType::Bool);
        let mut counting: HashSet<ValueId> = graph.outputs().iter().copied().collect();
        for node in graph.nodes().iter().rev() {
            let outputs = node.outputs.iter().flatten();
            let counts = outputs.clone().any(|id| counting.contains(id) || is_number(id));
            let selects = matches!(gradient_of(&node.op_type), Some(Gradient::Selects(..)));
            let inputs = node.inputs.iter().enumerate().filter(|(place, _)| !(selects && *place == 0));
            if counts {
                counting.extend(inputs.filter_map(|(_, id)| *id));
            }
        }
        counting.extend(graph.value_ids().filter(is_number));
        Self { counting }
    }

    /// Whether all that a node computes is Boolean and is used only as conditions of Where.
    fn only_selects(&self, node: &Node) -> bool {
        !node.outputs.iter().flatten().any(|output| self.counting.contains(output))
    }
}

/// Conditions that come of fewer elements of the images' values than they decide. An activation in other words asks each element
/// about itself, and its branches meet where the answer changes. One answer for many elements chooses a branch of the network,
/// and no gradient says what another branch would do.
struct SharedConditions {
    /// Values that depend on the images.
    dependent: HashSet<ValueId>,
    /// Booleans with more elements than what they were computed from, and what is computed from such.
    repeated: HashSet<ValueId>,
}

impl SharedConditions {
    /// Of a graph in topological order.
    fn new(graph: &Graph, images: ValueId) -> Result<Self> {
        let mut found = Self { dependent: HashSet::from([images]), repeated: HashSet::new() };
        for node in graph.nodes() {
            let inputs: Vec<ValueId> =
                node.inputs.iter().flatten().copied().filter(|id| found.dependent.contains(id)).collect();
            if inputs.is_empty() || reads_sizes_only(node) {
                continue;
            }
            let most = inputs.iter().map(|id| elements(graph, *id)).max().unwrap_or_default();
            for output in node.outputs.iter().flatten().copied() {
                found.dependent.insert(output);
                let is_repeated =
                    inputs.iter().any(|id| found.repeated.contains(id)) || most < elements(graph, output);
                if graph.tensor_type(output)?.dtype == DataType::Bool && is_repeated {
                    found.repeated.insert(output);
                }
            }
        }
        Ok(found)
    }

    /// Whether the node is a Where with such a condition.
    fn choose_branch(&self, graph: &Graph, node: &Node) -> Result<bool> {
        let selects = matches!(gradient_of(&node.op_type), Some(Gradient::Selects(..)));
        let condition = node.input(0)?;
        let is_shared = || {
            let decided = node.outputs.iter().flatten().map(|id| elements(graph, *id)).max();
            self.repeated.contains(&condition) || Some(elements(graph, condition)) < decided
        };
        Ok(selects && self.dependent.contains(&condition) && is_shared())
    }
}

/// Elements of a value for each image, or all of them where it has no batch; none where their number is not known.
fn elements(graph: &Graph, value: ValueId) -> usize {
    let elements = graph.shape(value).ok().and_then(Shape::elements);
    elements.map_or(0, |elements| elements.at_batch(1))
}
