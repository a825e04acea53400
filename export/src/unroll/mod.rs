//! Inlines If and unrolls Loop: the branch that is taken, and the body once for each iteration. Sequences of tensors
//! become the tensors.
//!
//! Exporters write control flow where a model depends on its own sizes (`if x.shape[0] == 1`, `for block in range(n)`).
//! Whether a condition is constant is known only after the shapes before it are inferred. [`Unroller`] therefore yields
//! the nodes of a graph one by one, and the caller infers the types of each before it takes the next. The growth is
//! limited by a budget: three nested loops of a hundred iterations turn a file of one kilobyte into a million nodes.

mod budget;
mod inline_body;
mod iteration;
mod refuse;
mod sequences;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashSet;

use budget::Budget;
use iteration::Iteration;

use crate::error::{Error, Result};
use crate::facts::Known;
use crate::graph::{Graph, Node};
use inline_body::{InlinedBody, inline_body};
use sequences::{Sequences, Surroundings};
use values::{check_count, constant_bool, output_identities, trailing_inputs};

/// Yields the nodes of a graph in order, with If inlined, Loop unrolled, and sequences as their tensors.
#[derive(Debug)]
pub(crate) struct Unroller {
    /// The work that remains; the next item is the last.
    stack: Vec<Work>,
    budget: Budget,
    /// Names of all nodes so far.
    names: HashSet<String>,
    sequences: Sequences,
    /// The opset of the file.
    opset: u32,
}

#[derive(Debug)]
enum Work {
    Node(Node),
    Iteration(Box<Iteration>),
}

impl Unroller {
    /// The nodes of a graph of that opset, in topological order.
    pub(crate) fn new(nodes: Vec<Node>, opset: u32) -> Self {
        let names = nodes.iter().map(|node| node.name.clone()).collect();
        let stack = nodes.into_iter().rev().map(Work::Node).collect();
        Self { stack, budget: Budget::default(), names, sequences: Sequences::default(), opset }
    }

    /// The next node that is neither If, nor Loop, nor of sequences. Adds the values of inlined bodies to `graph`; `known` must hold the
    /// constant results of the nodes before it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for control flow and sequences that depend on the
    /// images, and for optional values; [`ErrorKind::Limit`](crate::ErrorKind::Limit) over the budget; each names the
    /// node.
    pub(crate) fn next(&mut self, graph: &mut Graph, known: &Known) -> Result<Option<Node>> {
        while let Some(work) = self.stack.pop() {
            match work {
                Work::Node(node) if node.op_type == "If" => {
                    self.inline_branch(graph, known, &node).map_err(|error| error.at_node(&node))?;
                }
                Work::Node(node) if node.op_type == "Loop" => {
                    let first = Iteration::start(graph, known, &node)?;
                    self.stack.push(Work::Iteration(Box::new(first)));
                }
                Work::Node(node) => {
                    let around = Surroundings { graph, known, budget: &mut self.budget, opset: self.opset };
                    match self.sequences.expand(around, &node).map_err(|error| error.at_node(&node))? {
                        Some(nodes) => self.push_next(nodes),
                        None => return Ok(Some(node)),
                    }
                }
                Work::Iteration(iteration) => {
                    let loop_node = iteration.node.clone();
                    self.iterate(graph, known, *iteration).map_err(|error| error.at_node(&loop_node))?;
                }
            }
        }
        Ok(None)
    }

    /// Pushes nodes that come next, under unique names.
    fn push_next(&mut self, mut nodes: Vec<Node>) {
        for node in &mut nodes {
            let numbered = (2_usize..).map(|count| format!("{}_{count}", node.name));
            let mut names = std::iter::once(node.name.clone()).chain(numbered);
            let free =
                names.find(|name| !self.names.contains(name)).expect("the sequence of names has no end");
            self.names.insert(free.clone());
            node.name = free;
        }
        self.stack.extend(nodes.into_iter().rev().map(Work::Node));
    }

    /// Inlines the branch that an If takes.
    fn inline_branch(&mut self, graph: &mut Graph, known: &Known, node: &Node) -> Result<()> {
        let taken = constant_bool(graph, known, node.input(0)?).ok_or_else(refuse::condition)?;
        let body = node.attributes.graph(if taken { "then_branch" } else { "else_branch" })?;
        if !body.parameters().is_empty() {
            return Err(Error::format("a branch of it has inputs, which those of If do not have"));
        }
        let arguments = trailing_inputs(&node.inputs, body.captures)?;
        self.budget.spend(&node.name, body)?;
        let InlinedBody { mut nodes, outputs } = inline_body(graph, body, &arguments, &node.name)?;
        check_count(outputs.len(), node.outputs.len())?;
        nodes.extend(output_identities(&node.name, &outputs, &node.outputs));
        self.push_next(nodes);
        Ok(())
    }

    fn iterate(&mut self, graph: &mut Graph, known: &Known, iteration: Iteration) -> Result<()> {
        if iteration.continues(graph, known)? {
            let (nodes, next) = iteration.unroll(graph, &mut self.budget)?;
            self.stack.push(Work::Iteration(Box::new(next)));
            self.push_next(nodes);
        } else {
            self.push_next(iteration.results(graph)?);
        }
        Ok(())
    }
}
