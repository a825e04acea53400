//! The threads that make batches, and the iterator that gives them out.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::batch::Batch;
use super::builder::BatchBuilder;
use super::queue::{Chunk, Chunks, Queue, Task};
use crate::error::{DataError, FilePart};
use crate::sampler::EpochOrder;

/// Orders of epochs that are remembered: batches in work belong to the last epochs only.
const ORDERS: usize = 2;

/// Batches in order, without end. Dropping it ends its threads.
pub struct Batches {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Why no thread could be started.
    failed: Option<DataError>,
}

struct Shared {
    builder: Arc<BatchBuilder>,
    queue: Mutex<Queue>,
    /// A batch was taken, or nothing more is wanted.
    room: Condvar,
    /// A batch is done.
    ready: Condvar,
    orders: Mutex<VecDeque<(u64, Arc<EpochOrder>)>>,
}

impl Batches {
    pub(super) fn start(builder: Arc<BatchBuilder>, epoch: u64, step: usize) -> Self {
        let steps = builder.sampler.steps_per_epoch() as u64;
        let first = epoch.saturating_mul(steps).saturating_add(step as u64);
        let queue = Queue::new(builder.sampler.batch(), builder.options.prefetch, first);
        let threads = builder.options.threads;
        let shared = Arc::new(Shared {
            builder,
            queue: Mutex::new(queue),
            room: Condvar::new(),
            ready: Condvar::new(),
            orders: Mutex::new(VecDeque::new()),
        });
        let mut batches = Self { shared, threads: Vec::new(), failed: None };
        for _ in 0..threads {
            let shared = Arc::clone(&batches.shared);
            match Builder::new().name("mimir-loader".to_owned()).spawn(move || shared.work()) {
                Ok(thread) => batches.threads.push(thread),
                // Fewer threads give the same batches.
                Err(_) if !batches.threads.is_empty() => break,
                Err(error) => batches.failed = Some(DataError::io("loader thread", error)),
            }
        }
        batches
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    /// The next batch. An error is that of its batch: the next call gives the batch after it.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        if self.threads.is_empty() {
            return None;
        }
        let mut queue = self.shared.queue();
        loop {
            if let Some(batch) = queue.take() {
                self.shared.room.notify_all();
                return Some(batch);
            }
            queue = self.shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.shared.queue().stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A panic was reported as the error of its batch.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl Shared {
    /// A poisoned lock is safe to use: no panic leaves the data of the queue inconsistent.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes chunks of batches until nothing more is wanted.
    fn work(&self) {
        while let Some(task) = self.next_task() {
            let chunk = unless_panic(|| self.chunk(&task));
            let chunks = self.queue().put(&task, chunk);
            if let Some(chunks) = chunks {
                let batch = unless_panic(|| self.join(task.number, chunks));
                self.queue().finish(task.number, batch);
                self.ready.notify_all();
            }
        }
    }

    /// Waits for room; nothing once nothing more is wanted.
    fn next_task(&self) -> Option<Task> {
        let mut queue = self.queue();
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(task) = queue.next_task() {
                return Some(task);
            }
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Epoch and step of a batch.
    fn epoch_and_step(&self, number: u64) -> (u64, usize) {
        let steps = self.builder.sampler.steps_per_epoch() as u64;
        (number / steps, (number % steps) as usize)
    }

    fn chunk(&self, task: &Task) -> Chunk {
        let (epoch, step) = self.epoch_and_step(task.number);
        let order = self.order(epoch);
        let mut skipped = Vec::new();
        let row = |row| self.builder.sample((epoch, &order), (step, row), &mut skipped);
        let rows = task.rows.clone().map(row).collect::<Result<Vec<_>, _>>()?;
        Ok((rows, skipped))
    }

    /// The order of an epoch, made by the first thread that needs it.
    fn order(&self, epoch: u64) -> Arc<EpochOrder> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = orders.iter().find(|(known, _)| *known == epoch) {
            return Arc::clone(order);
        }
        let order = Arc::new(self.builder.sampler.epoch(epoch));
        orders.push_back((epoch, Arc::clone(&order)));
        if orders.len() > ORDERS {
            orders.pop_front();
        }
        order
    }

    fn join(&self, number: u64, chunks: Chunks) -> Result<Batch, DataError> {
        let (rows, skipped) = chunks.join()?;
        let (epoch, step) = self.epoch_and_step(number);
        let len = self.builder.image_len();
        let mut pixels = vec![0; rows.len() * len]; // [N, C, S, S]
        for (row, out) in rows.iter().zip(pixels.chunks_exact_mut(len)) {
            row.picture.write_byte_planes(out);
        }
        Ok(Batch {
            epoch,
            step,
            sample_ids: rows.iter().map(|row| row.sample_id).collect(),
            labels: rows.iter().map(|row| row.label).collect(),
            pixels,
            skipped,
        })
    }
}

/// Turns a panic into an error: without it the caller would wait for the batch forever.
fn unless_panic<T>(work: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(DataError::format(
            "loader",
            FilePart::Whole,
            "a panic in a thread",
            "a batch; this is a bug in Mimir",
        ))
    })
}
