//! Shape inference: the type of every value, over dimensions that are integers or multiples of the batch.
//!
//! A rule per operator family computes the types of a node's outputs from the types of its inputs, its attributes,
//! and those input *elements* that decide shapes (the target of a Reshape, the axes of a reduction). Elements are
//! known where they are constants or where `evaluate` can follow the arithmetic from a `Shape`
//! operator on: `Shape → Gather → Mul → Concat → Reshape` ends in dimensions such as `65·N`.
//!
//! The graph must be at the working opset ([`upgrade`](crate::upgrade)), so that every operator has one form.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::evaluate;
use crate::facts::{Known, LARGEST_FOLLOWED, NodeView};
use crate::graph::{Builder, Graph, Node, NodeId, TensorType, ValueId};
use crate::operators::table;

/// A single node looks back through at most this many nodes of shape arithmetic.
const LONGEST_CHAIN: usize = 256;

/// Infers the types of every value.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for an operator without a rule,
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) where shapes do not fit each other or depend on pixels, and
/// [`ErrorKind::Format`](crate::ErrorKind::Format) for attributes that break the operator's definition; each names
/// the node or the tensor.
pub fn infer(graph: &mut Graph) -> Result<()> {
    let mut known = Known::new(LARGEST_FOLLOWED);
    for index in 0..graph.nodes().len() {
        infer_with(graph, NodeId(index as u32), &mut known)?;
    }
    Ok(())
}

/// Checks that every node's outputs have the types that its operator gives them, after the last rewrite. Linear.
///
/// # Errors
/// As [`infer`], and [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a type that is recorded wrongly.
pub(crate) fn check(graph: &Graph) -> Result<()> {
    let mut inferred = graph.clone();
    inferred.clear_types();
    infer(&mut inferred)?;
    for node in graph.nodes() {
        for output in node.outputs.iter().flatten() {
            let (recorded, given) = (graph.tensor_type(*output)?, inferred.tensor_type(*output)?);
            if recorded != given {
                return Err(Error::wrong_type(node, recorded, given));
            }
        }
    }
    Ok(())
}

/// Infers the types of one node's outputs from the types of its inputs.
///
/// # Errors
/// As [`infer`].
pub fn infer_node(graph: &mut Graph, id: NodeId) -> Result<()> {
    let mut known = Known::new(LARGEST_FOLLOWED);
    follow(graph, id.index(), &mut known);
    infer_with(graph, id, &mut known)
}

impl<'g> Builder<'g> {
    /// A builder that infers the types of what it adds, and whose names start with `prefix`.
    pub fn new(graph: &'g mut Graph, prefix: impl Into<String>) -> Self {
        Self::with_inference(graph, prefix, infer_node)
    }
}

/// Infers one node, given the elements known so far, and adds what its outputs are known to hold.
pub(crate) fn infer_with(graph: &mut Graph, id: NodeId, known: &mut Known) -> Result<()> {
    let node = graph.node(id);
    let view = NodeView { graph, node, known };
    let types = table::find(&node.op_type)
        .ok_or_else(|| unknown_operator(graph.opset, &node.op_type))
        .and_then(|row| (row.types)(&view))
        .map_err(|error| error.at_node(node))?;
    let outputs = node.outputs.clone();
    if let Some(absent) = (types.len()..outputs.len()).find(|index| outputs[*index].is_some()) {
        return Err(
            Error::format(format!("has an output {absent} that the operator does not define")).at_node(node)
        );
    }
    let contents = evaluate::evaluate(&view, &types).unwrap_or_default();
    for (output, content) in outputs.iter().zip(contents) {
        output.iter().for_each(|output| known.insert(*output, content.clone()));
    }
    for (output, tensor_type) in outputs.iter().zip(types) {
        output.iter().for_each(|output| graph.set_type(*output, tensor_type.clone()));
    }
    Ok(())
}

/// Finds the elements of node number `before`'s integer inputs by going back through their producers.
fn follow(graph: &Graph, before: usize, known: &mut Known) {
    let is_open = |id: &ValueId, known: &Known| {
        let is_integer = graph.tensor_type(*id).is_ok_and(|tensor_type| !tensor_type.dtype.is_float());
        is_integer && known.content(graph, *id).is_none()
    };
    let open_inputs = |node: &Node, known: &Known| -> Vec<ValueId> {
        node.inputs.iter().flatten().copied().filter(|id| is_open(id, known)).collect()
    };
    let start = graph.node(NodeId(before as u32));
    let mut open: HashSet<ValueId> = open_inputs(start, known).into_iter().collect();
    if open.is_empty() {
        return;
    }
    let mut chain = Vec::new();
    for node in graph.nodes()[..before].iter().rev() {
        if open.is_empty() || chain.len() == LONGEST_CHAIN {
            break;
        }
        let produces = node.outputs.iter().flatten().filter(|output| open.remove(output)).count() > 0;
        if produces {
            open.extend(open_inputs(node, known));
            chain.push(node);
        }
    }
    chain.into_iter().rev().for_each(|node| evaluate_typed(graph, node, known));
}

/// Adds the elements of a node whose outputs have types.
fn evaluate_typed(graph: &Graph, node: &Node, known: &mut Known) {
    let types: Result<Vec<TensorType>> =
        node.outputs.iter().flatten().map(|output| graph.tensor_type(*output).cloned()).collect();
    let contents = types.ok().and_then(|types| evaluate::evaluate(&NodeView { graph, node, known }, &types));
    for (output, content) in node.outputs.iter().flatten().zip(contents.unwrap_or_default()) {
        known.insert(*output, content);
    }
}

/// The error for an operator that has no row in the table, in a graph of that opset.
pub(crate) fn unknown_operator(opset: u32, op_type: &str) -> Error {
    Error::unsupported(format!(
        "operator {op_type} (opset {opset}) is not supported; export the model without it, or add a rule as \
         docs/adding-an-operator.md describes"
    ))
}
