//! Upgrades a graph to the one opset that shape inference, simplification and the gradient rules know.
//!
//! Operators changed over the opsets: axes moved from attributes to inputs, Softmax stopped flattening its input,
//! BatchNormalization lost and gained a mode. `adapters` lists these changes, each with the opset that made it. Every
//! node of an older file passes through the adapters of its operator. Composite operators, and those of `ai.onnx.ml`,
//! are decomposed into standard ones. The results stay the same.
//!
//! In the same walk `unroll` inlines If and unrolls Loop: their bodies are in the opset of the file, and whether a
//! condition is constant is known only after the shapes before it are inferred.

mod adapters;
mod affine_grid;
mod ai_onnx_ml;
mod attention;
mod attributes_to_inputs;
mod decompose;
mod normalisation;
mod recurrent;
mod recurrent_cells;
mod recurrent_lengths;
mod resize;
mod softmax;
mod stacked_batches;
#[cfg(test)]
mod tests;

pub(crate) use ai_onnx_ml::OPERATORS as AI_ONNX_ML;
pub(crate) use decompose::DECOMPOSED;

use crate::error::{Error, Result};
use crate::facts::{Known, LARGEST_FOLLOWED};
use crate::graph::{Graph, Node, NodeId};
use crate::operators::table;
use crate::shape::{infer_with, unknown_operator};
use crate::unroll::Unroller;

/// Files below this opset are upgraded to it: the first opset that has Gelu as an operator.
pub const WORKING_OPSET: u32 = 20;

/// The oldest opset whose operators broadcast as NumPy does, which every rule relies on.
const OLDEST_OPSET: u32 = 7;

/// A copy of the graph at opset `max(file, 20)`, in topological order, with the types of all values. If and Loop are
/// replaced by the nodes that they run (`unroll`).
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
    let mut upgraded = graph.clone();
    upgraded.sort()?;
    upgraded.clear_types();
    let original = upgraded.nodes().to_vec();
    upgraded.set_nodes(Vec::new());
    upgraded.opset = graph.opset.max(WORKING_OPSET);
    let mut known = Known::new(LARGEST_FOLLOWED);
    let mut unroller = Unroller::new(original, graph.opset);
    while let Some(node) = unroller.next(&mut upgraded, &known)? {
        for node in adapt(&mut upgraded, node, graph.opset)? {
            for node in by_content(&mut upgraded, &known, node)? {
                if table::find(&node.op_type).is_none() {
                    // Names the opset of the file.
                    return Err(unknown_operator(graph.opset, &node.op_type).at_node(&node));
                }
                let id: NodeId = upgraded.push_node(node);
                infer_with(&mut upgraded, id, &mut known)?;
            }
        }
    }
    Ok(upgraded)
}

/// The nodes that compute what `node` computes, for rewrites that look at elements of its inputs.
fn by_content(graph: &mut Graph, known: &Known, node: Node) -> Result<Vec<Node>> {
    for rewrite in [affine_grid::affine_grid, stacked_batches::cut] {
        if let Some(nodes) = rewrite(graph, known, &node).map_err(|error| error.at_node(&node))? {
            return Ok(nodes);
        }
    }
    Ok(vec![node])
}

/// The nodes of the working opset that compute what `node` computes in opset `from`.
fn adapt(graph: &mut Graph, node: Node, from: u32) -> Result<Vec<Node>> {
    let mut nodes = vec![node];
    for adapter in adapters::since(from) {
        let mut adapted = Vec::with_capacity(nodes.len());
        for node in nodes {
            if adapter.op_types.contains(&node.op_type.as_str()) {
                let original = node.clone();
                adapted.extend((adapter.apply)(graph, node).map_err(|error| error.at_node(&original))?);
            } else {
                adapted.push(node);
            }
        }
        nodes = adapted;
    }
    Ok(nodes)
}
