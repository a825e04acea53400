//! Models with random operators, which give another answer each time.

use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Node};
use crate::operators::is_random;

/// Refuses a typed graph in which the images of a batch share a random value: each image needs its own.
pub(super) fn check_drawn_per_image(graph: &Graph) -> Result<()> {
    for node in random_nodes(graph) {
        let shape = graph.shape(node.output(0)?)?;
        if !shape.0.iter().any(|dim| matches!(dim, Dim::Batch(_))) {
            return Err(Error::unsupported(format!("draws {shape}, the same for all images of a batch"))
                .at_node(&node));
        }
    }
    Ok(())
}

/// The random nodes that an output needs.
fn random_nodes(graph: &Graph) -> Vec<Node> {
    let mut graph = graph.clone();
    graph.prune();
    graph.nodes().iter().filter(|node| is_random(&graph, node)).cloned().collect()
}
