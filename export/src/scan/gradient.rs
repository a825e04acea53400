//! Operators on the path from the images to the output that pass no gradient, or a stand-in.

use std::collections::{HashMap, HashSet};

use mimir_bundle::ScannedNode;

use super::{name, reads};
use crate::autodiff::{carrying_values, needed_values, passes_straight_through};
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::tensor::DataType;

/// What was found, in the order of the graph.
#[derive(Debug, Default)]
pub(super) struct Gradient {
    pub(super) cuts: Vec<ScannedNode>,
    pub(super) straight_through: Vec<ScannedNode>,
}

/// Scans a typed graph whose first input is the images.
pub(super) fn scan(graph: &Graph) -> Result<Gradient> {
    let Some(images) = graph.inputs().first() else { return Ok(Gradient::default()) };
    let carrying = carrying_values(graph, *images)?;
    let needed = needed_values(graph, graph.outputs());
    let choices = Choices::of(graph);
    let mut found = Gradient::default();
    for node in graph.nodes().iter().filter(|node| writes(node, |id| needed.contains(id))) {
        if !reads(node, |id| carrying.contains(id)) || reads_sizes_only(node) {
            continue;
        }
        if !writes(node, |id| carrying.contains(id)) {
            if !choices.only_chooses(graph, node) {
                found.cuts.push(name(node));
            }
        } else if passes_straight_through(&node.op_type) {
            found.straight_through.push(name(node));
        }
    }
    Ok(found)
}

fn writes(node: &Node, condition: impl Fn(&ValueId) -> bool) -> bool {
    node.outputs.iter().flatten().any(condition)
}

/// The shape of an image says nothing about its pixels.
fn reads_sizes_only(node: &Node) -> bool {
    let of_shape = ["Shape", "Size", "ConstantOfShape", "EyeLike", "RandomNormalLike", "RandomUniformLike"];
    of_shape.contains(&node.op_type.as_str())
}

/// What Boolean values are used for. A comparison that chooses between two branches, as `Where(x > 0, x, 0)`, has the
/// derivative zero and loses nothing; one that becomes a number is a step.
struct Choices<'g> {
    users: HashMap<ValueId, Vec<&'g Node>>,
}

impl<'g> Choices<'g> {
    fn of(graph: &'g Graph) -> Self {
        let mut users: HashMap<ValueId, Vec<&Node>> = HashMap::new();
        for node in graph.nodes() {
            for id in node.inputs.iter().flatten() {
                users.entry(*id).or_default().push(node);
            }
        }
        Self { users }
    }

    /// Whether all that a node computes is Boolean, and ends as conditions of Where.
    fn only_chooses(&self, graph: &Graph, node: &Node) -> bool {
        let mut waiting: Vec<ValueId> = node.outputs.iter().flatten().copied().collect();
        let mut seen: HashSet<ValueId> = waiting.iter().copied().collect();
        while let Some(id) = waiting.pop() {
            if graph.tensor_type(id).map(|tensor_type| tensor_type.dtype) != Ok(DataType::Bool)
                || graph.outputs().contains(&id)
            {
                return false;
            }
            for user in self.users.get(&id).into_iter().flatten() {
                let is_condition = user.op_type == "Where" && user.optional_input(0) == Some(id);
                if !is_condition {
                    waiting.extend(user.outputs.iter().flatten().filter(|output| seen.insert(**output)));
                }
            }
        }
        true
    }
}
