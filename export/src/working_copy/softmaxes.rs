//! Softmax in other words, written as Softmax: `eᶻ / Σ eᶻ`, with or without the largest score subtracted first, and the exponential
//! of a LogSoftmax.
//!
//! Softmax has a gradient where the exponential overflows, and of its rows it is known what they tend to (`bounds`).

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Builder, Graph, Node, NodeId, ValueId};

/// Writes them so in a typed graph. True where something changed: nodes are then out of order.
pub(super) fn write_as_softmax(graph: &mut Graph) -> Result<bool> {
    let pattern = Pattern { graph, producers: graph.producers() };
    let found: Vec<(Node, ValueId, i64)> = graph
        .nodes()
        .iter()
        .filter_map(|node| pattern.scores(node).map(|(scores, axis)| (node.clone(), scores, axis)))
        .collect();
    let mut replaced = HashMap::new();
    for (node, scores, axis) in found {
        let output = node.output(0)?;
        if graph.shape(scores)? != graph.shape(output)? {
            continue;
        }
        let mut builder = Builder::new(graph, &node.name);
        replaced.insert(output, builder.op_with("Softmax", &[scores], [("axis", axis.into())])?);
    }
    graph.replace_all_uses(&replaced);
    Ok(!replaced.is_empty())
}

struct Pattern<'g> {
    graph: &'g Graph,
    producers: HashMap<ValueId, NodeId>,
}

impl Pattern<'_> {
    /// The scores, and the axis of their rows, where the node is the last one of such a Softmax.
    fn scores(&self, node: &Node) -> Option<(ValueId, i64)> {
        match node.op_type.as_str() {
            "Exp" => {
                let logarithm = self.producer(node.optional_input(0)?, "LogSoftmax")?;
                Some((logarithm.optional_input(0)?, logarithm.attributes.int("axis", -1).ok()?))
            }
            "Div" => {
                let [above, below] = [node.optional_input(0)?, node.optional_input(1)?];
                let scores = self.producer(above, "Exp")?.optional_input(0)?;
                let axis = self.reduced(below, "ReduceSum", above)?;
                Some((self.before_largest(scores, axis).unwrap_or(scores), axis))
            }
            _ => None,
        }
    }

    /// `z`, if the scores are `z - max z` over the rows: both have the same shares.
    fn before_largest(&self, scores: ValueId, axis: i64) -> Option<ValueId> {
        let difference = self.producer(scores, "Sub")?;
        let [all, largest] = [difference.optional_input(0)?, difference.optional_input(1)?];
        (self.reduced(largest, "ReduceMax", all)? == axis).then_some(all)
    }

    /// The axis over which the value reduces another, and which it keeps.
    fn reduced(&self, value: ValueId, op_type: &str, of: ValueId) -> Option<i64> {
        let node = self.producer(value, op_type).filter(|node| node.optional_input(0) == Some(of))?;
        let axes = self.graph.constant(node.optional_input(1)?)?.to_i64()?;
        let keeps = node.attributes.int("keepdims", 1).ok()? == 1;
        let rank = self.graph.shape(of).ok()?.rank() as i64;
        match axes[..] {
            [axis] if keeps => Some(if axis < 0 { axis + rank } else { axis }),
            _ => None,
        }
    }

    fn producer(&self, id: ValueId, op_type: &str) -> Option<&Node> {
        self.producers.get(&id).map(|id| self.graph.node(*id)).filter(|node| node.op_type == op_type)
    }
}

#[cfg(test)]
mod tests {
    use super::super::WorkingCopy;
    use super::*;
    use crate::testing::{add, assert_equal_results, push};

    /// The operators of the copy that is searched, which computes what the graph does.
    fn copied(function: fn(&mut Graph, ValueId) -> ValueId) -> Vec<String> {
        let mut graph = Graph::new("test", 20);
        let x = add(&mut graph, "f32[N,3,4]").unwrap();
        let y = function(&mut graph, x);
        let output = push(&mut graph, "Identity", &[y], "");
        graph.add_output(output);
        crate::shape::infer(&mut graph).unwrap();
        let copy = WorkingCopy::new(&graph).unwrap().graph;
        assert_equal_results(&graph, &copy, 1e-6);
        copy.nodes().iter().map(|node| node.op_type.clone()).collect()
    }

    /// `op_type` over those axes, which are kept.
    fn reduced(graph: &mut Graph, op_type: &str, x: ValueId, axes: &str) -> ValueId {
        let axes = add(graph, axes).unwrap();
        push(graph, op_type, &[x, axes], "keepdims=1")
    }

    #[test]
    fn shares_of_exponentials_become_softmax() {
        let plain = copied(|graph, z| {
            let power = push(graph, "Exp", &[z], "");
            let sum = reduced(graph, "ReduceSum", power, "=[1]");
            push(graph, "Div", &[power, sum], "")
        });
        assert_eq!(plain, ["Softmax", "Identity"]);
        let stable = copied(|graph, z| {
            let largest = reduced(graph, "ReduceMax", z, "=[2]");
            let scores = push(graph, "Sub", &[z, largest], "");
            let power = push(graph, "Exp", &[scores], "");
            let sum = reduced(graph, "ReduceSum", power, "=[-1]");
            push(graph, "Div", &[power, sum], "")
        });
        assert_eq!(stable, ["Softmax", "Identity"]);
        let logarithm = copied(|graph, z| {
            let logarithm = push(graph, "LogSoftmax", &[z], "axis=1");
            push(graph, "Exp", &[logarithm], "")
        });
        assert_eq!(logarithm, ["Softmax", "Identity"]);
    }

    #[test]
    fn other_quotients_stay() {
        let of_two_axes = copied(|graph, z| {
            let power = push(graph, "Exp", &[z], "");
            let sum = reduced(graph, "ReduceSum", power, "=[1,2]");
            push(graph, "Div", &[power, sum], "")
        });
        assert_eq!(of_two_axes, ["Exp", "ReduceSum", "Div", "Identity"]);
        let of_another = copied(|graph, z| {
            let power = push(graph, "Exp", &[z], "");
            let sum = reduced(graph, "ReduceSum", z, "=[1]");
            push(graph, "Div", &[power, sum], "")
        });
        assert_eq!(of_another, ["Exp", "ReduceSum", "Div", "Identity"]);
        // Along another axis the largest does not cancel.
        let largest_of_columns = copied(|graph, z| {
            let largest = reduced(graph, "ReduceMax", z, "=[1]");
            let scores = push(graph, "Sub", &[z, largest], "");
            let power = push(graph, "Exp", &[scores], "");
            let sum = reduced(graph, "ReduceSum", power, "=[2]");
            push(graph, "Div", &[power, sum], "")
        });
        assert_eq!(largest_of_columns, ["ReduceMax", "Sub", "Softmax", "Identity"]);
    }
}
