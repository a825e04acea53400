//! Topological order, and what the lack of one says about the file.

use std::collections::{HashMap, HashSet};

use super::{Graph, NodeId, ValueId};
use crate::error::{Error, Result};

impl Graph {
    /// Puts the nodes in topological order, keeping file order wherever it is one already. Linear in nodes and inputs.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when an input of a node or an output of the graph is produced
    /// by nothing, naming node or tensor, or when nodes wait for each other in a cycle, naming one of them. The graph
    /// is unchanged then.
    pub fn sort(&mut self) -> Result<()> {
        let producers = self.producers();
        self.check_produced(&producers)?;
        let order = self.order(&producers)?;
        let mut nodes: Vec<_> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.nodes = order.into_iter().filter_map(|index| nodes[index].take()).collect();
        Ok(())
    }

    /// Each node after the producers of its inputs, as a depth-first search from the nodes in file order finds them.
    fn order(&self, producers: &HashMap<ValueId, NodeId>) -> Result<Vec<usize>> {
        let mut marks = vec![Mark::Unseen; self.nodes.len()];
        let mut order = Vec::with_capacity(self.nodes.len());
        for root in 0..self.nodes.len() {
            if marks[root] == Mark::Unseen {
                self.visit(root, producers, &mut marks, &mut order)?;
            }
        }
        Ok(order)
    }

    fn visit(
        &self,
        root: usize,
        producers: &HashMap<ValueId, NodeId>,
        marks: &mut [Mark],
        order: &mut Vec<usize>,
    ) -> Result<()> {
        marks[root] = Mark::Waiting;
        // A stack of our own: a chain of a hundred thousand nodes would exhaust the thread's.
        let mut stack = vec![(root, self.nodes[root].inputs.iter())];
        while let Some((index, inputs)) = stack.last_mut() {
            let Some(producer) = inputs.find_map(|input| producers.get(input.as_ref()?)) else {
                marks[*index] = Mark::Ordered;
                order.push(*index);
                stack.pop();
                continue;
            };
            let (producer, node) = (producer.index(), &self.nodes[producer.index()]);
            match marks[producer] {
                Mark::Ordered => {}
                Mark::Unseen => {
                    marks[producer] = Mark::Waiting;
                    stack.push((producer, node.inputs.iter()));
                }
                Mark::Waiting => {
                    return Err(
                        Error::format("depends on its own result: the graph has a cycle").at_node(node)
                    );
                }
            }
        }
        Ok(())
    }

    fn check_produced(&self, producers: &HashMap<ValueId, NodeId>) -> Result<()> {
        let inputs: HashSet<ValueId> = self.inputs.iter().copied().collect();
        let is_known = |id: &ValueId| {
            producers.contains_key(id) || inputs.contains(id) || self.constants.contains_key(id)
        };
        for node in &self.nodes {
            if let Some(missing) = node.inputs.iter().flatten().find(|input| !is_known(input)) {
                return Err(Error::format(format!(
                    "its input `{}` is not an input of the graph, an initialiser or the output of a node",
                    self.value(*missing).name
                ))
                .at_node(node));
            }
        }
        match self.outputs.iter().find(|output| !is_known(output)) {
            Some(missing) => Err(Error::format("is an output of the graph, but nothing produces it")
                .at_tensor(&self.value(*missing).name)),
            None => Ok(()),
        }
    }
}

/// How far the search has come with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unseen,
    Waiting,
    Ordered,
}

#[cfg(test)]
mod tests {
    use crate::ErrorKind;
    use crate::graph::{Attributes, Graph, Node};

    type Edges = &'static [(&'static str, &'static str)];

    /// A graph with the input `x` and one node for each `(input, output)`, named like its output.
    fn graph(edges: &[(&str, &str)], output: &str) -> Graph {
        let mut graph = Graph::new("test", 17);
        let x = graph.add_value("x", None).unwrap();
        graph.add_input(x);
        let id = |graph: &mut Graph, name: &str| {
            Some(graph.find(name).unwrap_or_else(|| graph.add_value(name, None).unwrap()))
        };
        for (input, output) in edges {
            let node = Node {
                name: (*output).to_owned(),
                op_type: "Relu".to_owned(),
                inputs: vec![None, id(&mut graph, input)],
                outputs: vec![id(&mut graph, output)],
                attributes: Attributes::default(),
            };
            graph.push_node(node);
        }
        let output = id(&mut graph, output).unwrap();
        graph.add_output(output);
        graph
    }

    #[test]
    fn order_is_kept_where_it_is_topological_and_mended_where_not() {
        let cases: [(Edges, &[&str]); 4] = [
            (&[("x", "a"), ("x", "b"), ("a", "c"), ("b", "d")], &["a", "b", "c", "d"]),
            (&[("x", "b"), ("x", "a"), ("a", "c"), ("b", "d")], &["b", "a", "c", "d"]),
            (&[("b", "d"), ("x", "a"), ("x", "b")], &["b", "d", "a"]),
            (&[("c", "d"), ("b", "c"), ("a", "b"), ("x", "a")], &["a", "b", "c", "d"]),
        ];
        for (edges, wanted) in cases {
            let mut graph = graph(edges, "d");
            graph.sort().unwrap();
            let names: Vec<&str> = graph.nodes().iter().map(|node| node.name.as_str()).collect();
            assert_eq!(names, wanted, "{edges:?}");
        }
    }

    #[test]
    fn what_has_no_order_is_named_and_left_alone() {
        let cases: [(Edges, &str); 4] = [
            (
                &[("x", "a"), ("gone", "d")],
                "node `d` (Relu): its input `gone` is not an input of the graph, an initialiser or the output of a node",
            ),
            (&[("x", "a")], "tensor `d`: is an output of the graph, but nothing produces it"),
            (&[("d", "d")], "node `d` (Relu): depends on its own result: the graph has a cycle"),
            (
                &[("x", "a"), ("c", "b"), ("b", "c"), ("b", "d")],
                "node `b` (Relu): depends on its own result: the graph has a cycle",
            ),
        ];
        for (edges, wanted) in cases {
            let mut graph = graph(edges, "d");
            let before = graph.clone();
            let error = graph.sort().unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Format, wanted));
            assert_eq!(graph, before);
        }
    }

    #[test]
    fn a_long_chain_in_reverse_order_is_no_burden() {
        let names: Vec<String> = (0..50_000).map(|index| format!("v{index}")).collect();
        let mut edges: Vec<(&str, &str)> =
            names.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
        edges.push(("x", "v0"));
        edges.reverse();
        let mut graph = graph(&edges, "v49999");
        graph.sort().unwrap();
        let sorted: Vec<&String> = graph.nodes().iter().map(|node| &node.name).collect();
        assert_eq!(sorted, names.iter().collect::<Vec<_>>());
    }
}
