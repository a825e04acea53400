//! Which output of a file holds the scores of the classes, where it has labels beside them, as scikit-learn's have.
//!
//! A prediction is the larger score, and must be the label that the file returns. Where a converter's scores say something
//! else, they are turned to say it, or the file is refused.

use std::collections::HashMap;

use super::input::refused;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Graph, Node, NodeId, ValueId};
use crate::tensor::{DataType, Tensor};

const LINEAR: &str = "ai.onnx.ml::LinearClassifier";
const MACHINE: &str = "ai.onnx.ml::SVMClassifier";

/// Operators whose first output is a label, and the second one scores.
const CLASSIFIERS: [&str; 2] = [LINEAR, MACHINE];

/// Operators of whole numbers and of truth values only.
const WHOLE: [&str; 13] = [
    "And",
    "ArgMax",
    "ArgMin",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "NonZero",
    "Not",
    "Or",
    "Shape",
    "Size",
];

/// Operators that give elements of their first input.
const MOVES: [&str; 9] = [
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    "ai.onnx.ml::ArrayFeatureExtractor",
];

/// The graph of a file without its labels, and with scores whose larger one is the label.
///
/// # Errors
/// When the scores are of pairs of classes, or made of a label; names the node and the way out.
pub(super) fn of_classes(mut graph: Graph) -> Result<Graph> {
    leave_labels_out(&mut graph);
    let &[scores] = graph.outputs() else { return Ok(graph) };
    let producers = graph.producers();
    let scores = both_columns(&graph, &producers, scores);
    graph.set_outputs(vec![scores]);
    let is_plain = |node: &&Node| node.op_type == MACHINE && node.attributes.get("prob_a").is_none();
    if let Some(machine) = behind_casts(&graph, &producers, scores).filter(is_plain) {
        match class_count(machine)? {
            2 => turn_round(&mut graph, scores),
            classes => return Err(of_pairs(classes).at_node(machine)),
        }
    }
    graph.prune();
    check_labels(&graph)?;
    Ok(graph)
}

/// Drops outputs of whole numbers where others are left.
fn leave_labels_out(graph: &mut Graph) {
    let producers = graph.producers();
    let kept: Vec<ValueId> =
        graph.outputs().iter().copied().filter(|id| !is_whole(graph, &producers, *id)).collect();
    if !kept.is_empty() && kept.len() < graph.outputs().len() {
        graph.set_outputs(kept);
    }
}

/// Whether operators show that a value holds whole numbers. Types are not known yet.
fn is_whole(graph: &Graph, producers: &HashMap<ValueId, NodeId>, mut value: ValueId) -> bool {
    // One step for each node at most: a graph has no cycles.
    loop {
        let Some(producer) = producers.get(&value) else {
            return graph.tensor_type(value).is_ok_and(|found| !found.dtype.is_float());
        };
        let node = graph.node(*producer);
        let op_type = node.op_type.as_str();
        if op_type == "Cast" {
            let to = node.attributes.int("to", 0).unwrap_or_default();
            let to = i32::try_from(to).ok().and_then(|to| DataType::from_onnx(to).ok());
            return to.is_some_and(|dtype| !dtype.is_float());
        }
        let is_first = node.optional_output(0) == Some(value);
        if WHOLE.contains(&op_type)
            || CLASSIFIERS.contains(&op_type) && is_first
            || op_type == "TopK" && !is_first
        {
            return true;
        }
        if op_type == "ai.onnx.ml::LabelEncoder" {
            return ["values_floats", "default_float"].iter().all(|name| node.attributes.get(name).is_none());
        }
        match node.optional_input(0) {
            Some(input) if MOVES.contains(&op_type) => value = input,
            _ => return false,
        }
    }
}

/// Both scores of a LinearClassifier, where the file keeps that of the second class, which decides by its sign.
fn both_columns(graph: &Graph, producers: &HashMap<ValueId, NodeId>, scores: ValueId) -> ValueId {
    let both = || {
        let chosen = behind_moves(graph, producers, scores);
        let node = graph.node(*producers.get(&chosen)?);
        let index = graph.constant(node.optional_input(1)?)?.to_i64()?;
        let source = node.optional_input(0)?;
        let classifier = graph.node(*producers.get(&source)?);
        let is_second = node.op_type == "ai.onnx.ml::ArrayFeatureExtractor"
            && index == [1]
            && classifier.op_type == LINEAR
            && classifier.optional_output(1) == Some(source)
            && class_count(classifier).is_ok_and(|classes| classes == 2);
        is_second.then_some(source)
    };
    both().unwrap_or(scores)
}

/// Through operators that neither choose nor change elements.
fn behind_moves(graph: &Graph, producers: &HashMap<ValueId, NodeId>, mut value: ValueId) -> ValueId {
    while let Some(node) = producers.get(&value).map(|producer| graph.node(*producer)) {
        match node.optional_input(0) {
            Some(input)
                if matches!(node.op_type.as_str(), "Identity" | "Reshape" | "Squeeze" | "Flatten") =>
            {
                value = input;
            }
            _ => break,
        }
    }
    value
}

/// The classifier whose scores a value is, but for its type.
fn behind_casts<'g>(
    graph: &'g Graph,
    producers: &HashMap<ValueId, NodeId>,
    mut value: ValueId,
) -> Option<&'g Node> {
    loop {
        let node = graph.node(*producers.get(&value)?);
        match node.op_type.as_str() {
            "Cast" | "Identity" => value = node.optional_input(0)?,
            op_type => {
                return (CLASSIFIERS.contains(&op_type) && node.optional_output(1) == Some(value))
                    .then_some(node);
            }
        }
    }
}

fn class_count(node: &Node) -> Result<usize> {
    let texts = node.attributes.texts("classlabels_strings").map_err(|error| error.at_node(node))?;
    let ints = node.attributes.ints("classlabels_ints").map_err(|error| error.at_node(node))?;
    Ok(match texts {
        Some([_, ..]) => texts.map_or(0, <[String]>::len),
        _ => ints.map_or(0, <[i64]>::len),
    })
}

/// Of two classes ONNX Runtime's SVMClassifier returns `[−s, s]` and labels the first one where `s > 0`.
fn turn_round(graph: &mut Graph, scores: ValueId) {
    let columns = graph.add_constant("scores/columns", Tensor::vector_i64(&[1, 0]));
    let turned = graph.add_fresh_value("scores/turned", None);
    graph.push_node(Node {
        name: graph.value(turned).name.clone(),
        op_type: "Gather".to_owned(),
        inputs: vec![Some(scores), Some(columns)],
        outputs: vec![Some(turned)],
        attributes: Attributes::from_pairs([("axis", Attribute::Int(1))]),
    });
    graph.set_outputs(vec![turned]);
}

fn of_pairs(classes: usize) -> Error {
    refused(format!(
        "returns one score for each pair of {classes} classes, wanted one for each class: train with \
         `SVC(decision_function_shape='ovr')`, and `probability=False`"
    ))
}

/// Refuses scores that are made of a label: they would be constant almost everywhere.
fn check_labels(graph: &Graph) -> Result<()> {
    let used = |id: &ValueId| graph.nodes().iter().any(|node| node.inputs.contains(&Some(*id)));
    for node in graph.nodes().iter().filter(|node| CLASSIFIERS.contains(&node.op_type.as_str())) {
        if node.optional_output(0).is_some_and(|label| used(&label)) {
            return Err(refused(
                "its label is what the scores are made of, and labels have no gradient: let the model combine scores \
                 (in scikit-learn, `voting='soft'`)"
                    .to_owned(),
            )
            .at_node(node));
        }
    }
    Ok(())
}
