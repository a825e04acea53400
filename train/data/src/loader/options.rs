//! How batches are made.

use crate::augment::Augmentation;
use crate::error::DataError;

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
    /// What to do with an image that cannot be decoded.
    pub broken: BrokenImages,
    /// Batches that may be ready or in work before they are asked for, 1 to 64. No result depends on it.
    pub prefetch: usize,
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
            broken: BrokenImages::Stop,
            prefetch: 3,
        }
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        let within = |name, value: usize, most: usize| {
            let wanted = || format!("1 to {most}");
            let error = || DataError::InvalidParameter { name, found: value.to_string(), wanted: wanted() };
            if (1..=most).contains(&value) { Ok(()) } else { Err(error()) }
        };
        within("image_size", self.image_size, 4096)?;
        within("threads", self.threads, 1024)?;
        within("prefetch", self.prefetch, 64)?;
        self.augmentation.check()
    }
}

/// What to do with an image that cannot be decoded. A file that is missing, has changed or cannot be read is always an
/// error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokenImages {
    /// The batch is an error that names the file.
    #[default]
    Stop,
    /// The next image in the order of the epoch replaces it, real for real and generated for generated, under its
    /// own id; [`Batch::skipped`](crate::Batch::skipped) names the file. At the end of the order the first one is next.
    Skip,
}
