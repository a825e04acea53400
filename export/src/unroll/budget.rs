//! A limit on the nodes and bytes that inlining and unrolling may add.

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Attribute, Node, Subgraph};

/// Most nodes and constants that bodies may become; the largest export of 42 classifiers has 6,285 nodes.
const NODES: usize = 100_000;

/// Most bytes of their names and attributes. Tensors do not count: they are shared.
const BYTES: usize = 256 << 20;

/// What is left of both limits.
#[derive(Debug)]
pub(super) struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { nodes: NODES, bytes: BYTES }
    }
}

impl Budget {
    /// Pays for one copy of a body under names that start with `prefix`; an empty body costs a node too.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when less is left.
    pub(super) fn spend(&mut self, prefix: &str, body: &Subgraph) -> Result<()> {
        let graph = &body.graph;
        let nodes = graph.nodes().len() + graph.constants().count() + 1;
        self.spend_nodes(nodes)?;
        let names: usize = graph.value_ids().map(|id| prefix.len() + graph.value(id).name.len()).sum();
        let bytes = names + graph.nodes().iter().map(|node| prefix.len() + size(node)).sum::<usize>();
        self.bytes =
            self.bytes.checked_sub(bytes).ok_or_else(|| exceeded(BYTES, "bytes of names and attributes"))?;
        Ok(())
    }

    /// Pays for nodes with short names.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when fewer are left.
    pub(super) fn spend_nodes(&mut self, count: usize) -> Result<()> {
        self.nodes = self.nodes.checked_sub(count).ok_or_else(|| exceeded(NODES, "nodes"))?;
        Ok(())
    }
}

fn exceeded(limit: usize, what: &str) -> Error {
    Error::new(
        ErrorKind::Limit,
        format!(
            "unrolling If, Loop and sequences takes more than {limit} {what}: export the model with fewer iterations, or with \
             one operator for the whole loop"
        ),
    )
}

fn size(node: &Node) -> usize {
    let attribute = |attribute: &Attribute| match attribute {
        Attribute::Text(text) => text.len(),
        Attribute::Ints(values) => 8 * values.len(),
        Attribute::Floats(values) => 4 * values.len(),
        Attribute::Texts(texts) => texts.iter().map(String::len).sum(),
        Attribute::Graph(body) => body.graph.nodes().iter().map(size).sum(),
        Attribute::Int(_) | Attribute::Float(_) | Attribute::Tensor(_) => 8,
    };
    let attributes = node.attributes.0.iter().map(|(name, value)| name.len() + attribute(value));
    node.name.len() + 8 * node.inputs.len() + attributes.sum::<usize>()
}
