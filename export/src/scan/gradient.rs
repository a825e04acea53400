//! Operators on the path from the images to the output whose gradient is zero or a straight-through estimate.

use std::collections::{HashMap, HashSet};

use mimir_bundle::ScannedNode;

use super::scanned_node::scanned_node;
use crate::autodiff::{carrying_values, needed_values};
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
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
    let mut found = GradientScan::default();
    for node in graph.nodes().iter().filter(|node| writes(node, |id| needed.contains(id))) {
        if !reads(node, |id| carrying.contains(id)) || reads_sizes_only(node) {
            continue;
        }
        if !writes(node, |id| carrying.contains(id)) {
            if !boolean_uses.only_selects(graph, node) {
                found.cuts.push(scanned_node(node));
            }
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
struct BooleanUses<'g> {
    users: HashMap<ValueId, Vec<&'g Node>>,
}

impl<'g> BooleanUses<'g> {
    fn new(graph: &'g Graph) -> Self {
        let mut users: HashMap<ValueId, Vec<&Node>> = HashMap::new();
        for node in graph.nodes() {
            for id in node.inputs.iter().flatten() {
                users.entry(*id).or_default().push(node);
            }
        }
        Self { users }
    }

    /// Whether all that a node computes is Boolean and is used only as conditions of Where.
    fn only_selects(&self, graph: &Graph, node: &Node) -> bool {
        let mut worklist: Vec<ValueId> = node.outputs.iter().flatten().copied().collect();
        let mut seen: HashSet<ValueId> = worklist.iter().copied().collect();
        while let Some(id) = worklist.pop() {
            if graph.tensor_type(id).map(|tensor_type| tensor_type.dtype) != Ok(DataType::Bool)
                || graph.outputs().contains(&id)
            {
                return false;
            }
            for user in self.users.get(&id).into_iter().flatten() {
                let selects = matches!(gradient_of(&user.op_type), Some(Gradient::Selects(..)));
                let is_condition = selects && user.optional_input(0) == Some(id);
                if !is_condition {
                    worklist.extend(user.outputs.iter().flatten().filter(|output| seen.insert(**output)));
                }
            }
        }
        true
    }
}
