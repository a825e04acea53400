//! The clean pass: what the original model says about every image as it is, once for all attacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::halt::Halt;
use super::ruling::{Ruling, rule};
use super::team::{self, Worker};
use super::{Batches, Votes};
use crate::evaluate::{EvaluateError, EvaluationSet};
use crate::logits::margin;
use crate::monitor::Monitor;

/// What is kept of the logits of a clean image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CleanImage {
    /// Predicted class; `None` where a logit is not finite.
    pub(crate) prediction: Option<usize>,
    /// `z_y - max of the others`.
    pub(crate) margin: f32,
    /// Wrong classes by falling logit, equal ones by class: the targets of targeted attacks.
    pub(crate) targets: Arc<[usize]>,
}

/// Classifies all images, the workers side by side; keeps so many targets of each.
pub(crate) fn classify(
    workers: &mut [Worker],
    set: &EvaluationSet,
    votes: Votes,
    most_targets: usize,
    halt: &Halt,
    monitor: &Monitor,
) -> Result<Vec<CleanImage>, EvaluateError> {
    let next = AtomicUsize::new(0);
    let parts = team::side_by_side(workers, halt, |worker| {
        let mut batches = Batches::of(worker.original());
        let mut rows = vec![vec![0.0; set.pixels_per_image()]; batches.size()];
        let mut parts = Vec::new();
        while !halt.is_set() {
            let start = next.fetch_add(batches.size(), Relaxed);
            let count = set.count().saturating_sub(start).min(batches.size());
            if count == 0 {
                break;
            }
            for (row, image) in rows.iter_mut().zip(start..start + count) {
                set.read(image, row)?;
            }
            let pixels = rows[..count].iter().map(Vec::as_slice);
            let rulings = rule(worker.original(), &mut batches, pixels, votes.0)?;
            let labels = &set.labels()[start..];
            let clean = rulings.iter().zip(labels).map(|(ruling, label)| keep(ruling, *label, most_targets));
            let clean: Vec<CleanImage> = clean.collect();
            let correct = clean.iter().zip(labels).filter(|(image, label)| image.prediction == Some(**label));
            monitor.classified(count, correct.count());
            parts.push((start, clean));
        }
        Ok(parts)
    })?;
    if halt.is_interrupted() {
        return Err(EvaluateError::Interrupted);
    }
    let mut parts: Vec<(usize, Vec<CleanImage>)> = parts.into_iter().flatten().collect();
    parts.sort_by_key(|(start, _)| *start);
    Ok(parts.into_iter().flat_map(|(_, clean)| clean).collect())
}

fn keep(ruling: &Ruling, label: usize, most_targets: usize) -> CleanImage {
    let logits = &ruling.logits;
    let mut targets: Vec<usize> = (0..logits.len()).filter(|class| *class != label).collect();
    targets.sort_by(|left, right| logits[*right].total_cmp(&logits[*left]));
    targets.truncate(most_targets);
    CleanImage {
        prediction: ruling.is_finite.then_some(ruling.prediction),
        margin: margin(logits, label),
        targets: targets.into(),
    }
}
