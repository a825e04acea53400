//! The logistic function in other words, written as Sigmoid: `1/(1 + e⁻ᶻ)` and `eᶻ/(1 + eᶻ)`.
//!
//! Sigmoid has a gradient where the exponential overflows, its logarithm is exact
//! (`classifier/log_probabilities.rs`), and what it does to the order of the classes is known.

use std::collections::HashMap;

use crate::error::Result;
use crate::graph::{Builder, Graph, Node, NodeId, ValueId};
use crate::tensor::Tensor;

/// Writes them so in a typed graph. True where something changed: nodes are then out of order.
pub(super) fn write_as_sigmoid(graph: &mut Graph) -> Result<bool> {
    let pattern = Pattern { graph, producers: graph.producers() };
    let found: Vec<(Node, ValueId, bool)> = graph
        .nodes()
        .iter()
        .filter_map(|node| pattern.argument(node).map(|(argument, falls)| (node.clone(), argument, falls)))
        .collect();
    let mut replaced = HashMap::new();
    for (node, argument, falls) in found {
        let output = node.output(0)?;
        if graph.shape(argument)? != graph.shape(output)? {
            continue;
        }
        let mut builder = Builder::new(graph, &node.name);
        let argument = if falls { builder.op("Neg", &[argument])? } else { argument };
        replaced.insert(output, builder.op("Sigmoid", &[argument])?);
    }
    graph.replace_all_uses(&replaced);
    Ok(!replaced.is_empty())
}

struct Pattern<'g> {
    graph: &'g Graph,
    producers: HashMap<ValueId, NodeId>,
}

impl Pattern<'_> {
    /// `w`, if the node is `1/(1 + eʷ)`, which falls, or `eʷ/(1 + eʷ)`.
    fn argument(&self, node: &Node) -> Option<(ValueId, bool)> {
        match node.op_type.as_str() {
            "Reciprocal" => self.one_plus_power(node.optional_input(0)?).map(|power| (power, true)),
            "Pow" if self.is(node.optional_input(1)?, -1.0) => {
                self.one_plus_power(node.optional_input(0)?).map(|power| (power, true))
            }
            "Div" => {
                let above = node.optional_input(0)?;
                let power = self.one_plus_power(node.optional_input(1)?)?;
                if self.is(above, 1.0) {
                    return Some((power, true));
                }
                let exponential = self.producer(above).filter(|node| node.op_type == "Exp")?;
                (exponential.optional_input(0) == Some(power)).then_some((power, false))
            }
            _ => None,
        }
        .map(|(power, falls)| match self.producer(power).filter(|node| node.op_type == "Neg") {
            Some(negative) => (negative.inputs[0].unwrap_or(power), !falls),
            None => (power, falls),
        })
    }

    /// `w`, if the value is `1 + eʷ`.
    fn one_plus_power(&self, sum: ValueId) -> Option<ValueId> {
        let node = self.producer(sum).filter(|node| matches!(node.op_type.as_str(), "Add" | "Sum"))?;
        let &[Some(a), Some(b)] = &node.inputs[..] else { return None };
        let exponential = [(a, b), (b, a)].into_iter().find(|(_, one)| self.is(*one, 1.0))?.0;
        self.producer(exponential).filter(|node| node.op_type == "Exp")?.optional_input(0)
    }

    fn producer(&self, id: ValueId) -> Option<&Node> {
        self.producers.get(&id).map(|id| self.graph.node(*id))
    }

    fn is(&self, id: ValueId, wanted: f32) -> bool {
        let constant = self.graph.constant(id).filter(|tensor| tensor.elements() == 1);
        constant.and_then(Tensor::to_f32).is_some_and(|values| values == [wanted])
    }
}

#[cfg(test)]
mod tests {
    use super::super::WorkingCopy;
    use super::*;
    use crate::testing::{add, assert_equal_results, push};

    fn copied(function: fn(&mut Graph, ValueId) -> ValueId) -> (Graph, Vec<String>) {
        let mut graph = Graph::new("test", 20);
        let x = add(&mut graph, "f32[N,6]").unwrap();
        let y = function(&mut graph, x);
        let output = push(&mut graph, "Identity", &[y], "");
        graph.add_output(output);
        crate::shape::infer(&mut graph).unwrap();
        let copy = WorkingCopy::new(&graph).unwrap().graph;
        assert_equal_results(&graph, &copy, 1e-6);
        let operators = copy.nodes().iter().map(|node| node.op_type.clone()).collect();
        (copy, operators)
    }

    fn one(graph: &mut Graph) -> ValueId {
        add(graph, "#1").unwrap()
    }

    #[test]
    fn quotients_of_exponentials_become_sigmoid() {
        let (_, found) = copied(|graph, z| {
            let one = one(graph);
            let negative = push(graph, "Neg", &[z], "");
            let power = push(graph, "Exp", &[negative], "");
            let sum = push(graph, "Add", &[power, one], "");
            push(graph, "Reciprocal", &[sum], "")
        });
        assert_eq!(found, ["Sigmoid", "Identity"]);
        let (_, found) = copied(|graph, z| {
            let (one, factor) = (one(graph), add(graph, "#-2").unwrap());
            let scaled = push(graph, "Mul", &[z, factor], "");
            let power = push(graph, "Exp", &[scaled], "");
            let sum = push(graph, "Add", &[one, power], "");
            push(graph, "Div", &[one, sum], "")
        });
        assert_eq!(found, ["Mul", "Neg", "Sigmoid", "Identity"]);
        let (_, found) = copied(|graph, z| {
            let one = one(graph);
            let power = push(graph, "Exp", &[z], "");
            let sum = push(graph, "Add", &[one, power], "");
            push(graph, "Div", &[power, sum], "")
        });
        assert_eq!(found, ["Sigmoid", "Identity"]);
    }

    #[test]
    fn other_quotients_stay() {
        let (_, found) = copied(|graph, z| {
            let two = add(graph, "#2").unwrap();
            let power = push(graph, "Exp", &[z], "");
            let sum = push(graph, "Add", &[two, power], "");
            push(graph, "Div", &[power, sum], "")
        });
        assert_eq!(found, ["Exp", "Add", "Div", "Identity"]);
    }
}
