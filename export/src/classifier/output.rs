//! The output of the file: `[N, K]`, logits or probabilities.

use mimir_bundle::{OutputKind, ScannedNode};

use super::input::{check_scores, not_a_classifier};
use super::log_probabilities::log_probabilities;
use super::preprocessing::assign_name;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, NodeId, Shape, ValueId};
use crate::scan;
use crate::tensor::DataType;

/// The class count `K` of a typed graph whose one output is `[batch, K]`.
pub(super) fn class_count(graph: &Graph, batch: Dim) -> Result<usize> {
    let id = sole_output(graph)?;
    let name = &graph.value(id).name;
    let output = graph.tensor_type(id)?;
    check_scores(output.dtype).map_err(|error| error.at_tensor(name))?;
    match output.shape.0[..] {
        [found, Dim::Fixed(classes)] if found == batch && classes >= 2 => Ok(classes),
        [found] | [found, Dim::Fixed(1)] if found == batch => {
            Err(single_class(&output.shape).at_tensor(name))
        }
        _ => Err(not_a_classifier(format!(
            "the output is {}, wanted [{batch}, K] with one score for each of K ≥ 2 classes",
            output.shape
        ))
        .at_tensor(name)),
    }
}

/// The error for one score: a binary classifier decides by its sign, or by a threshold that the file does not contain.
fn single_class(shape: &Shape) -> Error {
    not_a_classifier(format!(
        "the output is {shape}, which is 1 class, wanted [N, K] with one score for each of K ≥ 2 classes: for a \
         binary classifier with a logit z export the two logits [-z/2, z/2]; with a probability p export [1 - p, p]"
    ))
}

/// The one output of the graph.
pub(super) fn sole_output(graph: &Graph) -> Result<ValueId> {
    match graph.outputs() {
        [id] => Ok(*id),
        several => {
            let names: Vec<&str> = several.iter().map(|id| graph.value(*id).name.as_str()).collect();
            Err(not_a_classifier(format!(
                "the model has {} outputs ({}), wanted one: the scores of the classes (export scikit-learn models \
                 with `zipmap=False`, not with 'columns')",
                names.len(),
                names.join(", ")
            )))
        }
    }
}

/// The Softmax that makes the output probabilities, where there is one.
pub(super) fn softmax_nodes(graph: &Graph) -> Result<Vec<ScannedNode>> {
    Ok(last_softmax(graph)?.iter().map(|id| scan::scanned_node(graph.node(*id))).collect())
}

/// Appends a Cast to float32 to a graph that returns another floating-point type.
pub(super) fn as_float32(graph: &mut Graph) -> Result<()> {
    let scores = sole_output(graph)?;
    assign_name(graph, scores, "scores")?;
    let float32 = graph.add_fresh_value("scores/Cast", None);
    graph.push_node(Node {
        name: "scores/Cast".to_owned(),
        op_type: "Cast".to_owned(),
        inputs: vec![Some(scores)],
        outputs: vec![Some(float32)],
        attributes: Attributes::from_pairs([("to", Attribute::Int(DataType::Float32 as i64))]),
    });
    graph.set_outputs(vec![float32]);
    Ok(())
}

/// The kind of the output, as far as the operators show it.
pub(super) fn kind(graph: &Graph) -> Result<OutputKind> {
    let probabilities = last_softmax(graph)?.is_some();
    Ok(if probabilities { OutputKind::Probabilities } else { OutputKind::Logits })
}

/// Makes a typed graph that returns probabilities return their logarithms.
pub(super) fn take_logarithm(graph: &mut Graph) -> Result<()> {
    let probabilities = sole_output(graph)?;
    assign_name(graph, probabilities, "probabilities")?;
    let logarithms = log_probabilities(graph, probabilities)?;
    graph.set_outputs(vec![logarithms]);
    graph.prune();
    Ok(())
}

/// The Softmax over the classes that produces the output, seen through operators that only change its shape.
fn last_softmax(graph: &Graph) -> Result<Option<NodeId>> {
    let mut id = sole_output(graph)?;
    let classes = graph.shape(id)?.0.last().copied();
    let producers = graph.producers();
    while let Some(producer) = producers.get(&id) {
        let node = graph.node(*producer);
        let input = node.input(0)?;
        match node.op_type.as_str() {
            "Identity" | "Reshape" | "Flatten" | "Squeeze" => id = input,
            "Softmax" => {
                let shape = graph.shape(input)?;
                let axis = shape.axis(node.attributes.int("axis", -1)?)?;
                return Ok((Some(shape.0[axis]) == classes).then_some(*producer));
            }
            _ => break,
        }
    }
    Ok(None)
}
