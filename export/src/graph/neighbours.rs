//! Who makes each value of some nodes, and who takes it: for rules that ask about many nodes, one after another.

use std::collections::HashMap;

use super::structure::{Node, ValueId};
use super::visits;

/// The nodes around each value.
#[derive(Debug)]
pub(crate) struct Neighbours<'n> {
    producers: HashMap<ValueId, &'n Node>,
    /// By the value that is the first input.
    takers: HashMap<ValueId, Vec<&'n Node>>,
}

impl<'n> Neighbours<'n> {
    /// Those of these nodes.
    #[cfg_attr(test, track_caller)]
    pub(crate) fn of(nodes: &'n [Node]) -> Self {
        visits::add(nodes.len());
        let mut found = Self { producers: HashMap::new(), takers: HashMap::new() };
        for node in nodes {
            found.producers.extend(node.outputs.iter().flatten().map(|output| (*output, node)));
            if let Some(first) = node.optional_input(0) {
                found.takers.entry(first).or_default().push(node);
            }
        }
        found
    }

    /// The node that makes a value; inputs and constants have none.
    pub(crate) fn producer(&self, value: ValueId) -> Option<&'n Node> {
        self.producers.get(&value).copied()
    }

    /// The nodes whose first input a value is, in their order.
    pub(crate) fn takers(&self, value: ValueId) -> &[&'n Node] {
        self.takers.get(&value).map_or(&[], Vec::as_slice)
    }
}
