//! Shape inference: the type of every value, over dimensions that are integers or multiples of the batch.
//!
//! A rule per operator family computes the types of a node's outputs from the types of its inputs, its attributes,
//! and those input *elements* that decide shapes (the target of a Reshape, the axes of a reduction). Elements are
//! known where they are constants or where [`evaluate`](crate::evaluate) can follow the arithmetic from a `Shape`
//! operator on: `Shape → Gather → Mul → Concat → Reshape` ends in dimensions such as `65·N`.
//!
//! The graph must be at the working opset ([`upgrade`](crate::upgrade)), so that every operator has one form.

mod broadcast;
mod constant;
mod convolution;
mod elementwise;
mod gather;
mod join;
mod matmul;
mod move_axes;
mod normalise;
mod pool;
mod reduce;
mod registry;
mod reshape;
mod select;
mod slice;
#[cfg(test)]
mod tests;
mod view;
mod window;

use crate::error::{Error, Result};
use crate::evaluate;
use crate::graph::{Graph, NodeId, TensorType, ValueId};

pub(crate) use broadcast::broadcast;
pub(crate) use constant::{constant_tensor, shape_slice};
pub(crate) use join::split_sizes;
pub(crate) use move_axes::permutation;
pub(crate) use slice::axis_ranges;
pub(crate) use view::{Known, NodeView};

/// Elements are followed through tensors of at most this size: shapes are short, position tables are not shapes.
pub(crate) const LARGEST_FOLLOWED: usize = 1 << 14;

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

/// Infers the types of one node's outputs from the types of its inputs.
///
/// # Errors
/// As [`infer`].
pub fn infer_node(graph: &mut Graph, id: NodeId) -> Result<()> {
    let mut known = Known::new(LARGEST_FOLLOWED);
    for input in graph.node(id).inputs.iter().flatten() {
        follow(graph, *input, id.index(), &mut known);
    }
    infer_with(graph, id, &mut known)
}

/// Infers one node, given the elements known so far, and adds what its outputs are known to hold.
pub(crate) fn infer_with(graph: &mut Graph, id: NodeId, known: &mut Known) -> Result<()> {
    let node = graph.node(id);
    let view = NodeView { graph, node, known };
    let types = registry::rule(&node.op_type)
        .ok_or_else(|| unknown_operator(graph.opset, &node.op_type))
        .and_then(|rule| rule(&view))
        .map_err(|error| error.at_node(node))?;
    let outputs = node.outputs.clone();
    if let Some(absent) = (types.len()..outputs.len()).find(|index| outputs[*index].is_some()) {
        return Err(Error::format(format!("has an output {absent}, but the operator does not")).at_node(node));
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

/// Finds the elements of `id` by going back through the producers before node number `before`.
fn follow(graph: &Graph, id: ValueId, before: usize, known: &mut Known) {
    let is_integer = |tensor_type: &TensorType| !tensor_type.dtype.is_float();
    if known.content(graph, id).is_some() || !graph.tensor_type(id).is_ok_and(is_integer) {
        return;
    }
    let earlier = &graph.nodes()[..before];
    let Some(producer) = earlier.iter().rposition(|node| node.outputs.contains(&Some(id))) else { return };
    let node = &earlier[producer];
    for input in node.inputs.iter().flatten() {
        follow(graph, *input, producer, known);
    }
    let types: Result<Vec<TensorType>> =
        node.outputs.iter().flatten().map(|output| graph.tensor_type(*output).cloned()).collect();
    let contents = types.ok().and_then(|types| evaluate::evaluate(&NodeView { graph, node, known }, &types));
    for (output, content) in node.outputs.iter().zip(contents.unwrap_or_default()) {
        output.iter().for_each(|output| known.insert(*output, content.clone()));
    }
}

fn unknown_operator(opset: u32, op_type: &str) -> Error {
    Error::unsupported(format!(
        "operator {op_type} (opset {opset}) is not known; export the model without it, or add a rule as \
         docs/adding-an-operator.md describes"
    ))
}
