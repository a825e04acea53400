//! Which values carry gradient from the logits to the images.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Node, ValueId};
use crate::operators::row::Gradient;
use crate::operators::{gradient_of, passes_straight_through};
use crate::tensor::DataType;

/// Cutting nodes that an error lists by name.
const NAMED_CUTS: usize = 5;

/// Values on a differentiable path from `input` to `output`, both included.
///
/// # Errors
/// - [`ErrorKind::NoGradient`] when there is no such path although `output` depends on `input`: the nodes whose
///   derivative is zero almost everywhere are named, because a zero gradient would look like robustness;
/// - [`ErrorKind::Unsupported`] when a value on the path is not `float`;
/// - [`ErrorKind::NotAClassifier`] when `output` does not depend on `input` at all.
pub(super) fn active_values(graph: &Graph, input: ValueId, output: ValueId) -> Result<HashSet<ValueId>> {
    active_between(graph, &[input], &[output])
}

/// Values on a differentiable path from any of `inputs` to any of `outputs`, both included.
///
/// # Errors
/// As [`active_values`], for an input from which no such path leads to any output.
pub(super) fn active_between(
    graph: &Graph,
    inputs: &[ValueId],
    outputs: &[ValueId],
) -> Result<HashSet<ValueId>> {
    let mut all = HashSet::new();
    for input in inputs {
        let carrying = carrying_values(graph, *input)?;
        let reached: Vec<ValueId> = outputs.iter().copied().filter(|id| carrying.contains(id)).collect();
        if reached.is_empty() {
            return Err(cut(graph, *input, outputs, &carrying));
        }
        all.extend(leading_to(graph, &reached, &carrying));
    }
    check_float(graph, &all)?;
    Ok(all)
}

/// Those of the `carrying` values that some output depends on.
fn leading_to(graph: &Graph, outputs: &[ValueId], carrying: &HashSet<ValueId>) -> HashSet<ValueId> {
    let mut active: HashSet<ValueId> = outputs.iter().copied().collect();
    for node in graph.nodes().iter().rev() {
        if !is_cut(node, carrying) && outputs_any(node, &active) {
            active.extend(node.inputs.iter().flatten().filter(|id| carrying.contains(id)));
        }
    }
    active
}

/// Values that depend on `input` through operators with a derivative, or a stand-in for one.
pub(crate) fn carrying_values(graph: &Graph, input: ValueId) -> Result<HashSet<ValueId>> {
    let mut reached = HashSet::from([input]);
    for node in graph.nodes() {
        if !is_cut(node, &reached) && inputs_any(node, &reached) {
            for output in node.outputs.iter().flatten() {
                let dtype = graph.tensor_type(*output).map_err(|error| error.at_node(node))?.dtype;
                let carries = match passes_straight_through(&node.op_type) {
                    true => stands_for_numbers(node, *output),
                    false => dtype.is_float(),
                };
                if carries {
                    reached.insert(*output);
                }
            }
        }
    }
    Ok(reached)
}

/// Whether the node passes no gradient.
fn is_cut(node: &Node, carrying: &HashSet<ValueId>) -> bool {
    match gradient_of(&node.op_type) {
        Some(Gradient::Zero) => true,
        Some(Gradient::ZeroExcept(index)) => {
            node.optional_input(index).is_none_or(|values| !carrying.contains(&values))
        }
        Some(
            Gradient::Exact(..)
            | Gradient::Selects(..)
            | Gradient::Subgradient(..)
            | Gradient::StraightThrough(..)
            | Gradient::Undifferentiated(_),
        )
        | None => false,
    }
}

/// Whether integers stand for numbers: the first output of a quantisation, whose rule passes gradients straight
/// through.
fn stands_for_numbers(node: &Node, output: ValueId) -> bool {
    passes_straight_through(&node.op_type) && node.optional_output(0) == Some(output)
}

fn check_float(graph: &Graph, active: &HashSet<ValueId>) -> Result<()> {
    let of_nodes = graph.nodes().iter().flat_map(|node| {
        node.outputs.iter().flatten().filter(|output| !stands_for_numbers(node, **output)).copied()
    });
    for id in graph.inputs().iter().copied().chain(of_nodes).filter(|id| active.contains(id)) {
        let dtype = graph.tensor_type(id)?.dtype;
        if dtype != DataType::Float32 {
            return Err(Error::unsupported(format!(
                "gradients of {dtype} values are not supported: export the model in float32"
            ))
            .at_tensor(&graph.value(id).name));
        }
    }
    Ok(())
}

fn cut(graph: &Graph, input: ValueId, outputs: &[ValueId], carrying: &HashSet<ValueId>) -> Error {
    let needed = needed_values(graph, outputs);
    let place = outputs.first().copied().unwrap_or(input);
    if !needed.contains(&input) {
        return Error::new(ErrorKind::NotAClassifier, "the output does not depend on the images")
            .at_tensor(&graph.value(place).name);
    }
    let cuts: Vec<String> = graph
        .nodes()
        .iter()
        .filter(|node| {
            let ends_here = |id: &ValueId| needed.contains(id) && !carrying.contains(id);
            inputs_any(node, carrying) && node.outputs.iter().flatten().any(ends_here)
        })
        .map(|node| format!("`{}` ({})", node.name, node.op_type))
        .collect();
    let more = if cuts.len() > NAMED_CUTS { ", …" } else { "" };
    let message = format!(
        "no gradient reaches the images: it is zero almost everywhere after {}{more}; attack such a model without \
         gradients, or replace these nodes by smooth ones",
        cuts[..cuts.len().min(NAMED_CUTS)].join(", ")
    );
    Error::new(ErrorKind::NoGradient, message).at_tensor(&graph.value(place).name)
}

/// Values that `outputs` are computed of, themselves included.
pub(crate) fn needed_values(graph: &Graph, outputs: &[ValueId]) -> HashSet<ValueId> {
    let mut needed: HashSet<ValueId> = outputs.iter().copied().collect();
    for node in graph.nodes().iter().rev() {
        if outputs_any(node, &needed) {
            needed.extend(node.inputs.iter().flatten());
        }
    }
    needed
}

fn inputs_any(node: &Node, set: &HashSet<ValueId>) -> bool {
    node.inputs.iter().flatten().any(|id| set.contains(id))
}

fn outputs_any(node: &Node, set: &HashSet<ValueId>) -> bool {
    node.outputs.iter().flatten().any(|id| set.contains(id))
}
