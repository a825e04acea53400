//! Which chunk of which batch is next, and which batches are done: plain data behind one lock.
//!
//! Batches are numbered over all epochs and made in chunks of [`CHUNK`] rows, so that a thread never waits for a whole
//! batch of another, and few batches are in memory however many threads there are.

use std::collections::BTreeMap;
use std::ops::Range;

use super::batch::{Batch, LoadedSample, Skipped};
use crate::error::DataError;

/// Rows that a thread makes at a time.
const CHUNK: usize = 16;

/// A chunk of a batch to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// Number of the batch over all epochs.
    pub(super) number: u64,
    chunk: usize,
    pub(super) rows: Range<usize>,
}

/// The rows of a chunk, and what was skipped for them.
pub(super) type Chunk = Result<(Vec<LoadedSample>, Vec<Skipped>), DataError>;

/// The chunks of one batch.
pub(super) struct Chunks {
    chunks: Vec<Option<Chunk>>,
    left: usize,
}

impl Chunks {
    /// All rows in their order, or the error of the first row that has one.
    pub(super) fn join(self) -> Chunk {
        let (mut rows, mut skipped) = (Vec::new(), Vec::new());
        for chunk in self.chunks.into_iter().flatten() {
            let (chunk_rows, skipped_in_chunk) = chunk?;
            rows.extend(chunk_rows);
            skipped.extend(skipped_in_chunk);
        }
        Ok((rows, skipped))
    }
}

pub(super) struct Queue {
    /// Rows in a batch, at least 1.
    batch: usize,
    /// Batches that may be in work or done beyond those that were taken.
    prefetch: u64,
    /// The next chunk to be made.
    number: u64,
    chunk: usize,
    /// The next batch to be taken.
    wanted: u64,
    in_work: BTreeMap<u64, Chunks>,
    done: BTreeMap<u64, Result<Batch, DataError>>,
    /// Nothing more is wanted.
    pub(super) stopped: bool,
}

impl Queue {
    pub(super) fn new(batch: usize, prefetch: usize, first: u64) -> Self {
        Self {
            batch,
            prefetch: prefetch as u64,
            number: first,
            chunk: 0,
            wanted: first,
            in_work: BTreeMap::new(),
            done: BTreeMap::new(),
            stopped: false,
        }
    }

    /// The next chunk, unless enough batches are ahead.
    pub(super) fn next_task(&mut self) -> Option<Task> {
        if self.number - self.wanted >= self.prefetch {
            return None;
        }
        let chunks = self.batch.div_ceil(CHUNK);
        let (number, chunk) = (self.number, self.chunk);
        self.in_work.entry(number).or_insert_with(|| Chunks {
            chunks: std::iter::repeat_with(|| None).take(chunks).collect(),
            left: chunks,
        });
        self.chunk += 1;
        if self.chunk == chunks {
            (self.number, self.chunk) = (number + 1, 0);
        }
        let start = chunk * CHUNK;
        Some(Task { number, chunk, rows: start..(start + CHUNK).min(self.batch) })
    }

    /// Keeps a chunk. The last one of a batch gives all chunks back, to be joined outside of the lock.
    pub(super) fn put(&mut self, task: &Task, chunk: Chunk) -> Option<Chunks> {
        let chunks = self.in_work.get_mut(&task.number)?;
        let entry = chunks.chunks.get_mut(task.chunk)?;
        if entry.replace(chunk).is_none() {
            chunks.left -= 1;
        }
        if chunks.left == 0 { self.in_work.remove(&task.number) } else { None }
    }

    pub(super) fn finish(&mut self, number: u64, batch: Result<Batch, DataError>) {
        self.done.insert(number, batch);
    }

    /// The next batch, once it is done.
    pub(super) fn take(&mut self) -> Option<Result<Batch, DataError>> {
        let batch = self.done.remove(&self.wanted)?;
        self.wanted += 1;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &str) -> DataError {
        DataError::format(name, crate::error::FilePart::Whole, "this", "that")
    }

    #[test]
    fn parts_cover_each_batch_and_stop_ahead() {
        let mut queue = Queue::new(40, 2, 7);
        let tasks: Vec<_> = std::iter::from_fn(|| queue.next_task()).collect();
        let rows: Vec<_> = tasks.iter().map(|task| (task.number, task.rows.clone())).collect();
        let of_batch = |number| [(number, 0..16), (number, 16..32), (number, 32..40)];
        assert_eq!(rows, [of_batch(7), of_batch(8)].concat());
    }

    #[test]
    fn batches_are_taken_in_order_and_make_room() {
        let mut queue = Queue::new(16, 2, 0);
        let tasks = [0, 1].map(|_| queue.next_task().unwrap());
        assert!(queue.next_task().is_none());
        for task in tasks.iter().rev() {
            assert!(queue.take().is_none());
            assert!(queue.put(task, Ok((Vec::new(), Vec::new()))).is_some());
            queue.finish(task.number, Err(error(&task.number.to_string())));
        }
        for number in 0..2 {
            let found = queue.take().unwrap().unwrap_err().to_string();
            assert!(found.starts_with(&format!("{number}: ")), "{found}");
        }
        assert_eq!(queue.next_task().map(|task| task.number), Some(2));
    }

    /// Whichever chunk is made first.
    #[test]
    fn the_error_of_the_first_row_counts() {
        let mut queue = Queue::new(48, 1, 0);
        let tasks: Vec<_> = std::iter::from_fn(|| queue.next_task()).collect();
        assert!(queue.put(&tasks[2], Err(error("third"))).is_none());
        assert!(queue.put(&tasks[0], Ok((Vec::new(), Vec::new()))).is_none());
        let chunks = queue.put(&tasks[1], Err(error("second"))).unwrap();
        assert!(chunks.join().err().unwrap().to_string().starts_with("second: "));
    }
}
