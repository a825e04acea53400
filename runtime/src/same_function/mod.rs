//! Whether the graphs that searches follow are the function of the file.
//!
//! Attacks see the file through copies of it, and a copy that computes something else leads them astray: what they do not
//! find then looks like robustness. So before they run, the same points are given to the file's own session and to every
//! graph: the first images, random points of the ball around them, and points a small step beside others. Scores must agree
//! up to rounding ([`scores`]), and gradients with differences of the file's scores ([`slopes`]). What seems to differ is
//! looked at again more closely: a model that is refused by mistake is as bad as one that is let pass.
//!
//! This finds copies that compute another function. It does not find one that differs only where no point lies.

mod comparison;
mod expected;
mod features;
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
pub(crate) use features::MarginOfFeatures;
use features::score_features;
use points::{Look, Places, Points};
pub(crate) use scores::Scored;
use scores::{compare, file_form, least_movement, movement};
use slopes::{Noise, Slope, SlopePoint};

/// The graphs that differ from the file by more than rounding explains, and how; none where all agree. The file must not
/// have random operators.
///
/// Costs about 50 forward passes of the file, 8 of the forward graph and 11 of each gradient graph, as much of a model that is
/// cut open; where something seems
/// to differ, 300 more of the file. The models are given back to their source.
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
    let mut file = Reference::ask(models, *sample, expected)?;
    let mut found = Vec::new();
    if graphs.forward {
        go_on()?;
        let mut graph = models.search_classifier()?;
        let answers = score(graph.as_mut(), &file.points.compared)?;
        models.keep_search_classifier(graph);
        found.extend(file.compare_scores("forward", &answers)?);
    }
    // Scores of the file that only have the same order have other slopes than those of the graphs.
    let has_slopes = expected.gradients == ExpectedGradients::Derivatives
        && (expected.scores != SearchedScores::Ordered || graphs.forward);
    for loss in &graphs.losses {
        go_on()?;
        let mut graph = models.differentiable(*loss)?;
        let name = format!("gradient of {}", loss.name());
        found.extend(file.compare_gradient_graph(graph.as_mut(), &name, *loss, has_slopes)?);
        models.keep_differentiable(*loss, graph);
    }
    if graphs.features {
        go_on()?;
        let mut model = models.feature_model()?;
        let answers = score_features(model.as_mut(), &file.points.compared)?;
        found.extend(file.compare_scores("features", &answers)?);
        let mut margin = MarginOfFeatures::new(model.as_mut());
        let name = "gradient of features";
        found.extend(file.compare_gradient_graph(&mut margin, name, Loss::Margin, has_slopes)?);
        models.keep_feature_model(model);
    }
    Ok(found)
}

/// What the file's own session says.
struct Reference<'a> {
    models: &'a KeptModels<'a>,
    expected: &'a Expected,
    places: Places<'a>,
    points: Points,
    /// Scores of each compared point.
    scores: Vec<Vec<f32>>,
    /// How far the last bits of the input move a score.
    jitter: f64,
    /// Whether that was measured at all points, as a graph seemed to have other scores.
    is_measured_closely: bool,
    /// How far the last bits of the input, and of the copies that were compared, move a score.
    noise: f64,
    /// Slopes at the first look, and at a closer one; none before they are asked for.
    slopes: [Option<Vec<SlopePoint>>; 2],
}

impl<'a> Reference<'a> {
    fn ask(
        models: &'a KeptModels<'a>,
        sample: Sample<'a>,
        expected: &'a Expected,
    ) -> Result<Self, EvaluateError> {
        let places = Places::new(sample)?;
        let points = places.points();
        let scores = file_scores(models, &points.compared)?;
        let moved = file_scores(models, &places.moved_images(expected.rounding.unit))?;
        let jitter = largest_movement(expected, scores.iter().zip(&moved));
        Ok(Self {
            models,
            expected,
            places,
            points,
            scores,
            jitter,
            is_measured_closely: false,
            noise: jitter,
            slopes: [None, None],
        })
    }

    /// The label and the other class that the file is nearest to, at each compared point.
    fn pairs(&self) -> Vec<LabelAndTarget> {
        let pairs = self.scores.iter().zip(&self.points.labels);
        pairs.map(|(scores, label)| label_and_nearest(scores, *label)).collect()
    }

    /// How a gradient graph differs from the file, if it does.
    fn compare_gradient_graph(
        &mut self,
        graph: &mut dyn Differentiable,
        name: &str,
        loss: Loss,
        has_slopes: bool,
    ) -> Result<Option<AcceptedDifference>, EvaluateError> {
        let answers = differentiate(graph, &self.points.compared, &self.pairs())?;
        let scored: Vec<Scored> = answers.into_iter().map(|answer| answer.scored).collect();
        match self.compare_scores(name, &scored)? {
            // Scores that differ have other slopes.
            Some(difference) => Ok(Some(difference)),
            None if loss.is_relaxed() || !has_slopes => Ok(None),
            // A first look may be deceived: kinks lie densely in some networks. What it says is asked again.
            None => match self.compare_slopes(name, graph, loss, Look::FIRST)? {
                Some(_) => self.compare_slopes(name, graph, loss, Look::CLOSE),
                None => Ok(None),
            },
        }
    }

    /// How the scores of a graph differ from the file's, if they do.
    fn compare_scores(
        &mut self,
        graph: &str,
        answers: &[Scored],
    ) -> Result<Option<AcceptedDifference>, EvaluateError> {
        let mut found = self.differing_scores(graph, answers);
        if found.is_some() && !self.is_measured_closely {
            let moved = self.places.moved_often(&self.points, self.expected.rounding.unit);
            let moved = file_scores(self.models, &moved)?;
            let times = moved.len() / self.scores.len().max(1);
            let still = self.scores.iter().flat_map(|scores| std::iter::repeat_n(scores, times));
            self.jitter = self.jitter.max(largest_movement(self.expected, still.zip(&moved)));
            self.is_measured_closely = true;
            found = self.differing_scores(graph, answers);
        }
        Ok(found)
    }

    fn differing_scores(&mut self, graph: &str, answers: &[Scored]) -> Option<AcceptedDifference> {
        let pairs = self.scores.iter().zip(answers);
        let compared: Vec<Comparison> =
            pairs.filter_map(|(file, copy)| compare(self.expected, file, copy, self.jitter)).collect();
        let largest = compared.iter().map(|one| one.difference * one.scale).fold(self.jitter, f64::max);
        self.noise = self.noise.max(largest);
        let needed = if self.expected.has_steps { compared.len() / 2 + 1 } else { 1 };
        let returns = answers.iter().any(|answer| answer.returned.is_some());
        let quantity = match self.expected.scores {
            SearchedScores::Ordered if !returns => ComparedQuantity::Order,
            _ => ComparedQuantity::Scores,
        };
        verdict(graph, quantity, &compared, needed)
    }

    /// Slopes are held against differences in several directions, and the most of them must disagree: where a step
    /// crosses kinks a difference says little.
    fn compare_slopes(
        &mut self,
        name: &str,
        graph: &mut dyn Differentiable,
        loss: Loss,
        look: Look,
    ) -> Result<Option<AcceptedDifference>, EvaluateError> {
        let noise = Noise { measured: self.noise, least: least_movement(self.expected) };
        let points = self.slope_points(look)?;
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
    fn slope_points(&mut self, look: Look) -> Result<&[SlopePoint], EvaluateError> {
        let known = &mut self.slopes[usize::from(look == Look::CLOSE)];
        match known {
            Some(points) => Ok(points),
            none => {
                let all = self.places.slopes(look);
                let rows: Vec<Vec<f32>> = all.iter().flat_map(points::SlopeRows::rows).collect();
                let scores = match self.expected.scores {
                    SearchedScores::Ordered => {
                        let mut graph = self.models.search_classifier()?;
                        let scores = logits(score(graph.as_mut(), &rows)?);
                        self.models.keep_search_classifier(graph);
                        scores
                    }
                    SearchedScores::Equal | SearchedScores::Logarithms => file_scores(self.models, &rows)?,
                };
                let mut forms = scores.into_iter().map(|scores| file_form(self.expected, &scores));
                Ok(none.insert(all.iter().map(|rows| SlopePoint::new(rows, &mut forms)).collect()))
            }
        }
    }
}

/// Scores of the file's own session.
fn file_scores(models: &KeptModels, points: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EvaluateError> {
    let mut session = models.classifier()?;
    let scores = score(session.as_mut(), points)?;
    models.keep_classifier(session);
    Ok(logits(scores))
}

fn logits(scored: Vec<Scored>) -> Vec<Vec<f32>> {
    scored.into_iter().map(|row| row.logits).collect()
}

fn largest_movement<'s>(
    expected: &Expected,
    pairs: impl Iterator<Item = (&'s Vec<f32>, &'s Vec<f32>)>,
) -> f64 {
    pairs.map(|(still, moved)| movement(expected, still, moved)).fold(0.0, f64::max)
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
pub(crate) struct Differentiated {
    pub(crate) scored: Scored,
    /// `[C·H·W]`
    pub(crate) gradient: Vec<f32>,
}

/// What a gradient graph says of points, in batches.
pub(crate) fn differentiate(
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

/// Writes points into the first rows of a batch.
fn fill(batches: &mut Batches, points: &[Vec<f32>]) {
    for (row, point) in points.iter().enumerate() {
        batches.row_mut(row).copy_from_slice(point);
    }
}

#[cfg(test)]
mod tests;
