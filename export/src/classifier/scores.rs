//! Selects the output with the scores of the classes, if the file also returns labels, as scikit-learn's do.
//!
//! The class with the largest score must be the label that the file returns. If the scores of a converter contradict
//! the label, their columns are swapped, or the file is not_a_classifier.

use std::collections::{HashMap, HashSet};

use super::choice;
use super::input::not_a_classifier;
use super::labels::{CLASSIFIERS, EXTRACTOR, LINEAR, SVM};
use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Graph, Node, NodeId, ValueId};
use crate::tensor::Tensor;

/// The graph of a file with one output, whose largest score is that of the label, and the name that the output with
/// the scores has in the file.
#[derive(Debug)]
pub(super) struct ClassScores {
    pub(super) graph: Graph,
    pub(super) name: String,
}

/// Selects the output of that name, or the one that can have the scores, and orders its columns as the labels are.
///
/// # Errors
/// When it is not clear which output has the scores, or when these are of pairs of classes, or computed from a label;
/// names the node and the way out.
pub(super) fn class_scores(mut graph: Graph, output: Option<&str>) -> Result<ClassScores> {
    choice::choose(&mut graph, output)?;
    let &[scores] = graph.outputs() else { return Err(no_scores(&graph)) };
    let name = graph.value(scores).name.clone();
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
    Ok(ClassScores { graph, name })
}

fn no_scores(graph: &Graph) -> Error {
    let names: Vec<&str> = graph.outputs().iter().map(|id| graph.value(*id).name.as_str()).collect();
    not_a_classifier(format!(
        "the outputs of the model are labels ({}), wanted one with the scores of the classes, [N, K]: export the logits",
        names.join(", ")
    ))
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
    let read: HashSet<ValueId> =
        graph.nodes().iter().flat_map(|node| node.inputs.iter().flatten()).copied().collect();
    for node in graph.nodes().iter().filter(|node| CLASSIFIERS.contains(&node.op_type.as_str())) {
        if node.optional_output(0).is_some_and(|label| read.contains(&label)) {
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
