//! What attacks would cost: their passes, times the measured time of a pass.

use std::time::{Duration, Instant};

use mimir_bundle::Manifest;
use mimir_runtime::attack::Query;
use mimir_runtime::evaluate::{EvaluationSet, Plan};
use mimir_runtime::model::{Cotangents, LabelAndTarget, ModelError, ModelSource};
use ndarray::Array2;
use serde::Serialize;

use crate::error::{ErrorKind, OrKind, Result};
use crate::model::CalibratedModel;

/// What attacks may cost, at most: an image that breaks costs less.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostEstimate {
    /// Forward and backward passes, counted in images.
    pub most_passes: u64,
    /// Seconds on this machine, from the time of a pass of each kind.
    pub most_seconds: f64,
    /// Microseconds of a forward pass of one image, within a batch, on one worker.
    pub forward_microseconds: f64,
    /// Microseconds of a forward and a backward pass; none where no attack uses gradients.
    pub gradient_microseconds: Option<f64>,
    /// Sessions side by side.
    pub workers: usize,
}

/// What the attacks of a plan may cost on a set of which that share is classified correctly.
pub(super) fn estimate(
    model: &CalibratedModel,
    sessions: &dyn ModelSource,
    plan: &Plan,
    set: &EvaluationSet,
    correct: f64,
) -> Result<CostEstimate> {
    let Manifest { image, classes, .. } = *model.manifest();
    let batch = model.session_plan().batch;
    let images = Array2::from_elem((batch, image.pixels()), 0.5);
    // What attacks ask; the file's own session only confirms what they find.
    let mut classifier = sessions.search_classifier().or_kind(ErrorKind::Model)?;
    let forward =
        seconds(|| classifier.logits(images.view()).map(drop)).or_kind(ErrorKind::Model)? / batch as f64;
    let queries = plan.queries(image, classes).or_kind(ErrorKind::Options)?;
    let loss = queries.iter().find_map(|query| match query {
        Query::Gradient(loss) => Some(*loss),
        Query::Forward | Query::Features | Query::FeatureGradient => None,
    });
    let gradient = match loss {
        None if queries.contains(&Query::FeatureGradient) => {
            let mut model = sessions.feature_model().or_kind(ErrorKind::Model)?;
            let time = seconds(|| model.gradient(images.view(), Cotangents::default()).map(drop));
            Some(time.or_kind(ErrorKind::Model)? / batch as f64)
        }
        None => None,
        Some(loss) => {
            let mut graph = sessions.differentiable(loss).or_kind(ErrorKind::Model)?;
            let pairs = vec![LabelAndTarget { label: 0, target: Some(1) }; batch];
            let time = seconds(|| graph.loss_gradient(images.view(), &pairs).map(drop));
            Some(time.or_kind(ErrorKind::Model)? / batch as f64)
        }
    };
    let attacked = (set.count() as f64 * correct).ceil();
    let costs = plan.costs(image, classes).or_kind(ErrorKind::Options)?;
    let time = costs.iter().map(|cost| {
        // A query for a gradient is two passes.
        let pass = if cost.uses_gradients { gradient.unwrap_or(forward) / 2.0 } else { forward };
        cost.most_passes as f64 * pass
    });
    let workers = model.session_plan().workers;
    Ok(CostEstimate {
        most_passes: attacked as u64 * costs.iter().map(|cost| cost.most_passes).sum::<u64>(),
        most_seconds: (attacked * time.sum::<f64>() + set.count() as f64 * forward) / workers as f64,
        forward_microseconds: 1e6 * forward,
        gradient_microseconds: gradient.map(|seconds| 1e6 * seconds),
        workers,
    })
}

/// How long a new session is run before it is timed: it allocates, and the processor leaves its sleep.
const WARM_UP: Duration = Duration::from_millis(100);

/// How long it is timed. The fastest run counts: others were interrupted.
const TIMED: Duration = Duration::from_millis(200);

/// Runs that are timed, at least, however long they take.
const FEWEST_RUNS: usize = 3;

/// The fastest of some runs of a session, after some that warm it up.
fn seconds(
    mut run: impl FnMut() -> std::result::Result<(), ModelError>,
) -> std::result::Result<f64, ModelError> {
    let begun = Instant::now();
    run()?;
    while begun.elapsed() < WARM_UP {
        run()?;
    }
    let (begun, mut fastest, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < FEWEST_RUNS || begun.elapsed() < TIMED {
        let start = Instant::now();
        run()?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    Ok(fastest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_runs_some_times_before_it_is_timed() {
        let mut runs = 0;
        let time = seconds(|| {
            runs += 1;
            // The first runs are slow, as those of a new session are.
            std::thread::sleep(if runs == 1 { 2 * (WARM_UP + TIMED) } else { Duration::ZERO });
            Ok(())
        });
        assert!(time.unwrap() < WARM_UP.as_secs_f64() && runs > FEWEST_RUNS);
        let failed = || Err(ModelError { model: "a".to_owned(), message: "b".to_owned() });
        assert_eq!(seconds(failed).unwrap_err().to_string(), "a: b");
    }
}
