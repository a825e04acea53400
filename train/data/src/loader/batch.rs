//! What the loader gives: batches, their samples, and what was left out.

use crate::picture::Picture;

/// Images of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Counted from 0.
    pub epoch: u64,
    /// In the epoch, counted from 0.
    pub step: usize,
    /// `[N]`, unique in the training set; [`TrainingSet`](crate::TrainingSet) says how.
    pub sample_ids: Vec<u64>,
    /// `[N]`, class indices.
    pub labels: Vec<i64>,
    /// `[N, C, S, S]`, a byte a value: a quarter of the numbers in `[0, 1]` that a network takes, which the device makes of
    /// them (`byte / 255`). Every augmentation works on bytes.
    pub pixels: Vec<u8>,
    /// Images that could not be decoded, in the order of the rows.
    pub skipped: Vec<Skipped>,
}

/// An image that was left out of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its sample id.
    pub sample_id: u64,
    /// Its row in the batch.
    pub row: usize,
    /// Its file.
    pub location: String,
    /// What is wrong with it.
    pub reason: String,
}

/// One row of a batch, decoded and augmented.
pub(super) struct LoadedSample {
    pub(super) sample_id: u64,
    pub(super) label: i64,
    pub(super) picture: Picture,
}
