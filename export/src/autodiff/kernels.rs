//! Gradients that an engine may have a kernel for ([`mimir_bundle::kernels`]), and the standard operators they stand
//! for.
//!
//! The rules emit the operators of our own; [`lower`] writes them out for every other engine. Statistics that a
//! LayerNormalization hands out are written out too, and SpaceToDepth, which the gradient of MaxPool takes: rten has
//! neither.

use crate::error::Result;
use crate::graph::{Attributes, Builder, Graph, Neighbours, Node, ValueId};
use crate::operators::row::Portable;
use crate::operators::table;
use crate::simplify::Factors;

/// Which operators a gradient graph may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// Those of ONNX, for any engine.
    Standard,
    /// Ours too, for sessions of `mimir-runtime` over ONNX Runtime on a processor.
    Mimir,
    /// And small convolutional networks with the batch as their last axis, where the processor multiplies and adds vectors in one
    /// instruction.
    BatchLast,
    /// And products with constant matrices, where a register of the processor holds sixteen numbers.
    Products,
    /// All that, with the factors of products in bfloat16, where the processor multiplies pairs of such numbers in one instruction.
    Bfloat16,
}

impl Kernels {
    /// Whether small convolutional networks may have the batch as their last axis.
    pub(crate) fn turn_batch_last(self) -> bool {
        matches!(self, Self::BatchLast | Self::Products | Self::Bfloat16)
    }

    /// In which numbers products with constant matrices are ours, if they are.
    pub(crate) fn factors(self) -> Option<Factors> {
        match self {
            Self::Standard | Self::Mimir | Self::BatchLast => None,
            Self::Products => Some(Factors::Float32),
            Self::Bfloat16 => Some(Factors::Bfloat16),
        }
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
    match portable(node) {
        Portable::Nodes(_) | Portable::NodesAmong(_) => true,
        Portable::ExtraOutputs(_) => node.outputs.iter().skip(1).any(Option::is_some),
        Portable::Itself | Portable::KernelOnly => false,
    }
}

fn portable(node: &Node) -> Portable {
    table::find(&node.op_type).map_or(Portable::Itself, |row| row.portable)
}

fn lower_once(graph: &mut Graph) -> Result<()> {
    let waiting = graph.nodes().to_vec();
    graph.set_nodes(Vec::new());
    let around = Neighbours::of(&waiting);
    for node in &waiting {
        let builder = &mut Builder::new(graph, node.name.as_str());
        match portable(node) {
            Portable::Nodes(function) => {
                let value = function(builder, node)?;
                graph.push_node(renamed(node, value));
            }
            Portable::NodesAmong(function) => {
                let value = function(builder, node, &around)?;
                graph.push_node(renamed(node, value));
            }
            Portable::ExtraOutputs(function) if is_lowered(node) => {
                lower_extra_outputs(graph, node.clone(), function)?;
            }
            Portable::ExtraOutputs(_) | Portable::Itself | Portable::KernelOnly => {
                graph.push_node(node.clone());
            }
        }
    }
    Ok(())
}

/// A node that gives a value the name of what it stands for.
fn renamed(node: &Node, value: ValueId) -> Node {
    Node {
        name: node.name.clone(),
        op_type: "Identity".to_owned(),
        inputs: vec![Some(value)],
        outputs: node.outputs.clone(),
        attributes: Attributes::default(),
    }
}

/// Pushes the node with its first output only, and what computes the others.
fn lower_extra_outputs(
    graph: &mut Graph,
    mut node: Node,
    function: fn(&mut Builder<'_>, &Node) -> Result<Vec<ValueId>>,
) -> Result<()> {
    let values = function(&mut Builder::new(graph, node.name.as_str()), &node)?;
    for (output, value) in node.outputs.split_off(1).into_iter().zip(values) {
        if output.is_some() {
            graph.push_node(Node {
                name: format!("{}/output", graph.value(value).name),
                op_type: "Identity".to_owned(),
                inputs: vec![Some(value)],
                outputs: vec![output],
                attributes: Attributes::default(),
            });
        }
    }
    graph.push_node(node);
    Ok(())
}
