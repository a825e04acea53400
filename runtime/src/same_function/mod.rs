//! Whether the graphs that searches follow are the function of the file.
//!
//! Attacks see the file through copies of it, and a copy that computes something else leads them astray: what they do not
//! find then looks like robustness. So before they run, the same points are given to the file's own session and to every
//! graph: the first images, random points of the ball around them, and points a small step beside others. Scores must agree
//! up to rounding ([`scores`]), and gradients with differences of the file's scores ([`slopes`]).
//!
//! This finds copies that compute another function. It does not find one that differs only where no point lies.

mod comparison;
mod expected;
mod points;
mod scores;
mod slopes;

use std::sync::atomic::{AtomicBool, Ordering};

use mimir_bundle::certificate::{AcceptedDifference, ComparedQuantity};

pub use expected::{Expected, ExpectedGradients, Rounding, Sample, SearchedGraphs, SearchedScores};

use crate::error::EvaluateError;
use crate::model::{
    Batches, Classifier, Differentiable, KeptModels, LabelAndTarget, Loss, ModelError, ModelSource,
};
use comparison::{Comparison, label_and_nearest};
use points::Points;
use scores::{Scored, compare, file_form, movement};
use slopes::{Slope, SlopePoint};

/// The graphs that differ from the file by more than rounding explains, and how; none where all agree. The file must not
/// have random operators.
///
/// Costs about 50 forward passes of the file, 8 of the forward graph and 11 of each gradient graph. The models are given
/// back to their source.
///
/// # Errors
/// When the engine fails, an image cannot be read, there is no such ball, or somebody set `interrupted`.
pub fn differences(
    models: &KeptModels,
    graphs: &SearchedGraphs,
    sample: &Sample,
    expected: &Expected,
    interrupted: &AtomicBool,
) -> Result<Vec<AcceptedDifference>, EvaluateError> {
    let go_on = || match interrupted.load(Ordering::Relaxed) {
        true => Err(EvaluateError::Interrupted),
        false => Ok(()),
    };
    go_on()?;
    let points = Points::new(sample, expected.rounding.unit)?;
    let mut session = models.classifier()?;
    let mut file = FileAnswers::ask(session.as_mut(), &points, expected)?;
    let mut found = Vec::new();
    let mut slopes = Vec::new();
    let has_slopes = expected.gradients == ExpectedGradients::Derivatives && !graphs.losses.is_empty();
    if has_slopes && expected.scores != SearchedScores::Ordered {
        slopes = slope_points(session.as_mut(), &points, expected)?;
    }
    models.keep_classifier(session);
    if graphs.forward {
        go_on()?;
        let mut graph = models.search_classifier()?;
        let answers = score(graph.as_mut(), &points.compared)?;
        found.extend(file.compare_scores("forward", &answers, expected));
        if has_slopes && expected.scores == SearchedScores::Ordered {
            // Scores of the file that only have the same order have other slopes.
            slopes = slope_points(graph.as_mut(), &points, expected)?;
        }
        models.keep_search_classifier(graph);
    }
    for loss in &graphs.losses {
        go_on()?;
        let mut graph = models.differentiable(*loss)?;
        found.extend(compare_gradient_graph(graph.as_mut(), *loss, &points, &slopes, &mut file, expected)?);
        models.keep_differentiable(*loss, graph);
    }
    Ok(found)
}

/// How a gradient graph differs from the file, if it does.
fn compare_gradient_graph(
    graph: &mut dyn Differentiable,
    loss: Loss,
    points: &Points,
    slopes: &[SlopePoint],
    file: &mut FileAnswers,
    expected: &Expected,
) -> Result<Option<AcceptedDifference>, EvaluateError> {
    let name = format!("gradient of {}", loss.name());
    let answers = differentiate(graph, &points.compared, &file.pairs(points))?;
    let scored: Vec<Scored> = answers.into_iter().map(|answer| answer.scored).collect();
    match file.compare_scores(&name, &scored, expected) {
        // Scores that differ have other slopes.
        Some(difference) => Ok(Some(difference)),
        None if loss.is_relaxed() => Ok(None),
        None => compare_slopes(&name, graph, loss, slopes, file.noise),
    }
}

/// What the file's own session says of the points.
struct FileAnswers {
    /// Scores of each compared point.
    scores: Vec<Vec<f32>>,
    /// How far the last bits of the input, and of the copies that were compared, move a score.
    noise: f64,
    /// How far the last bits of the input move a score.
    jitter: f64,
}

impl FileAnswers {
    fn ask(file: &mut dyn Classifier, points: &Points, expected: &Expected) -> Result<Self, EvaluateError> {
        let of =
            |scored: Vec<Scored>| -> Vec<Vec<f32>> { scored.into_iter().map(|row| row.logits).collect() };
        let scores = of(score(file, &points.compared)?);
        let moved = of(score(file, &points.jittered)?);
        let pairs = scores.iter().zip(&moved);
        let jitter = pairs.map(|(still, moved)| movement(expected, still, moved)).fold(0.0, f64::max);
        Ok(Self { scores, noise: jitter, jitter })
    }

    /// The label and the other class that the file is nearest to, at each compared point.
    fn pairs(&self, points: &Points) -> Vec<LabelAndTarget> {
        let pairs = self.scores.iter().zip(&points.labels);
        pairs.map(|(scores, label)| label_and_nearest(scores, *label)).collect()
    }

    fn compare_scores(
        &mut self,
        graph: &str,
        answers: &[Scored],
        expected: &Expected,
    ) -> Option<AcceptedDifference> {
        let pairs = self.scores.iter().zip(answers);
        let compared: Vec<Comparison> =
            pairs.filter_map(|(file, copy)| compare(expected, file, copy, self.jitter)).collect();
        let largest = compared.iter().map(|one| one.difference * one.scale).fold(0.0, f64::max);
        self.noise = self.noise.max(largest);
        let needed = if expected.has_steps { compared.len() / 2 + 1 } else { 1 };
        let quantity = match expected.scores {
            SearchedScores::Equal | SearchedScores::Logarithms => ComparedQuantity::Scores,
            SearchedScores::Ordered => ComparedQuantity::Order,
        };
        verdict(graph, quantity, &compared, needed)
    }
}

/// What comparisons say together: a difference where at least `needed` of them exceed what rounding explains.
fn verdict(
    graph: &str,
    quantity: ComparedQuantity,
    compared: &[Comparison],
    needed: usize,
) -> Option<AcceptedDifference> {
    let differing = compared.iter().filter(|one| one.differs());
    let worst = differing.clone().max_by(|left, right| left.difference.total_cmp(&right.difference))?;
    let count = differing.count();
    (count >= needed.max(1)).then(|| AcceptedDifference {
        graph: graph.to_owned(),
        quantity,
        difference: worst.difference,
        explained: worst.explained,
        differing: count,
        compared: compared.len(),
    })
}

/// Slopes are held against differences in at least two directions, and the most of them must disagree: where a step
/// crosses kinks a difference says little.
fn compare_slopes(
    name: &str,
    graph: &mut dyn Differentiable,
    loss: Loss,
    points: &[SlopePoint],
    noise: f64,
) -> Result<Option<AcceptedDifference>, EvaluateError> {
    let pixels: Vec<Vec<f32>> = points.iter().map(|point| point.pixels.clone()).collect();
    let pairs: Vec<LabelAndTarget> = points.iter().map(|point| point.pair).collect();
    let answers = differentiate(graph, &pixels, &pairs)?;
    let compared: Vec<Comparison> = points
        .iter()
        .zip(&answers)
        .flat_map(|(point, answer)| {
            point.directions.iter().filter_map(|direction| {
                Slope::new(&answer.gradient, direction).compare(loss, point, direction, noise)
            })
        })
        .collect();
    Ok(verdict(name, ComparedQuantity::Gradient, &compared, (compared.len() / 2 + 1).max(2)))
}

/// The points of slopes, with the scores around them.
fn slope_points(
    reference: &mut dyn Classifier,
    points: &Points,
    expected: &Expected,
) -> Result<Vec<SlopePoint>, EvaluateError> {
    let scores = score(reference, &points.slopes.iter().flat_map(|slope| slope.rows()).collect::<Vec<_>>())?;
    let mut forms = scores.into_iter().map(|scored| file_form(expected, &scored.logits));
    Ok(points.slopes.iter().map(|rows| SlopePoint::new(rows, &mut forms)).collect())
}

/// The answers of a classifier about points, in batches.
fn score(classifier: &mut dyn Classifier, points: &[Vec<f32>]) -> Result<Vec<Scored>, ModelError> {
    let mut batches = Batches::for_classifier(classifier);
    let mut answers = Vec::with_capacity(points.len());
    for part in points.chunks(batches.size()) {
        fill(&mut batches, part);
        let (logits, returned) = classifier.logits_and_returned(batches.filled(part.len()))?;
        answers.extend((0..part.len()).map(|row| Scored {
            logits: logits.row(row).to_vec(),
            returned: returned.map(|returned| returned.row(row).to_vec()),
        }));
    }
    Ok(answers)
}

/// What a gradient graph says of a point.
struct Differentiated {
    scored: Scored,
    gradient: Vec<f32>,
}

fn differentiate(
    graph: &mut dyn Differentiable,
    points: &[Vec<f32>],
    pairs: &[LabelAndTarget],
) -> Result<Vec<Differentiated>, ModelError> {
    let Some(pixels) = points.first().map(Vec::len) else { return Ok(Vec::new()) };
    let mut batches = Batches::new(graph.batch(), pixels);
    let mut answers = Vec::with_capacity(points.len());
    for (part, pairs) in points.chunks(batches.size()).zip(pairs.chunks(batches.size())) {
        fill(&mut batches, part);
        let images = batches.filled(part.len());
        let mut pairs = pairs.to_vec();
        pairs.resize(images.nrows(), pairs[pairs.len() - 1]);
        let batch = graph.loss_gradient(images, &pairs)?;
        answers.extend((0..part.len()).map(|row| Differentiated {
            scored: Scored {
                logits: batch.logits.row(row).to_vec(),
                returned: batch.returned.as_ref().map(|returned| returned.row(row).to_vec()),
            },
            gradient: batch.gradient.row(row).to_vec(),
        }));
    }
    Ok(answers)
}

fn fill(batches: &mut Batches, points: &[Vec<f32>]) {
    for (row, point) in points.iter().enumerate() {
        batches.row_mut(row).copy_from_slice(point);
    }
}

#[cfg(test)]
mod tests;
