//! What must hold of a graph before it is written: each value has one origin, and is there before it is read.

use super::{Graph, Node, ValueId};
use crate::error::{Error, Result};

/// What a user can do about a graph that our own rewrites broke.
const REPORT: &str = "this is a defect of Mimir, please report it with the model";

impl Graph {
    /// Checks that nodes are in topological order, that each value is computed once, and that every output is computed.
    /// Linear in nodes and inputs.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), naming node or tensor.
    pub fn check_order(&self) -> Result<()> {
        let mut is_there = vec![false; self.values.len()];
        for id in self.inputs.iter().chain(self.constants.keys()) {
            self.arrive(*id, &mut is_there)?;
        }
        for node in &self.nodes {
            if let Some(missing) = node.inputs.iter().flatten().find(|input| !is_there[input.index()]) {
                return Err(self.broken(*missing, "is read before it is computed").at_node(node));
            }
            for output in node.outputs.iter().flatten() {
                self.arrive(*output, &mut is_there).map_err(|error| error.at_node(node))?;
            }
        }
        match self.outputs.iter().find(|output| !is_there[output.index()]) {
            Some(missing) => Err(self.broken(*missing, "is an output that nothing computes")),
            None => Ok(()),
        }
    }

    fn arrive(&self, id: ValueId, is_there: &mut [bool]) -> Result<()> {
        if std::mem::replace(&mut is_there[id.index()], true) {
            return Err(self.broken(id, "is computed twice"));
        }
        Ok(())
    }

    fn broken(&self, id: ValueId, what: &str) -> Error {
        Error::unsupported(format!("after rewriting, `{}` {what}: {REPORT}", self.value(id).name))
    }
}

impl Error {
    /// A type that a rewrite recorded is not the one that the operator gives.
    pub(crate) fn wrong_type(
        node: &Node,
        recorded: impl std::fmt::Debug,
        given: impl std::fmt::Debug,
    ) -> Self {
        Self::unsupported(format!(
            "after rewriting, its output is {recorded:?} instead of {given:?}: {REPORT}"
        ))
        .at_node(node)
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{Attributes, Graph, Node};

    /// `x → a → b`, whose nodes the test puts in another order.
    fn chain(order: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::new("test", 20);
        let x = graph.add_value("x", None).unwrap();
        graph.add_input(x);
        for name in ["a", "b"] {
            graph.add_value(name, None).unwrap();
        }
        for (input, output) in order {
            let node = Node {
                name: (*output).to_owned(),
                op_type: "Relu".to_owned(),
                inputs: vec![graph.find(input)],
                outputs: vec![graph.find(output)],
                attributes: Attributes::default(),
            };
            graph.push_node(node);
        }
        let output = graph.find("b").unwrap();
        graph.add_output(output);
        graph
    }

    #[test]
    fn a_graph_out_of_order_is_named() {
        chain(&[("x", "a"), ("a", "b")]).check_order().unwrap();
        let cases: [(&[(&str, &str)], &str); 3] = [
            (
                &[("a", "b"), ("x", "a")],
                "node `b` (Relu): after rewriting, `a` is read before it is computed",
            ),
            (&[("x", "a")], "after rewriting, `b` is an output that nothing computes"),
            (
                &[("x", "a"), ("x", "b"), ("a", "b")],
                "node `b` (Relu): after rewriting, `b` is computed twice",
            ),
        ];
        for (order, wanted) in cases {
            let error = chain(order).check_order().unwrap_err().to_string();
            assert!(error.starts_with(wanted) && error.ends_with("report it with the model"), "{error}");
        }
    }
}
