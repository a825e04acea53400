//! The clean pass: what the original model says about the images as they are.

use ndarray::Array2;

use super::{EvaluateError, Evaluation, EvaluationSet, ImageOutcome, PassCounts, Stage, Verdict};
use crate::engine::{self, Worker};
use crate::logits::prediction;
use crate::monitor::Monitor;

/// Logits of the original model on every clean image.
pub(super) struct Clean {
    /// `[N, K]`
    pub(super) logits: Array2<f32>,
}

/// Classifies every image, the workers side by side.
pub(super) fn classify(
    workers: &mut [Worker],
    set: &EvaluationSet,
    monitor: &Monitor,
) -> Result<Clean, EvaluateError> {
    monitor.start(Stage::Clean, set.count());
    Ok(Clean { logits: engine::classify(workers, set, monitor)? })
}

impl Clean {
    /// The evaluation before any attack.
    pub(super) fn evaluation(&self, set: &EvaluationSet) -> Evaluation {
        let rows = self.logits.rows().into_iter().zip(set.labels()).enumerate();
        let outcomes = rows.map(|(image, (logits, label))| {
            let clean_prediction = prediction(logits.as_slice().unwrap_or_default());
            let verdict = match clean_prediction == *label {
                true => Verdict::StillRobust,
                false => Verdict::Misclassified,
            };
            ImageOutcome { image, label: *label, clean_prediction, verdict }
        });
        Evaluation {
            outcomes: outcomes.collect(),
            attacks: Vec::new(),
            clean: PassCounts { forwards: set.count() as u64, backwards: 0 },
            adversarial: vec![None; set.count()],
        }
    }
}
