//! Gradients that an engine may have a kernel for ([`mimir_bundle::kernels`]), and the standard operators they stand for.
//!
//! The rules emit the operators of our own; [`lower`] writes them out for every other engine. Statistics that a
//! LayerNormalization hands out are written out too, and SpaceToDepth, which the gradient of MaxPool takes: rten has neither.

use crate::error::Result;
use crate::graph::own_operators::{
    GELU_GRADIENT, LAYER_NORMALIZATION_GRADIENT, MAX_POOL_GRADIENT, SOFTMAX_GRADIENT,
};
use crate::graph::{Builder, Graph, Node, ValueId};
use crate::operators::gradient::{blocks, gelu, layer_normalization, max_pool, softmax};

/// Which operators a gradient graph may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// Those of ONNX, for any engine.
    Standard,
    /// Ours too, for sessions of `mimir-runtime` over ONNX Runtime on a processor.
    Mimir,
}

/// Writes a node out: the value that its first output is.
type Lowering = fn(&mut Builder<'_>, &Node) -> Result<ValueId>;

fn lowering(op_type: &str) -> Option<Lowering> {
    match op_type {
        GELU_GRADIENT => Some(gelu::lower),
        LAYER_NORMALIZATION_GRADIENT => Some(layer_normalization::lower),
        MAX_POOL_GRADIENT => Some(max_pool::lower),
        SOFTMAX_GRADIENT => Some(softmax::lower),
        "SpaceToDepth" => Some(blocks::lower_space_to_depth),
        _ => None,
    }
}

/// Replaces every operator of ours, and what not every engine has, by standard ones that every engine has.
///
/// # Errors
/// As [`crate::shape::infer`]: never on a graph that [`differentiate`](super::differentiate) made.
pub(crate) fn lower(graph: &mut Graph) -> Result<()> {
    // What an operator of ours is written out as may hold one that not every engine has.
    while graph.nodes().iter().any(is_lowered) {
        lower_once(graph)?;
    }
    Ok(())
}

fn is_lowered(node: &Node) -> bool {
    lowering(&node.op_type).is_some() || layer_normalization::hands_out_statistics(node)
}

fn lower_once(graph: &mut Graph) -> Result<()> {
    let waiting = graph.nodes().to_vec();
    graph.set_nodes(Vec::new());
    for mut node in waiting {
        if let Some(lowering) = lowering(&node.op_type) {
            let mut builder = Builder::new(graph, node.name.as_str());
            let value = lowering(&mut builder, &node)?;
            node.op_type = "Identity".to_owned();
            node.inputs = vec![Some(value)];
            node.attributes.0.clear();
            graph.push_node(node);
        } else if layer_normalization::hands_out_statistics(&node) {
            layer_normalization::lower_statistics(graph, node)?;
        } else {
            graph.push_node(node);
        }
    }
    Ok(())
}
