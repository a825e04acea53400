//! The output of the file: `[N, K]`, also with axes of length one, logits or probabilities.

use mimir_bundle::{OutputKind, ScannedNode, tensor_names};

use super::class_axis::classes_of_output;
use super::input::not_a_classifier;
use super::log_probabilities::log_probabilities;
use super::preprocessing::assign_name;
use super::rearranging::REARRANGING;
use super::replaced::Replaced;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, NodeId, Shape, ValueId};
use crate::scan;
use crate::tensor::DataType;

/// What an output needs to be `[N, K]` in float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    /// The class count, `K`.
    pub(super) classes: usize,
    /// The axis of a Flatten, which removes further axes of length one, or adds that of the batch.
    flatten: Option<usize>,
    /// Whether it is of another type than float32 in the file.
    casts: bool,
    /// Whether it is of one in the working copy.
    casts_copy: bool,
}

impl Ending {
    /// Of the one output of a typed working copy; `dtype` is its element type in the file.
    ///
    /// # Errors
    /// When it is not one score for each of at least two classes; does not name the output.
    pub(super) fn of(copy: &Graph, batch: Dim, dtype: DataType) -> Result<Self> {
        let id = sole_output(copy)?;
        let output = copy.tensor_type(id)?;
        let casts_copy = !output.dtype.is_float();
        if casts_copy && !are_quantised(copy, id) {
            return Err(no_scores(&output.shape, output.dtype));
        }
        match classes_of_output(&output.shape, batch) {
            Some((classes, flatten)) => {
                Ok(Self { classes, flatten, casts: dtype != DataType::Float32, casts_copy })
            }
            None => Err(not_class_scores(&output.shape, batch)),
        }
    }

    /// Whether the working copy of the file lacks the nodes too: all floating-point types are float32 there.
    pub(super) fn changes_copy(self) -> bool {
        self.flatten.is_some() || self.casts_copy
    }

    /// Appends the nodes to a graph that returns what the file returns; its output is then `logits`.
    pub(super) fn append(self, graph: &mut Graph) -> Result<()> {
        if let Some(axis) = self.flatten {
            append(graph, "Flatten", Attributes::from_pairs([("axis", Attribute::Int(axis as i64))]))?;
        }
        if self.casts {
            let to = Attribute::Int(DataType::Float32 as i64);
            append(graph, "Cast", Attributes::from_pairs([("to", to)]))?;
        }
        assign_name(graph, sole_output(graph)?, tensor_names::LOGITS)
    }
}

/// Whether integers are scores that were quantised, or lost their fractions: up to that they are floating-point numbers.
fn are_quantised(copy: &Graph, mut value: ValueId) -> bool {
    let producers = copy.producers();
    while let Some(producer) = producers.get(&value) {
        let node = copy.node(*producer);
        let Some(input) = node.optional_input(0) else { return false };
        let is_float = copy.tensor_type(input).is_ok_and(|found| found.dtype.is_float());
        match node.op_type.as_str() {
            "QuantizeLinear" => return true,
            "Cast" if is_float => {
                return copy.tensor_type(value).is_ok_and(|found| found.dtype != DataType::Bool);
            }
            "Cast" | "Clip" | "Max" | "Min" => value = input,
            op_type if REARRANGING.contains(&op_type) => value = input,
            _ => return false,
        }
    }
    false
}

/// The error for an output that is neither floating-point numbers nor made of such.
fn no_scores(shape: &Shape, dtype: DataType) -> Error {
    Error::unsupported(format!(
        "is {dtype}{shape} and made of no floating-point scores, such as a label is: export the scores of the classes, \
         [N, K], before what makes them integers"
    ))
}

fn append(graph: &mut Graph, op_type: &str, attributes: Attributes) -> Result<()> {
    let scores = sole_output(graph)?;
    assign_name(graph, scores, &format!("scores/before/{op_type}"))?;
    let output = graph.add_fresh_value(&format!("scores/{op_type}"), None);
    graph.push_node(Node {
        name: graph.value(output).name.clone(),
        op_type: op_type.to_owned(),
        inputs: vec![Some(scores)],
        outputs: vec![Some(output)],
        attributes,
    });
    graph.set_outputs(vec![output]);
    Ok(())
}

fn not_class_scores(shape: &Shape, batch: Dim) -> Error {
    match shape.0.split_first() {
        Some((first, rest)) if *first == batch && rest.iter().all(|dim| *dim == Dim::Fixed(1)) => {
            single_class(shape)
        }
        _ => not_a_classifier(format!(
            "the output is {shape}, wanted [{batch}, K] with one score for each of K ≥ 2 classes"
        )),
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
                "the graph has {} outputs ({}), wanted one",
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

/// The kind of the output, as far as the operators show it, and given what searches use in its place.
pub(super) fn kind(graph: &Graph, replaced: Replaced) -> Result<OutputKind> {
    Ok(match (last_softmax(graph)?, replaced) {
        (Some(_), _) => OutputKind::Probabilities,
        (None, Replaced::No) => OutputKind::Logits,
        (None, Replaced::Logarithms | Replaced::Scores | Replaced::ScoresWithTies) => OutputKind::Saturating,
    })
}

/// Makes a typed graph whose first output are probabilities return their logarithms in their place.
pub(super) fn take_logarithm(graph: &mut Graph) -> Result<()> {
    let (probabilities, further) = match graph.outputs() {
        [probabilities, further @ ..] => (*probabilities, further.to_vec()),
        [] => (sole_output(graph)?, Vec::new()),
    };
    assign_name(graph, probabilities, "probabilities")?;
    let logarithms = log_probabilities(graph, probabilities)?;
    graph.set_outputs(std::iter::once(logarithms).chain(further).collect());
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
