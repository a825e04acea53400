//! Chooses the output that has the scores of the classes, where a file has several outputs.
//!
//! Labels (one integer an image) are dropped. Of the others one must be told by name, unless there is only one that can
//! be meant: a wrong choice would make a report about something else than what is deployed.

use super::class_axis::classes_of_output;
use super::input::not_a_classifier;
use super::known_values::KnownValues;
use super::order::Order;
use super::{labels, selection};
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Shape, TensorType, ValueId};
use crate::tensor::DataType;
use crate::working_copy::WorkingCopy;

/// Leaves one output: the one of that name, or the only one that can have the scores.
///
/// # Errors
/// When no output has that name, or several could have the scores; lists the outputs with their shapes.
pub(super) fn choose(graph: &mut Graph, wanted: Option<&str>) -> Result<()> {
    if let Some(name) = wanted {
        let named = graph.outputs().iter().find(|id| graph.value(**id).name == name);
        let output = *named.ok_or_else(|| no_such_output(graph, name))?;
        graph.set_outputs(vec![output]);
        return Ok(());
    }
    if graph.outputs().len() < 2 {
        return Ok(());
    }
    let described = describe(graph);
    let (labels, others): (Vec<&Described>, Vec<&Described>) =
        described.iter().partition(|output| output.is_integer);
    let scores = match &*others {
        [] => return Ok(()),
        [scores] => scores,
        _ => match earliest_of_same(graph, &others) {
            Some(index) => others[index],
            None => return Err(several(graph, &described, &others)),
        },
    };
    let are_ranks =
        |label: &&&Described| label.may_rank && label.classes.is_some() && label.classes == scores.classes;
    if let Some(ranks) = labels.iter().find(are_ranks) {
        check_not_sorted(graph, scores.id)?;
        return Err(ambiguous_ranks(graph, scores, ranks));
    }
    let output = scores.id;
    graph.set_outputs(vec![output]);
    Ok(())
}

/// An output of the file, and what is known of it.
struct Described {
    id: ValueId,
    is_integer: bool,
    /// Whether it may hold numbers of classes.
    may_rank: bool,
    shape: Option<Shape>,
    /// Values an image, where they can be the scores of that many classes.
    classes: Option<usize>,
}

fn describe(graph: &Graph) -> Vec<Described> {
    let producers = graph.producers();
    let described = |id: &ValueId| {
        let found = type_of(graph, *id);
        let is_integer = match &found {
            Some(found) => !found.dtype.is_float(),
            None => labels::is_integer(graph, &producers, *id),
        };
        let may_rank = is_integer && found.as_ref().is_none_or(|found| found.dtype != DataType::Bool);
        let shape = found.map(|found| found.shape);
        let classes = shape.as_ref().and_then(|shape| {
            let batch = shape.0.first().copied().unwrap_or(Dim::N);
            classes_of_output(shape, batch).map(|(classes, _)| classes)
        });
        Described { id: *id, is_integer, may_rank, shape, classes }
    };
    graph.outputs().iter().map(described).collect()
}

/// The type of one output. Other outputs may contain what has no known shape.
fn type_of(graph: &Graph, output: ValueId) -> Option<TensorType> {
    let (copy, output) = copy_for(graph, output)?;
    copy.tensor_type(output).ok().cloned()
}

fn copy_for(graph: &Graph, output: ValueId) -> Option<(Graph, ValueId)> {
    let mut alone = graph.clone();
    alone.set_outputs(vec![output]);
    alone.prune();
    let copy = WorkingCopy::new(&alone).ok()?.graph;
    let output = *copy.outputs().first()?;
    Some((copy, output))
}

/// The output that all others are computed from without a change of the order of the classes, such as logits beside
/// their Softmax.
fn earliest_of_same(graph: &Graph, outputs: &[&Described]) -> Option<usize> {
    let classes = outputs.first()?.classes?;
    let mut alone = graph.clone();
    alone.set_outputs(outputs.iter().map(|output| output.id).collect());
    alone.prune();
    let copy = WorkingCopy::new(&alone).ok()?.graph;
    let found = copy.outputs().to_vec();
    let batch = *copy.shape(*found.first()?).ok()?.0.first()?;
    let order = Order { values: KnownValues::new(&copy), batch, classes };
    let trails: Vec<Vec<ValueId>> = found.iter().map(|output| trail(&order, *output)).collect();
    (0..found.len()).find(|index| trails.iter().all(|trail| trail.contains(&found[*index])))
}

/// A value, and those before it whose classes have the same order.
fn trail(order: &Order<'_>, output: ValueId) -> Vec<ValueId> {
    let steps = order.steps(output);
    let same = steps.iter().take_while(|step| !step.turns).map(|step| step.before);
    std::iter::once(output).chain(same).collect()
}

/// Names the operator that sorts the scores, where there is one: that says more than that two outputs are alike.
fn check_not_sorted(graph: &Graph, output: ValueId) -> Result<()> {
    let Some((copy, output)) = copy_for(graph, output) else { return Ok(()) };
    match copy.shape(output).ok().and_then(|shape| shape.0.iter().rposition(|dim| *dim != Dim::Fixed(1))) {
        Some(axis) => selection::check(&copy, output, axis),
        None => Ok(()),
    }
}

fn listed<'d>(graph: &Graph, outputs: impl IntoIterator<Item = &'d Described>) -> String {
    let one = |output: &Described| {
        let name = &graph.value(output.id).name;
        match &output.shape {
            Some(shape) => format!("`{name}` {shape}"),
            None => format!("`{name}`"),
        }
    };
    outputs.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

fn no_such_output(graph: &Graph, name: &str) -> Error {
    let is_inside = graph.find(name).is_some();
    let what = if is_inside {
        "is a tensor inside the model, not an output of it"
    } else {
        "is no output of the model"
    };
    let outputs = describe(graph);
    not_a_classifier(format!("{what}; its outputs are {}", listed(graph, &outputs))).at_tensor(name)
}

fn several(graph: &Graph, all: &[Described], others: &[&Described]) -> Error {
    let may_have_scores = |output: &&&Described| output.classes.is_some() || output.shape.is_none();
    let Some(first) = others.iter().find(may_have_scores) else {
        return not_a_classifier(format!(
            "the model has {} outputs ({}), wanted one: the scores of the classes, [N, K] (export scikit-learn models \
             with `zipmap=False`, not with 'columns')",
            others.len(),
            listed(graph, others.iter().copied())
        ));
    };
    not_a_classifier(format!(
        "the model has {} outputs ({}), and which has the scores of the classes is not clear: choose it with --output \
         NAME, for example --output {}",
        all.len(),
        listed(graph, all),
        graph.value(first.id).name
    ))
}

/// The error for scores beside as many integers an image, which may be the classes in the order of their scores.
fn ambiguous_ranks(graph: &Graph, scores: &Described, ranks: &Described) -> Error {
    not_a_classifier(format!(
        "the model returns as many integers ({}) as scores ({}): if those are the classes in the order of their scores, \
         the scores are sorted and no scores of classes; if not, say so with --output {}",
        listed(graph, [ranks]),
        listed(graph, [scores]),
        graph.value(scores.id).name
    ))
}
