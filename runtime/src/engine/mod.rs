//! The scheduler: keeps the batches of every worker full while searches come and go.
//!
//! Each [`Worker`] is a thread with its own sessions. The [board](board::Board) gives out *units*, the searches of an
//! attack for one target and restart on one image. A worker holds as many as fill its batches. One round gathers a
//! proposal from each, asks the model once, and hands each search its row of the answer. A search that is spent or
//! whose image is broken leaves at once, and the next unit takes its row (continuous batching): no row waits for the
//! slowest image of its batch, and the last images share their batches across targets. Where fewer searches than rows
//! are left, smaller batches are run.
//!
//! **What breaks an image.** The logits that come with a gradient, or from the simplified forward graph, may differ from
//! the original model's in the last bits, so they only nominate. A nominated iterate is put aside with its search,
//! until a batch of them is full or nothing else is left to do; then the original model [rules](ruling). If it
//! misclassifies the iterate, the image is broken by exactly that iterate. If not, the search goes on from where it was.
//!
//! **Why results do not depend on batch size, order, or workers.** A search sees its own image, its own keyed noise,
//! and its own rows of the answers; of several units that break an image the lowest counts, and passes are counted up
//! to it. The kernels of a model compute a row of a batch without looking at the others: this holds for matrix products,
//! convolutions and elementwise operators of ONNX Runtime's CPU kernels, but not for ReduceSum and ReduceMean over a
//! last axis whose length is no multiple of four: they add in an order that follows from the row's address. Our gradient
//! graphs avoid that form for Softmax; where a model's file has it, another batch size or worker count can change the
//! last bit of a gradient, as another seed would.

mod batches;
mod board;
mod classify;
mod gate;
mod halt;
mod models;
mod ruling;
mod shift;
mod team;

use std::time::Duration;

pub(crate) use batches::Batches;
pub(crate) use classify::{CleanImage, classify};
pub(crate) use gate::Gate;
pub(crate) use halt::Halt;
pub(crate) use team::Worker;

use crate::archive::Archive;
use crate::attack::{Attack, Distances};
use crate::ball::Ball;
use crate::evaluate::{EvaluateError, EvaluationSet};
use crate::journal::Record;
use crate::monitor::Monitor;
use board::Board;
use shift::Shift;

/// How often the original model is asked about an image before it counts as broken: 1 for deterministic models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Votes(pub(crate) usize);

/// Whether another attack follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Earlier,
    Last,
}

/// One attack on one set.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) attack: &'a dyn Attack,
    /// Position in the plan.
    pub(crate) index: u16,
    pub(crate) phase: Phase,
    pub(crate) ball: Ball,
    pub(crate) distances: Distances,
    pub(crate) set: &'a EvaluationSet<'a>,
    /// One entry an image of the set.
    pub(crate) clean: &'a [CleanImage],
    pub(crate) votes: Votes,
    pub(crate) archive: &'a Archive,
    pub(crate) gate: Option<&'a Gate>,
    pub(crate) monitor: &'a Monitor<'a>,
    /// Workers that share the units.
    pub(crate) workers: usize,
}

/// What an attack did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Every unit that has ended, those of an earlier run included, by image and unit.
    pub(crate) records: Vec<Record>,
    /// Time spent inside the models, summed over the workers.
    pub(crate) model_time: Duration,
}

/// Runs the attack on those images of the set, the first ones first, until all is done or something stops it.
pub(crate) fn run(
    workers: &mut [Worker],
    job: &Job,
    images: &[usize],
    halt: &Halt,
) -> Result<Report, EvaluateError> {
    let finished = job.archive.finished(job.index);
    let board = Board::new(images, job.attack.units(), &finished);
    job.take_over(&board, halt);
    let shifts = team::side_by_side(workers, halt, |worker| Shift::new(worker, job, &board, halt).work())?;
    let mut report = Report { records: finished.into_iter().cloned().collect(), ..Report::default() };
    for shift in shifts {
        report.records.extend(shift.records);
        report.model_time += shift.model_time;
    }
    report.records.sort_by_key(|record| (record.image, record.unit));
    Ok(report)
}

impl Job<'_> {
    /// Counts what an earlier run has found.
    fn take_over(&self, board: &Board, halt: &Halt) {
        let (out, survived) = board.counts();
        (0..out).for_each(|_| self.lost(halt));
        (0..survived).for_each(|_| self.survived(halt));
    }
}

#[cfg(test)]
mod tests;
