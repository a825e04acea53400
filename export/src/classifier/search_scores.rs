//! The scores that searches use in place of what the file returns, where the last operators of the file saturate.
//!
//! The file alone decides what an image is classified as. A search needs gradients, and those of Clip, of a Softmax of
//! large logits or of `100 · Softmax` vanish on images that are classified with confidence. It therefore uses
//! - the logarithm of the output, if the output is a product of probabilities or a sum of such: one Softmax, a mean or a
//!   weighted sum of several, computed from the logits of each;
//! - otherwise the scores before the last operator that bends, where the order of the classes is the same
//!   ([`super::order`]);
//! - where that operator is a bound, such as Clip, scores that go on beyond it ([`super::bounded_scores`]).

use mimir_bundle::tensor_names;

use super::bounded_scores::leaning;
use super::known_values::KnownValues;
use super::log_probabilities::exact_logarithm;
use super::order::{Effect, Order, StepBack};
use super::output::sole_output;
use super::preprocessing::assign_name;
pub(super) use super::replaced::Replaced;
use crate::error::Result;
use crate::graph::{Builder, Dim, Graph, ValueId};
use crate::tensor::DataType;

/// Replaces the one output of a typed working copy by the scores that searches use.
///
/// # Errors
/// When a node cannot be added.
pub(super) fn replace(graph: &mut Graph, batch: Dim, classes: usize) -> Result<Replaced> {
    let output = sole_output(graph)?;
    let steps = Order { values: KnownValues::new(graph), batch, classes }.steps(output);
    let Some(found) = scores(graph, output, &steps, batch, classes)? else {
        graph.prune();
        return Ok(Replaced::No);
    };
    let scores =
        if found.turns { Builder::new(graph, "scores").op("Neg", &[found.scores])? } else { found.scores };
    let replaced = match (found.ties, found.are_logarithms) {
        (true, _) => Replaced::ScoresWithTies,
        (false, true) => Replaced::Logarithms,
        (false, false) => Replaced::Scores,
    };
    if found.ties {
        // The name `logits` is that of the scores.
        assign_name(graph, output, tensor_names::RETURNED)?;
    }
    graph.set_outputs(std::iter::once(scores).chain(found.ties.then_some(output)).collect());
    graph.prune();
    Ok(replaced)
}

struct Found {
    scores: ValueId,
    turns: bool,
    ties: bool,
    /// Whether they are the logarithms of the output itself.
    are_logarithms: bool,
}

fn scores(
    graph: &mut Graph,
    output: ValueId,
    steps: &[StepBack],
    batch: Dim,
    classes: usize,
) -> Result<Option<Found>> {
    let bends = steps.iter().filter(|step| step.effect != Effect::Plain).count();
    let ties =
        |steps: &[StepBack]| steps.iter().any(|step| matches!(step.effect, Effect::Ties | Effect::Bounds));
    let turns = |steps: &[StepBack]| steps.iter().filter(|step| step.turns).count() % 2 == 1;
    // The logarithm of a Sigmoid saturates too, where several classes are near one.
    if bends <= 1
        && !ties(steps)
        && let Some(logarithm) = exact_logarithm(graph, output)?
    {
        return Ok(Some(Found { scores: logarithm, turns: false, ties: false, are_logarithms: true }));
    }
    if let Some(last) = steps.last()
        && let Some(logarithm) = exact_logarithm(graph, last.before)?
    {
        return Ok(Some(Found {
            scores: logarithm,
            turns: turns(steps),
            ties: ties(steps),
            are_logarithms: false,
        }));
    }
    let is_float = |id: ValueId| graph.tensor_type(id).is_ok_and(|found| found.dtype == DataType::Float32);
    let bend = steps.iter().rposition(|step| step.effect != Effect::Plain && is_float(step.before));
    let Some(bend) = bend else { return Ok(None) };
    let taken = &steps[..=bend];
    let scores = leaning(graph, output, taken, batch, classes)?.unwrap_or(taken[bend].before);
    Ok(Some(Found { scores, turns: turns(taken), ties: ties(taken), are_logarithms: false }))
}
