//! Makes the samples of a batch.

use std::sync::Arc;

use super::batch::{LoadedSample, Skipped};
use super::options::{BrokenImages, LoaderOptions};
use crate::error::DataError;
use crate::picture::Picture;
use crate::random::{Key, Stream};
use crate::sampler::{EpochOrder, Sampler};
use crate::training_set::{SampleIndex, TrainingSet};

/// The training set and how its batches are made; all threads share it.
#[derive(Debug)]
pub(super) struct BatchBuilder {
    pub(super) set: Arc<TrainingSet>,
    pub(super) options: LoaderOptions,
    pub(super) sampler: Sampler,
}

impl BatchBuilder {
    /// A row of a batch; skipped images are added to `skipped`.
    pub(super) fn sample(
        &self,
        (epoch, order): (u64, &EpochOrder),
        (step, row): (usize, usize),
        skipped: &mut Vec<Skipped>,
    ) -> Result<LoadedSample, DataError> {
        let mut last = None;
        for index in order.candidates(step, row) {
            let sample_id = self.set.id(index);
            match (self.set.read(index), self.options.broken) {
                (Ok((label, picture)), _) => return self.augmented(epoch, index, label as i64, picture),
                (Err(error @ DataError::Format { .. }), BrokenImages::Skip) => {
                    let (location, reason) = (self.set.location(index), error.to_string());
                    skipped.push(Skipped { sample_id, row, location, reason });
                    last = Some(error);
                }
                (Err(error), _) => return Err(self.sample_error(index, error)),
            }
        }
        Err(last.unwrap_or(DataError::NoSuchImage { image: row, count: self.sampler.batch() }))
    }

    fn augmented(
        &self,
        epoch: u64,
        index: SampleIndex,
        label: i64,
        picture: Picture,
    ) -> Result<LoadedSample, DataError> {
        let sample_id = self.set.id(index);
        let key = Key { seed: self.options.seed, epoch, sample: sample_id, purpose: "augment" };
        let picture = self
            .options
            .augmentation
            .apply(picture, self.options.image_size, &mut Stream::new(&key))
            .map_err(|error| self.sample_error(index, error))?;
        Ok(LoadedSample { sample_id, label, picture })
    }

    fn sample_error(&self, index: SampleIndex, source: DataError) -> DataError {
        DataError::Sample {
            id: self.set.id(index),
            location: self.set.location(index),
            source: Box::new(source),
        }
    }

    /// Values of one image, `C·S·S`.
    pub(super) fn image_len(&self) -> usize {
        self.set.channels() * self.options.image_size * self.options.image_size
    }
}
