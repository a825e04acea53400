//! Batches for training, made ahead by threads.
//!
//! ```no_run
//! use std::sync::Arc;
//! use mimir_data::augment::Augmentation;
//! use mimir_data::{Broken, Loader, LoaderOptions, ReadOptions, Split, TrainingSet, open_pictures, split_held_out};
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
//! let loader = Loader::new(Arc::new(TrainingSet::of(pictures, &train)?), options)?;
//! // Resumes in the middle of epoch 3; goes on into the following epochs.
//! for batch in loader.start(3, 17).take(100) {
//!     let batch = batch?;
//!     println!("epoch {} step {}: {} images", batch.epoch, batch.step, batch.labels.len());
//! }
//! # Ok::<(), mimir_data::DataError>(())
//! ```

mod batches;
mod queue;

use std::sync::Arc;

pub use batches::Batches;

use crate::augment::Augmentation;
use crate::error::DataError;
use crate::picture::Picture;
use crate::random::{Key, Stream};
use crate::sampler::{Order, Sampler};
use crate::training_set::{Slot, TrainingSet};

/// How batches are made.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderOptions {
    /// Of order and augmentation.
    pub seed: u64,
    /// Images in a batch, generated ones included.
    pub batch: usize,
    /// Side `S` of the square that the network takes, in pixels, 1 to 4096.
    pub image_size: usize,
    /// What is done to every picture.
    pub augmentation: Augmentation,
    /// Threads that read, decode and augment, 1 to 1024. No result depends on it.
    pub threads: usize,
    /// What happens where an image cannot be decoded.
    pub broken: Broken,
    /// Batches that may be ready or in work before they are asked for, 1 to 64. No result depends on it.
    pub ahead: usize,
}

impl LoaderOptions {
    /// Batches of 128 without augmentation, by one thread, three ahead, which stop at a broken image.
    pub fn new(seed: u64, image_size: usize) -> Self {
        Self {
            seed,
            batch: 128,
            image_size,
            augmentation: Augmentation::default(),
            threads: 1,
            broken: Broken::Stop,
            ahead: 3,
        }
    }

    fn check(&self) -> Result<(), DataError> {
        let within = |name, value: usize, most: usize| {
            let wanted = || format!("1 to {most}");
            let error = || DataError::Setting { name, found: value.to_string(), wanted: wanted() };
            if (1..=most).contains(&value) { Ok(()) } else { Err(error()) }
        };
        within("image_size", self.image_size, 4096)?;
        within("threads", self.threads, 1024)?;
        within("ahead", self.ahead, 64)?;
        self.augmentation.check()
    }
}

/// What happens where an image cannot be decoded. A file that is missing, that changed or that the system cannot read
/// always stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broken {
    /// The batch is an error that names the file.
    #[default]
    Stop,
    /// The next image in the order of the epoch takes its place, real for real and generated for generated, under its
    /// own id; [`Batch::skipped`] names the file. At the end of the order the first one is next.
    Skip,
}

/// Images of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Counted from 0.
    pub epoch: u64,
    /// In the epoch, counted from 0.
    pub step: usize,
    /// `[N]`, unique in the training set; [`TrainingSet`] says how.
    pub sample_ids: Vec<u64>,
    /// `[N]`, class indices.
    pub labels: Vec<i64>,
    /// `[N, C, S, S]` in `[0, 1]`.
    pub pixels: Vec<f32>,
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
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Makes the batches of a training set.
#[derive(Debug, Clone)]
pub struct Loader {
    maker: Arc<Maker>,
}

impl Loader {
    /// Checks that the options fit the set. Reads no pixels.
    ///
    /// # Errors
    /// Where an option is out of range, or a batch cannot be filled.
    pub fn new(set: Arc<TrainingSet>, options: LoaderOptions) -> Result<Self, DataError> {
        options.check()?;
        let sampler = Sampler::new(options.seed, options.batch, set.count(), set.generated())?;
        Ok(Self { maker: Arc::new(Maker { set, options, sampler }) })
    }

    /// Whole batches in an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.maker.sampler.steps_per_epoch()
    }

    /// Batches from that step on, without end: the first step of an epoch follows the last one of the epoch before. A
    /// step past the end of its epoch counts on into the following ones.
    ///
    /// What a batch holds depends on seed, epoch and step alone, so that starting anywhere gives what going there gives.
    /// Threads work ahead until the iterator is dropped.
    pub fn start(&self, epoch: u64, step: usize) -> Batches {
        Batches::start(Arc::clone(&self.maker), epoch, step)
    }
}

/// What the threads share.
#[derive(Debug)]
struct Maker {
    set: Arc<TrainingSet>,
    options: LoaderOptions,
    sampler: Sampler,
}

/// One row of a batch.
struct Row {
    sample_id: u64,
    label: i64,
    picture: Picture,
}

impl Maker {
    /// A row of a batch; what was skipped for it goes to `skipped`.
    fn row(
        &self,
        (epoch, order): (u64, &Order),
        (step, row): (usize, usize),
        skipped: &mut Vec<Skipped>,
    ) -> Result<Row, DataError> {
        let mut last = None;
        for slot in order.candidates(step, row) {
            let sample_id = self.set.id(slot);
            match (self.set.read(slot), self.options.broken) {
                (Ok((label, picture)), _) => return self.augmented(epoch, slot, label as i64, picture),
                (Err(error @ DataError::Format { .. }), Broken::Skip) => {
                    let (place, reason) = (self.set.place(slot), error.to_string());
                    skipped.push(Skipped { sample_id, row, place, reason });
                    last = Some(error);
                }
                (Err(error), _) => return Err(self.blame(slot, error)),
            }
        }
        Err(last.unwrap_or(DataError::NoSuchImage { image: row, count: self.sampler.batch() }))
    }

    fn augmented(&self, epoch: u64, slot: Slot, label: i64, picture: Picture) -> Result<Row, DataError> {
        let sample_id = self.set.id(slot);
        let key = Key { seed: self.options.seed, epoch, sample: sample_id, purpose: "augment" };
        let picture = self
            .options
            .augmentation
            .apply(picture, self.options.image_size, &mut Stream::new(&key))
            .map_err(|error| self.blame(slot, error))?;
        Ok(Row { sample_id, label, picture })
    }

    fn blame(&self, slot: Slot, source: DataError) -> DataError {
        DataError::Sample { id: self.set.id(slot), place: self.set.place(slot), source: Box::new(source) }
    }

    /// Values of one image, `C·S·S`.
    fn image_len(&self) -> usize {
        self.set.channels() * self.options.image_size * self.options.image_size
    }
}

#[cfg(test)]
mod tests;
