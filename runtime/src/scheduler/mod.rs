//! The scheduler: keeps the batches of every worker full while searches come and go.
//!
//! Each [`Worker`] is a thread with its own sessions. The [work queue](work_queue::WorkQueue) hands out *units*, the
//! searches of an attack for one target and restart on one image. A worker holds as many as fill its batches. One round
//! gathers a proposal from each, asks the model once, and hands each search its row of the answer. A search that is
//! spent or whose image is broken leaves at once, and the next unit takes its row (continuous batching): no row waits
//! for the slowest image of its batch, and the last images share their batches across targets. The last searches of an attack take
//! turns, so that batches stay full and all workers end together. Where fewer searches than rows are left, smaller batches are run.
//!
//! **What breaks an image.** The logits that come with a gradient, or from the simplified forward graph, may differ
//! from the original model's in the last bits, so they only propose candidates. A candidate is set aside with its
//! search until a batch of candidates is full or nothing else is left to do; then the original model [confirms or
//! rejects it](crate::confirmation). If it misclassifies the iterate, the image is broken by exactly that iterate. If not, the
//! search continues from where it was.
//!
//! **What is not finite.** A number that is not finite says something about an image only if the original model returns
//! it at a point of the ball: then the image is out, because nobody can say what the model predicts there. NaN in a
//! search's logits makes the point a candidate; outside the ball, and where the original model has an answer, the search
//! [steps back](crate::attack::Search::step_back) and goes on. Gradients and losses are [mended](mend).
//!
//! **Why results do not depend on batch size, order, or workers.** A search sees its own image, its own keyed noise,
//! and its own rows of the answers; of several units that break an image the lowest counts, and passes are counted up
//! to it. The kernels of a model compute a row of a batch without looking at the others: this holds for matrix
//! products, convolutions and elementwise operators of ONNX Runtime's CPU kernels, but not for ReduceSum and ReduceMean
//! over a last axis whose length is no multiple of four: they add in an order that follows from the row's address. Our
//! gradient graphs avoid that form for Softmax; where a model's file has it, another batch size or worker count can
//! change the last bit of a gradient, as another seed would.

mod answers;
mod clean_pass;
mod gate_progress;
mod job;
mod mend;
mod stop_signal;
mod surrogate;
mod work_queue;
mod worker_loop;
mod workers;

pub(crate) use crate::confirmation::Votes;
pub(crate) use clean_pass::{CleanPrediction, classify};
pub(crate) use gate_progress::GateProgress;
pub(crate) use job::{AttackJob, AttackPosition, UnitRecords};
pub(crate) use stop_signal::StopSignal;
pub(crate) use workers::Worker;

use std::collections::HashSet;

use crate::error::EvaluateError;
use crate::journal::Record;
use work_queue::WorkQueue;
use worker_loop::WorkerLoop;

/// Runs the attack on those images of the set, the first ones first, until all is done or something stops it.
pub(crate) fn run(
    workers: &mut [Worker],
    job: &AttackJob,
    images: &[usize],
    stop: &StopSignal,
) -> Result<UnitRecords, EvaluateError> {
    let (images, left_out) = images.iter().partition::<Vec<usize>, _>(|image| job.attack.is_run_on(**image));
    let images = &images[..];
    left_out.into_iter().for_each(|image| job.image_spent(image, stop));
    let finished = finished_units(job, images);
    let queue = WorkQueue::new(images, job.attack.units(), job.attack.most_passes(), &finished);
    finished.iter().for_each(|record| job.unit_ended(record.image as usize, &record.outcome));
    count_earlier_run(job, &queue, stop);
    let parts =
        workers::run_on_all(workers, stop, |worker| WorkerLoop::new(worker, job, &queue, stop).run())?;
    let mut all = UnitRecords { records: finished.into_iter().cloned().collect(), ..UnitRecords::default() };
    for part in parts {
        all.records.extend(part.records);
        all.model_time += part.model_time;
    }
    all.records.sort_by_key(|record| (record.image, record.unit));
    Ok(all)
}

/// What an earlier run has finished of these images, each unit once. Others are no part of this attack: where a model has
/// random operators, or another processor rounds otherwise, an image may have fallen to an earlier attack this time.
fn finished_units<'a>(job: &AttackJob<'a>, images: &[usize]) -> Vec<&'a Record> {
    let (images, units) = (images.iter().copied().collect::<HashSet<_>>(), job.attack.units());
    let mut known = HashSet::new();
    let mut finished = job.archive.finished(job.index);
    finished.retain(|record| {
        let (image, unit) = (record.image as usize, record.unit as usize);
        images.contains(&image) && unit < units && known.insert((image, unit))
    });
    finished
}

/// Counts what an earlier run has found.
fn count_earlier_run(job: &AttackJob, queue: &WorkQueue, stop: &StopSignal) {
    let (out, spent) = queue.ended();
    out.into_iter().for_each(|image| job.image_out(image, stop));
    spent.into_iter().for_each(|image| job.image_spent(image, stop));
}

#[cfg(test)]
mod tests;
