//! What attacks would cost: their passes, times the measured time of a pass.

use std::time::Instant;

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
    let mut classifier = sessions.classifier().or_kind(ErrorKind::Model)?;
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

/// The fastest of three runs after a first one that allocates.
fn seconds(
    mut run: impl FnMut() -> std::result::Result<(), ModelError>,
) -> std::result::Result<f64, ModelError> {
    run()?;
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        run()?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(fastest)
}
