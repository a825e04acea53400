//! The nodes of a graph: adding, replacing and removing them.

use std::collections::HashMap;

use super::structure::{Graph, Node, NodeId, ValueId};
use super::visits;

impl Graph {
    /// Appends a node. Its inputs must come earlier: see [`Graph::sort`] for graphs in file order.
    pub fn push_node(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId((self.nodes.len() - 1) as u32)
    }

    /// Replaces all nodes, for passes that rewrite the graph.
    #[cfg_attr(test, track_caller)]
    pub fn set_nodes(&mut self, nodes: Vec<Node>) {
        visits::add(nodes.len());
        self.nodes = nodes;
    }

    /// The nodes, in topological order.
    #[cfg_attr(test, track_caller)]
    pub fn nodes(&self) -> &[Node] {
        visits::add(self.nodes.len());
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// One node, mutably.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// The node that produces each value; inputs and constants have none.
    #[cfg_attr(test, track_caller)]
    pub fn producers(&self) -> HashMap<ValueId, NodeId> {
        visits::add(self.nodes.len());
        let mut producers = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for output in node.outputs.iter().flatten() {
                producers.insert(*output, NodeId(index as u32));
            }
        }
        producers
    }

    /// Replaces every use of `old` (by nodes and as an output of the graph) with `new`.
    #[cfg_attr(test, track_caller)]
    pub fn replace_uses(&mut self, old: ValueId, new: ValueId) {
        visits::add(self.nodes.len());
        let nodes = self.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().flatten());
        for used in nodes.chain(self.outputs.iter_mut()) {
            if *used == old {
                *used = new;
            }
        }
    }

    /// Replaces every use of each key with its value, in one walk. No value is a key.
    #[cfg_attr(test, track_caller)]
    pub fn replace_all_uses(&mut self, replaced: &HashMap<ValueId, ValueId>) {
        if replaced.is_empty() {
            return;
        }
        visits::add(self.nodes.len());
        let nodes = self.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().flatten());
        for used in nodes.chain(self.outputs.iter_mut()) {
            if let Some(new) = replaced.get(used) {
                *used = *new;
            }
        }
    }

    /// Removes nodes and constants that no output needs. Ids of what remains stay valid; values are kept.
    #[cfg_attr(test, track_caller)]
    pub fn prune(&mut self) {
        visits::add(self.nodes.len());
        let mut needed = vec![false; self.values.len()];
        for output in &self.outputs {
            needed[output.index()] = true;
        }
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().flatten().any(|output| needed[output.index()]) {
                node.inputs.iter().flatten().for_each(|input| needed[input.index()] = true);
            }
        }
        self.nodes.retain(|node| node.outputs.iter().flatten().any(|output| needed[output.index()]));
        self.constants.retain(|id, _| needed[id.index()]);
    }
}
