//! The way in: one function over all formats.

use std::fmt;

use crate::error::DataError;
use crate::image_set::ImageSet;
use crate::source::DataSource;
use crate::{cifar10, folder, idx, npz};

/// Which part of a source. Formats without parts (ImageFolder, NPZ) ignore it: their path names the part already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Images that models are trained on.
    Train,
    /// Images held out.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

/// What to read from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// Which part.
    pub split: Split,
    /// Only the first so many images in file order; all where `None`. Zero is an error.
    pub first: Option<usize>,
}

/// Opens labelled images in file order: everything is checked that can be without reading the pixels, and the labels
/// are read.
///
/// # Errors
/// When a file is missing, is not what its format says, or holds fewer images than asked for.
pub fn open(source: &DataSource, options: &ReadOptions) -> Result<ImageSet, DataError> {
    match source {
        DataSource::Cifar10(path) => cifar10::open(path, options),
        DataSource::Mnist(path) => idx::open(path, options),
        DataSource::ImageFolder(path) => folder::open(path, options.first),
        DataSource::Npz(path) => npz::open(path, options.first),
    }
}
