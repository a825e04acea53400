//! Topological order, and what the lack of one says about the file.

use std::collections::HashSet;

use super::{Graph, Node, ValueId};
use crate::error::{Error, Result};

impl Graph {
    /// Puts the nodes in topological order, keeping file order wherever it is one already.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when an input of a node is produced by nothing, naming node
    /// and tensor, or when nodes wait for each other in a cycle, naming one of them.
    pub fn sort(&mut self) -> Result<()> {
        let mut ready: HashSet<ValueId> = self.inputs.iter().copied().collect();
        ready.extend(self.constants.keys());
        let produced: HashSet<ValueId> =
            self.nodes.iter().flat_map(|node| node.outputs.iter().flatten().copied()).collect();
        self.check_produced(&ready, &produced)?;

        let is_ready = |node: &Node, ready: &HashSet<ValueId>| {
            node.inputs.iter().flatten().all(|input| ready.contains(input))
        };
        let mut waiting = std::mem::take(&mut self.nodes);
        while !waiting.is_empty() {
            let before = self.nodes.len();
            let mut still_waiting = Vec::new();
            for node in waiting {
                if is_ready(&node, &ready) {
                    ready.extend(node.outputs.iter().flatten());
                    self.nodes.push(node);
                } else {
                    still_waiting.push(node);
                }
            }
            if self.nodes.len() == before {
                return Err(Error::format("waits for its own result: the graph has a cycle")
                    .at_node(&still_waiting[0]));
            }
            waiting = still_waiting;
        }
        Ok(())
    }

    fn check_produced(&self, ready: &HashSet<ValueId>, produced: &HashSet<ValueId>) -> Result<()> {
        let known = |id: &ValueId| ready.contains(id) || produced.contains(id);
        for node in &self.nodes {
            if let Some(missing) = node.inputs.iter().flatten().find(|input| !known(input)) {
                return Err(Error::format(format!(
                    "its input `{}` is not an input of the graph, an initialiser or the output of a node",
                    self.value(*missing).name
                ))
                .at_node(node));
            }
        }
        match self.outputs.iter().find(|output| !known(output)) {
            Some(missing) => Err(Error::format("is an output of the graph, but nothing produces it")
                .at_tensor(&self.value(*missing).name)),
            None => Ok(()),
        }
    }
}
