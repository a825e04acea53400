//! Selects the output with the scores of the classes, if the file also returns labels, as scikit-learn's do.
//!
//! The class with the largest score must be the label that the file returns. If the scores of a converter contradict
//! the label, their columns are swapped, or the file is not_a_classifier.

use std::collections::HashMap;

use super::input::not_a_classifier;
use super::rearranging::REARRANGING;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Graph, Node, NodeId, ValueId};
use crate::operators::has_integer_results;
use crate::tensor::{DataType, Tensor};

const LINEAR: &str = "ai.onnx.ml::LinearClassifier";
const SVM: &str = "ai.onnx.ml::SVMClassifier";

/// Operators whose first output is a label, and the second one scores.
const CLASSIFIERS: [&str; 2] = [LINEAR, SVM];

/// Selects columns. It is no member of [`REARRANGING`], as a typed graph has it no more.
const EXTRACTOR: &str = "ai.onnx.ml::ArrayFeatureExtractor";

/// The graph of a file without its labels, and with scores whose largest one is that of the label.
///
/// # Errors
/// When the scores are of pairs of classes, or computed from a label; names the node and the way out.
pub(super) fn class_scores(mut graph: Graph) -> Result<Graph> {
    drop_labels(&mut graph);
    let &[scores] = graph.outputs() else { return Ok(graph) };
    let producers = graph.producers();
    let scores = both_columns(&graph, &producers, scores);
    graph.set_outputs(vec![scores]);
    let is_plain = |node: &&Node| node.op_type == SVM && node.attributes.get("prob_a").is_none();
    if let Some(svm) = classifier_of(&graph, &producers, scores).filter(is_plain) {
        match class_count(svm)? {
            2 => swap_columns(&mut graph, scores),
            classes => return Err(pairwise_scores(classes).at_node(svm)),
        }
    }
    graph.prune();
    check_labels(&graph)?;
    Ok(graph)
}

/// Drops integer outputs, if others are left.
fn drop_labels(graph: &mut Graph) {
    let producers = graph.producers();
    let kept: Vec<ValueId> =
        graph.outputs().iter().copied().filter(|id| !is_integer(graph, &producers, *id)).collect();
    if !kept.is_empty() && kept.len() < graph.outputs().len() {
        graph.set_outputs(kept);
    }
}

/// Whether the operators show that a value holds integers. Types are not inferred yet.
fn is_integer(graph: &Graph, producers: &HashMap<ValueId, NodeId>, mut value: ValueId) -> bool {
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
        if has_integer_results(op_type)
            || CLASSIFIERS.contains(&op_type) && is_first
            || op_type == "TopK" && !is_first
        {
            return true;
        }
        if op_type == "ai.onnx.ml::LabelEncoder" {
            return ["values_floats", "default_float"].iter().all(|name| node.attributes.get(name).is_none());
        }
        match node.optional_input(0) {
            Some(input) if REARRANGING.contains(&op_type) || op_type == EXTRACTOR => value = input,
            _ => return false,
        }
    }
}

/// Both scores of a LinearClassifier, if the file selects only that of the second class.
fn both_columns(graph: &Graph, producers: &HashMap<ValueId, NodeId>, scores: ValueId) -> ValueId {
    let both = || {
        let chosen = skip_reshapes(graph, producers, scores);
        let node = graph.node(*producers.get(&chosen)?);
        let index = graph.constant(node.optional_input(1)?)?.to_i64()?;
        let source = node.optional_input(0)?;
        let classifier = graph.node(*producers.get(&source)?);
        let is_second = node.op_type == EXTRACTOR
            && index == [1]
            && classifier.op_type == LINEAR
            && classifier.optional_output(1) == Some(source)
            && class_count(classifier).is_ok_and(|classes| classes == 2);
        is_second.then_some(source)
    };
    both().unwrap_or(scores)
}

/// The value before operators that only change the shape.
fn skip_reshapes(graph: &Graph, producers: &HashMap<ValueId, NodeId>, mut value: ValueId) -> ValueId {
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

/// The classifier whose scores a value is, up to Casts.
fn classifier_of<'g>(
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
fn swap_columns(graph: &mut Graph, scores: ValueId) {
    let columns = graph.add_constant("scores/columns", Tensor::vector_i64(&[1, 0]));
    let swapped = graph.add_fresh_value("scores/turned", None);
    graph.push_node(Node {
        name: graph.value(swapped).name.clone(),
        op_type: "Gather".to_owned(),
        inputs: vec![Some(scores), Some(columns)],
        outputs: vec![Some(swapped)],
        attributes: Attributes::from_pairs([("axis", Attribute::Int(1))]),
    });
    graph.set_outputs(vec![swapped]);
}

fn pairwise_scores(classes: usize) -> Error {
    not_a_classifier(format!(
        "returns one score per pair of {classes} classes, wanted one per class: train with \
         `SVC(decision_function_shape='ovr')`, and `probability=False`"
    ))
}

/// Refuses scores that are made of a label: they would be constant almost everywhere.
fn check_labels(graph: &Graph) -> Result<()> {
    let used = |id: &ValueId| graph.nodes().iter().any(|node| node.inputs.contains(&Some(*id)));
    for node in graph.nodes().iter().filter(|node| CLASSIFIERS.contains(&node.op_type.as_str())) {
        if node.optional_output(0).is_some_and(|label| used(&label)) {
            return Err(not_a_classifier(
                "its scores are computed from labels, which have no gradient: let the model combine scores instead \
                 (in scikit-learn, `voting='soft'`)"
                    .to_owned(),
            )
            .at_node(node));
        }
    }
    Ok(())
}
