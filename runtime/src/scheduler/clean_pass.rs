//! The clean pass: what the original model says about every image as it is, once for all attacks.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::stop_signal::StopSignal;
use super::workers::{self, Worker};
use crate::confirmation::{Confirmation, Question, Votes, ask_original};
use crate::error::EvaluateError;
use crate::evaluation_set::EvaluationSet;
use crate::logits::margin;
use crate::majority::{ERROR_RATE, MajorityCount};
use crate::model::Batches;
use crate::monitor::Monitor;

/// What the original model says about a clean image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CleanPrediction {
    /// Predicted class; `None` where the logits mean none: NaN or +∞ is among them. Of a model with random operators the
    /// label, unless another class is certain to be drawn more often.
    pub(crate) prediction: Option<usize>,
    /// Whether that is certain.
    pub(crate) is_certain: bool,
    /// Evaluations that it took.
    pub(crate) draws: usize,
    /// `z_y - max of the others`.
    pub(crate) margin: f32,
    /// Wrong classes by falling logit, the targets of targeted attacks; equal ones, of an output that saturates, by the
    /// scores that searches use, and then by class.
    pub(crate) targets: Arc<[usize]>,
}

/// Classifies all images, all workers at once; keeps at most that many targets of each.
pub(crate) fn classify(
    workers: &mut [Worker],
    set: &EvaluationSet,
    votes: Votes,
    most_targets: usize,
    stop: &StopSignal,
    monitor: &Monitor,
) -> Result<Vec<CleanPrediction>, EvaluateError> {
    let next = AtomicUsize::new(0);
    let parts = workers::run_on_all(workers, stop, |worker| {
        let mut batches = Batches::for_classifier(worker.original());
        let mut rows = vec![vec![0.0; set.pixels_per_image()]; batches.size()];
        let mut parts = Vec::new();
        while !stop.is_set() {
            let start = next.fetch_add(batches.size(), Relaxed);
            let count = set.count().saturating_sub(start).min(batches.size());
            if count == 0 {
                break;
            }
            for (row, image) in rows.iter_mut().zip(start..start + count) {
                set.read(image, row)?;
            }
            let labels = &set.labels()[start..];
            let classes = worker.original().classes();
            let questions = rows[..count].iter().zip(labels);
            let questions =
                questions.map(|(pixels, label)| question(pixels, *label, classes, votes)).collect();
            let stopped = || stop.is_set();
            let Some(confirmations) = ask_original(worker.original(), &mut batches, questions, &stopped)?
            else {
                break;
            };
            let ties: Vec<usize> = (0..count)
                .filter(|row| is_cut_among_equals(&confirmations[*row].logits, labels[*row], most_targets))
                .collect();
            let mut searched = vec![Vec::new(); count];
            if !ties.is_empty() {
                let pixels = ties.iter().map(|row| rows[*row].as_slice());
                let scores = batches.logits(worker.search_classifier()?, pixels)?;
                for (row, scores) in ties.iter().zip(scores.rows()) {
                    searched[*row] = scores.to_vec();
                }
            }
            let clean: Vec<CleanPrediction> = confirmations
                .iter()
                .zip(labels)
                .zip(&searched)
                .map(|((confirmation, label), searched)| {
                    CleanPrediction::new(confirmation, *label, most_targets, searched)
                })
                .collect();
            let correct = clean.iter().zip(labels).filter(|(image, label)| image.prediction == Some(**label));
            monitor.classified(count, correct.count(), (count * votes.0) as u64);
            parts.push((start, clean));
        }
        Ok(parts)
    })?;
    if stop.is_interrupted() {
        return Err(EvaluateError::Interrupted);
    }
    let mut parts: Vec<(usize, Vec<CleanPrediction>)> = parts.into_iter().flatten().collect();
    parts.sort_by_key(|(start, _)| *start);
    Ok(parts.into_iter().flat_map(|(_, clean)| clean).collect())
}

fn question(pixels: &[f32], label: usize, classes: usize, votes: Votes) -> Question<'_> {
    let test = || MajorityCount::of_both(label, classes, ERROR_RATE, votes.0);
    Question { pixels, test: votes.is_random().then(test) }
}

/// Whether the last target that is kept and the first that is not have the same logit.
fn is_cut_among_equals(logits: &[f32], label: usize, most_targets: usize) -> bool {
    let others = logits.iter().enumerate().filter(|(class, _)| *class != label);
    let mut others: Vec<f32> = others.map(|(_, logit)| *logit).collect();
    if most_targets == 0 || most_targets >= others.len() {
        return false;
    }
    others.sort_by(|left, right| right.total_cmp(left));
    others[most_targets - 1] == others[most_targets]
}

impl CleanPrediction {
    /// `searched` are the scores that searches use, where the logits do not decide which targets are kept.
    fn new(confirmation: &Confirmation, label: usize, most_targets: usize, searched: &[f32]) -> Self {
        let logits = &confirmation.logits;
        let mut targets: Vec<usize> = (0..logits.len()).filter(|class| *class != label).collect();
        let falling = |scores: &[f32], left: usize, right: usize| match (scores.get(left), scores.get(right))
        {
            (Some(left), Some(right)) => right.total_cmp(left),
            _ => Ordering::Equal,
        };
        targets.sort_by(|left, right| {
            falling(logits, *left, *right).then_with(|| falling(searched, *left, *right))
        });
        targets.truncate(most_targets);
        Self {
            prediction: confirmation.prediction,
            is_certain: confirmation.is_certain,
            draws: confirmation.draws,
            margin: margin(logits, label),
            targets: targets.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(logits: &[f32], searched: &[f32]) -> Vec<usize> {
        let logits = logits.to_vec();
        let confirmation = Confirmation { logits, prediction: Some(0), is_certain: true, draws: 1 };
        CleanPrediction::new(&confirmation, 0, 2, searched).targets.to_vec()
    }

    /// A Softmax in float32 says zero of most of a thousand classes.
    #[test]
    fn targets_of_equal_scores_are_chosen_by_what_searches_see() {
        let saturated = [1.0, 0.0, 0.0, 0.0, 1e-9];
        assert!(is_cut_among_equals(&saturated, 0, 2));
        assert_eq!(targets(&saturated, &[9.0, -5.0, -4.0, -3.0, 2.0]), [4, 3]);
        assert_eq!(targets(&saturated, &[]), [4, 1]);
        assert!(!is_cut_among_equals(&[1.0, 0.0, 0.1, 0.2, 0.3], 0, 2));
        assert!(!is_cut_among_equals(&[1.0, 0.0, 0.0], 0, 2));
    }
}
