//! Lifts a graph to the one opset that shape inference, simplification and the gradient rules know.
//!
//! Operators changed their form over the years: axes moved from attributes to inputs, Softmax stopped flattening,
//! BatchNormalization lost and gained a mode. `changes` lists those changes with the opset that made each;
//! every node of an older file passes through the ones that concern it. Composite operators, and those of `ai.onnx.ml`, are
//! written out. What the operators compute stays the same.
//! On the way, `unfold` writes out If and Loop: their bodies are in the opset of the file, and whether a
//! condition is constant is known only where the shapes before it are.

mod attention;
mod changes;
mod classical;
mod moves;
mod normalisation;
mod resize;
mod softmax;
#[cfg(test)]
mod tests;
mod written;

pub(crate) use classical::OPERATORS as CLASSICAL;
pub(crate) use written::WRITTEN_OUT;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId};
use crate::shape::{Known, LARGEST_FOLLOWED, infer_with};
use crate::unfold::Unfold;

/// Files below this opset are lifted to it: the first opset that has Gelu as an operator.
pub const WORKING_OPSET: u32 = 20;

/// The oldest opset whose operators broadcast as NumPy does, which every rule relies on.
const OLDEST_OPSET: u32 = 7;

/// A copy of the graph at opset `max(file, 20)`, in topological order, with the types of all values, and without If and
/// Loop, which become the nodes that they run (`unfold`).
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a file below opset 7 and for forms of an operator
/// that no longer exist, naming the node; and the errors of [`shape::infer`](crate::shape::infer), because some changes
/// depend on shapes.
pub fn upgrade(graph: &Graph) -> Result<Graph> {
    if graph.opset < OLDEST_OPSET {
        return Err(Error::unsupported(format!(
            "opset {} is older than {OLDEST_OPSET}; export the model again with a newer opset",
            graph.opset
        )));
    }
    let mut lifted = graph.clone();
    lifted.sort()?;
    lifted.clear_types();
    let waiting = lifted.nodes().to_vec();
    lifted.set_nodes(Vec::new());
    lifted.opset = graph.opset.max(WORKING_OPSET);
    let mut known = Known::new(LARGEST_FOLLOWED);
    let mut waiting = Unfold::new(waiting);
    while let Some(node) = waiting.next(&mut lifted, &known)? {
        for node in lift(&mut lifted, node, graph.opset)? {
            let id: NodeId = lifted.push_node(node);
            infer_with(&mut lifted, id, &mut known)?;
        }
    }
    Ok(lifted)
}

/// The nodes that do in the working opset what `node` does in opset `from`.
fn lift(graph: &mut Graph, node: Node, from: u32) -> Result<Vec<Node>> {
    let mut nodes = vec![node];
    for change in changes::since(from) {
        let mut changed = Vec::with_capacity(nodes.len());
        for node in nodes {
            if change.op_types.contains(&node.op_type.as_str()) {
                let place = node.clone();
                changed.extend((change.apply)(graph, node).map_err(|error| error.at_node(&place))?);
            } else {
                changed.push(node);
            }
        }
        nodes = changed;
    }
    Ok(nodes)
}
