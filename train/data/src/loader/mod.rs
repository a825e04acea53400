//! Batches for training, made ahead by threads.
//!
//! ```no_run
//! use std::sync::Arc;
//! use mimir_data::augment::Augmentation;
//! use mimir_data::{BrokenImages, Loader, LoaderOptions, ReadOptions, Split, TrainingSet, open_pictures, split_held_out};
//!
//! let source = "cifar10:data/cifar-10-batches-bin".parse()?;
//! let pictures = Arc::new(open_pictures(&source, &ReadOptions { split: Split::Train, first: None })?);
//! let (train, _held_out) = split_held_out(pictures.count(), 1_000, 0)?;
//! let options = LoaderOptions {
//!     batch: 512,
//!     threads: 4,
//!     augmentation: Augmentation::pad_crop_flip(),
//!     ..LoaderOptions::new(0, 32)
//! };
//! let loader = Loader::new(Arc::new(TrainingSet::subset(pictures, &train)?), options)?;
//! // Resumes in the middle of epoch 3 and continues with the following epochs.
//! for batch in loader.start(3, 17).take(100) {
//!     let batch = batch?;
//!     println!("epoch {} step {}: {} images", batch.epoch, batch.step, batch.labels.len());
//! }
//! # Ok::<(), mimir_data::DataError>(())
//! ```

mod batch;
mod batches;
mod builder;
mod options;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use batch::{Batch, Skipped};
pub use batches::Batches;
pub use options::{BrokenImages, LoaderOptions};

use self::builder::BatchBuilder;
use crate::error::DataError;
use crate::sampler::Sampler;
use crate::training_set::TrainingSet;

/// Makes the batches of a training set.
#[derive(Debug, Clone)]
pub struct Loader {
    builder: Arc<BatchBuilder>,
}

impl Loader {
    /// Checks that the options fit the set. Reads no pixels.
    ///
    /// # Errors
    /// Where an option is out of range, or a batch cannot be filled.
    pub fn new(set: Arc<TrainingSet>, options: LoaderOptions) -> Result<Self, DataError> {
        options.check()?;
        let sampler = Sampler::new(options.seed, options.batch, set.count(), set.generated())?;
        Ok(Self { builder: Arc::new(BatchBuilder { set, options, sampler }) })
    }

    /// Batches in an epoch, [`Sampler::steps_per_epoch`](crate::Sampler::steps_per_epoch).
    pub fn steps_per_epoch(&self) -> usize {
        self.builder.sampler.steps_per_epoch()
    }

    /// Batches from that step on, without end: the first step of an epoch follows the last one of the epoch before. A
    /// step past the end of its epoch counts on into the following ones.
    ///
    /// What a batch holds depends on seed, epoch and step alone, so that starting anywhere gives what going there gives.
    /// Threads work ahead until the iterator is dropped.
    pub fn start(&self, epoch: u64, step: usize) -> Batches {
        Batches::start(Arc::clone(&self.builder), epoch, step)
    }
}
