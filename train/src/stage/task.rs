//! The interface between the training loop and a stage.

use anyhow::Result;
use mimir_bundle::checkpoint::CheckpointHeader;
use serde_json::{Map, Value};
use tch::Tensor;

use crate::images::EvaluationSet;
use crate::parameters::Parameters;
use crate::penalty::Unread;
use crate::random::BatchRng;

/// The part of a batch that is computed at once (gradient accumulation), on the device.
#[derive(Debug)]
pub struct MicroBatch<'a> {
    /// `[N, 3, S, S]` float32 in `[0, 1]`.
    pub images: Tensor,
    /// `[N]` int64.
    pub labels: Tensor,
    /// Random numbers for these samples.
    pub rng: BatchRng<'a>,
    /// Where the run is, in epochs and fractions of them.
    pub epoch: f64,
}

/// The loss of a part.
#[derive(Debug)]
pub struct MicroBatchLoss {
    /// A scalar; its gradient trains.
    pub total: Tensor,
    /// What the penalty of each part was before its factor λ, and why not where it was left out. None without a penalty.
    pub penalties: Vec<Unread>,
}

/// The result of a network on held-out images.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOutResult {
    /// Higher is better; selects the best checkpoint.
    pub metric: f64,
    /// Fields of the log.
    pub fields: Map<String, Value>,
}

/// One training stage.
pub trait Task {
    /// The tensors of the network.
    fn parameters(&self) -> &Parameters;

    /// The loss of one part of a batch.
    ///
    /// # Errors
    /// Shapes that do not fit the penalty.
    fn loss(&self, micro_batch: &MicroBatch<'_>) -> Result<MicroBatchLoss>;

    /// Evaluates the held-out images after epoch `epoch` (from 0).
    ///
    /// # Errors
    /// An image that cannot be read.
    fn evaluate_held_out(&self, held_out: &EvaluationSet) -> Result<HeldOutResult>;

    /// Whether [`evaluate_held_out`](Self::evaluate_held_out) is due after epoch `epoch` (from 0) of `epochs`.
    fn is_evaluation_due(&self, epoch: u64, epochs: u64) -> bool;

    /// What its checkpoints say of the network.
    fn header(&self) -> CheckpointHeader;
}
