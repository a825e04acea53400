//! What an evaluation keeps while it runs: a record of every finished unit, and the pixels of counterexamples.

use crate::journal::{CounterexampleStore, Journal, JournalError, Record, StoreError};

/// Where an evaluation writes what it has finished. Shared by all workers.
#[derive(Debug, Default)]
pub struct Archive {
    journal: Option<Journal>,
    counterexamples: Option<CounterexampleStore>,
    finished: Vec<Record>,
}

/// Why something finished could not be kept. The evaluation stops: what was kept before is whole.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ArchiveError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The pixels of counterexamples.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Archive {
    /// Keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Appends a record of each finished unit to that journal; `finished` are the records that it has already.
    #[must_use]
    pub fn with_journal(mut self, journal: Journal, finished: Vec<Record>) -> Self {
        self.journal = Some(journal);
        self.finished = finished;
        self
    }

    /// Keeps the pixels of each counterexample there.
    #[must_use]
    pub fn with_counterexamples(mut self, store: CounterexampleStore) -> Self {
        self.counterexamples = Some(store);
        self
    }

    /// Where the pixels of counterexamples are, if they are kept.
    pub fn counterexamples(&self) -> Option<&CounterexampleStore> {
        self.counterexamples.as_ref()
    }

    /// The store, which outlives the evaluation.
    pub fn into_counterexamples(self) -> Option<CounterexampleStore> {
        self.counterexamples
    }

    /// What an earlier run has finished of that attack of the plan.
    pub(crate) fn finished(&self, attack: u16) -> Vec<&Record> {
        self.finished.iter().filter(|record| record.attack == attack).collect()
    }

    /// Whether an earlier run has finished something.
    pub(crate) fn was_resumed(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Keeps the pixels of a counterexample, and returns where.
    pub(crate) fn store(&self, pixels: &[f32]) -> Result<Option<u64>, ArchiveError> {
        Ok(self.counterexamples.as_ref().map(|store| store.append(pixels)).transpose()?)
    }

    /// Keeps a record.
    pub(crate) fn append(&self, record: &Record) -> Result<(), ArchiveError> {
        Ok(self.journal.as_ref().map_or(Ok(()), |journal| journal.append(record))?)
    }
}
