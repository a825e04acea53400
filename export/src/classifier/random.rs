//! Operators that give another answer each time.

use crate::error::{Error, Result};
use crate::graph::{Graph, Node};

const RANDOM: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// Refuses a graph with a random operator, naming its node.
pub(super) fn refuse(graph: &Graph) -> Result<()> {
    match graph.nodes().iter().find(|node| is_random(graph, node)) {
        Some(node) => Err(Error::unsupported(
            "gives another result each time; a defence by randomness needs an attack on its expectation, which does \
             not exist yet: export the model in inference mode",
        )
        .at_node(node)),
        None => Ok(()),
    }
}

fn is_random(graph: &Graph, node: &Node) -> bool {
    RANDOM.contains(&node.op_type.as_str()) || drops(graph, node)
}

/// A Dropout whose `training_mode` is anything but a constant `false`.
fn drops(graph: &Graph, node: &Node) -> bool {
    let mode = node.optional_input(2).filter(|_| node.op_type == "Dropout");
    mode.is_some_and(|mode| graph.constant(mode).is_none_or(|mode| mode.data().iter().any(|byte| *byte != 0)))
}
