//! The scheduler: keeps the batches of every worker full while searches come and go.
//!
//! Each [`Worker`] is a thread with its own sessions. It holds as many searches as a batch has rows. One round gathers
//! a proposal from each, asks the model once, and hands each search its row of the answer. A search that is spent or
//! whose image is broken leaves at once, and the next image of the shared [`Queue`] takes its row (continuous
//! batching): no row waits for the slowest image of its batch. Batches have one fixed size; rows without a search are
//! padding, computed and ignored.
//!
//! **What breaks an image.** The logits that come with a gradient may differ from the original model's in the last
//! bits, so they only nominate. A nominated iterate is put aside with its search, until a batch of them is full or
//! nothing else is left to do; then the original model is asked. If it misclassifies the iterate, the image is broken
//! by exactly that iterate. If not, the search goes on from where it was.
//!
//! **Why results do not depend on batch size, order, or workers.** A search sees its own image, its own keyed noise,
//! and its own rows of the answers; and the kernels of a model compute a row of a batch without looking at the others.
//! The first two are ours. The third holds for matrix products, convolutions and elementwise operators of ONNX Runtime's
//! CPU kernels, but not for ReduceSum and ReduceMean over a last axis whose length is no multiple of four: they add in
//! an order that follows from the row's address. Our gradient graphs avoid that form for Softmax; where a model's file
//! has it, another batch size or worker count can change the last bit of a gradient, as another seed would.

mod batches;
mod classify;
mod models;
mod queue;
mod shift;
mod team;

use ndarray::Array2;

pub(crate) use batches::Batches;
pub(crate) use classify::classify;
pub(crate) use team::Worker;

use crate::attack::Attack;
use crate::ball::Ball;
use crate::evaluate::{EvaluateError, EvaluationSet, PassCounts};
use crate::monitor::Monitor;
use queue::Queue;
use shift::Shift;

/// One attack on one set.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) attack: &'a dyn Attack,
    pub(crate) ball: Ball,
    pub(crate) set: &'a EvaluationSet<'a>,
    /// `[N, K]` logits of the original model on the clean images.
    pub(crate) clean_logits: &'a Array2<f32>,
}

/// An image that an attack broke; the original model has confirmed it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Position in the evaluation set.
    pub(crate) image: usize,
    /// Iterate of the search, counted from 0.
    pub(crate) step: usize,
    /// What the original model predicts.
    pub(crate) prediction: usize,
    /// `C·H·W` pixels.
    pub(crate) pixels: Box<[f32]>,
}

/// What an attack found and what it cost.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// By image.
    pub(crate) found: Vec<Found>,
    pub(crate) passes: PassCounts,
    /// Iterates that the model was asked about.
    pub(crate) steps: u64,
}

/// Runs the attack on those images of the set.
pub(crate) fn run(
    workers: &mut [Worker],
    job: &Job,
    targets: &[usize],
    monitor: &Monitor,
) -> Result<Report, EvaluateError> {
    let queue = Queue::new(targets);
    let reports = team::side_by_side(workers, &queue, |worker| {
        Shift::new(worker.models(job.attack.queries()[0])?, job, &queue, monitor).work()
    })?;
    let mut total = Report::default();
    for report in reports {
        total.found.extend(report.found);
        total.passes += report.passes;
        total.steps += report.steps;
    }
    total.found.sort_by_key(|found| found.image);
    Ok(total)
}

#[cfg(any())]
mod tests;
