//! The clean pass: logits of the original model on every image.

use ndarray::{Array2, s};

use super::Batches;
use super::queue::Queue;
use super::team::{self, Worker};
use crate::evaluate::{EvaluateError, EvaluationSet, NonFinite, Quantity};
use crate::logits::{all_finite, prediction};
use crate::monitor::Monitor;

/// Logits `[N, K]`, the workers side by side.
pub(crate) fn classify(
    workers: &mut [Worker],
    set: &EvaluationSet,
    monitor: &Monitor,
) -> Result<Array2<f32>, EvaluateError> {
    let classes = workers[0].classifier().classes();
    let batch = workers[0].classifier().batch();
    let starts: Vec<usize> = (0..set.count()).step_by(batch).collect();
    let queue = Queue::new(&starts);
    let parts = team::side_by_side(workers, &queue, |worker| {
        let mut batches = Batches::new(worker.classifier());
        let mut parts = Vec::new();
        while let Some(start) = queue.take() {
            let images = start..set.count().min(start + batch);
            let rows = images.clone().map(|image| set.pixels(image));
            let logits = batches.logits(worker.classifier(), rows)?.to_owned();
            monitor.classified(images.len(), correct(&logits, set, start)?);
            parts.push((start, logits));
        }
        Ok(parts)
    })?;
    let mut all = Array2::zeros((set.count(), classes));
    for (start, logits) in parts.into_iter().flatten() {
        all.slice_mut(s![start..start + logits.nrows(), ..]).assign(&logits);
    }
    Ok(all)
}

/// How many rows are classified correctly; all must be finite.
fn correct(logits: &Array2<f32>, set: &EvaluationSet, start: usize) -> Result<usize, NonFinite> {
    let mut correct = 0;
    for (row, image) in logits.rows().into_iter().zip(start..) {
        let row = row.as_slice().unwrap_or_default();
        if !all_finite(row) {
            return Err(NonFinite { image, quantity: Quantity::Logits });
        }
        correct += usize::from(prediction(row) == set.labels()[image]);
    }
    Ok(correct)
}
