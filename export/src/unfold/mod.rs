//! If and Loop, written out: the branch that is taken, and the body as often as it runs.
//!
//! Exporters write control flow where a model asks for its own sizes (`if x.shape[0] == 1`, `for block in range(n)`).
//! Whether a condition is constant is known only after the shapes before it, so [`Unfold`] hands out a graph's nodes one
//! after the other, and whoever takes them infers each before asking for the next. What is written out is paid from a
//! budget: three nested loops of a hundred iterations make a file of one kilobyte a million nodes.

mod budget;
mod iterate;
mod refuse;
mod splice;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use budget::Budget;
use iterate::Iteration;

use crate::error::{Error, Result};
use crate::evaluate::{Content, Symbol};
use crate::graph::{Attributes, Graph, Node, ValueId};
use crate::shape::Known;
use splice::{Spliced, splice};

/// Hands out the nodes of a graph in order, with If and Loop written out.
#[derive(Debug)]
pub(crate) struct Unfold {
    /// What is still to come, the next at the end.
    waiting: Vec<Work>,
    budget: Budget,
    /// Names of all nodes so far.
    names: HashSet<String>,
}

#[derive(Debug)]
enum Work {
    Node(Node),
    Iteration(Box<Iteration>),
}

impl Unfold {
    /// The nodes of a graph, in topological order.
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        let names = nodes.iter().map(|node| node.name.clone()).collect();
        let waiting = nodes.into_iter().rev().map(Work::Node).collect();
        Self { waiting, budget: Budget::default(), names }
    }

    /// The next node that is neither If nor Loop. `graph` gets the values of bodies, and `known` must hold what the nodes
    /// before it are known to compute.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for control flow that depends on the images, and for
    /// sequences and optional values; [`ErrorKind::Limit`](crate::ErrorKind::Limit) over the budget; each names the node.
    pub(crate) fn next(&mut self, graph: &mut Graph, known: &Known) -> Result<Option<Node>> {
        while let Some(work) = self.waiting.pop() {
            match work {
                Work::Node(node) if node.op_type == "If" => {
                    self.branch(graph, known, &node).map_err(|error| error.at_node(&node))?;
                }
                Work::Node(node) if node.op_type == "Loop" => {
                    let first = Iteration::first(graph, known, &node)?;
                    self.waiting.push(Work::Iteration(Box::new(first)));
                }
                Work::Node(node) => {
                    refuse::sequences(&node).map_err(|error| error.at_node(&node))?;
                    return Ok(Some(node));
                }
                Work::Iteration(iteration) => {
                    let place = iteration.node.clone();
                    self.iterate(graph, known, *iteration).map_err(|error| error.at_node(&place))?;
                }
            }
        }
        Ok(None)
    }

    /// Nodes that come next, under names of their own.
    fn put_in_front(&mut self, mut nodes: Vec<Node>) {
        for node in &mut nodes {
            let numbered = (2_usize..).map(|count| format!("{}_{count}", node.name));
            let mut names = std::iter::once(node.name.clone()).chain(numbered);
            let free =
                names.find(|name| !self.names.contains(name)).expect("the sequence of names has no end");
            self.names.insert(free.clone());
            node.name = free;
        }
        self.waiting.extend(nodes.into_iter().rev().map(Work::Node));
    }

    /// The nodes of the branch that an If takes.
    fn branch(&mut self, graph: &mut Graph, known: &Known, node: &Node) -> Result<()> {
        let taken = truth(graph, known, node.input(0)?).ok_or_else(refuse::condition)?;
        let body = node.attributes.graph(if taken { "then_branch" } else { "else_branch" })?;
        if !body.parameters().is_empty() {
            return Err(Error::format("a branch of it has inputs, which those of If do not have"));
        }
        let arguments = last(&node.inputs, body.captures)?;
        self.budget.spend(&node.name, body)?;
        let Spliced { mut nodes, outputs } = splice(graph, body, &arguments, &node.name)?;
        check_count(outputs.len(), node.outputs.len())?;
        nodes.extend(hand_over(&node.name, &outputs, &node.outputs));
        self.put_in_front(nodes);
        Ok(())
    }

    fn iterate(&mut self, graph: &mut Graph, known: &Known, iteration: Iteration) -> Result<()> {
        if iteration.continues(graph, known)? {
            let (nodes, next) = iteration.body(graph, &mut self.budget)?;
            self.waiting.push(Work::Iteration(Box::new(next)));
            self.put_in_front(nodes);
        } else {
            self.put_in_front(iteration.results(graph)?);
        }
        Ok(())
    }
}

/// The one element of a condition, where it is known.
fn truth(graph: &Graph, known: &Known, id: ValueId) -> Option<bool> {
    match &*known.content(graph, id)? {
        Content::Bool(array) => match array.elements() {
            [value] => Some(*value),
            _ => None,
        },
        Content::Int(_) | Content::Float(_) => None,
    }
}

/// The one element of a trip count, where it is known.
fn count(graph: &Graph, known: &Known, id: ValueId) -> Option<i64> {
    match known.content(graph, id)?.symbols()? {
        [symbol] => Symbol::int(*symbol),
        _ => None,
    }
}

/// The last `count` inputs of a node, all of which must be there.
fn last(inputs: &[Option<ValueId>], count: usize) -> Result<Vec<ValueId>> {
    let start = inputs.len().checked_sub(count);
    let captures = start.and_then(|start| inputs[start..].iter().copied().collect::<Option<Vec<_>>>());
    captures.ok_or_else(|| Error::format("has fewer inputs than its body takes"))
}

fn check_count(found: usize, wanted: usize) -> Result<()> {
    if found < wanted {
        return Err(Error::format(format!("has {wanted} outputs, but its body returns {found}")));
    }
    Ok(())
}

/// Nodes that give the values `from` the names `to`, as far as those are there.
fn hand_over(name: &str, from: &[ValueId], to: &[Option<ValueId>]) -> Vec<Node> {
    let pairs =
        from.iter().zip(to).enumerate().filter_map(|(index, (from, to))| Some((index, *from, (*to)?)));
    pairs
        .map(|(index, from, to)| Node {
            name: format!("{name}/output_{index}"),
            op_type: "Identity".to_owned(),
            inputs: vec![Some(from)],
            outputs: vec![Some(to)],
            attributes: Attributes::default(),
        })
        .collect()
}
