//! The way in: one function over all formats.

use std::fmt;

use crate::error::DataError;
use crate::image_set::ImageSet;
use crate::pictures::PictureSet;
use crate::source::DataSource;
use crate::{cifar10, cifar100, folder, idx, imagenet, npz, tiny_imagenet, webdataset};

/// Which part of a source. Formats without parts (ImageFolder, WebDataset, NPZ) ignore it: their path names the part already.
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
        DataSource::Npz(path) => npz::open(path, options.first),
        DataSource::Cifar100(path) => cifar100::open(path, options),
        DataSource::ImageFolder(_)
        | DataSource::TinyImageNet(_)
        | DataSource::ImageNet(_)
        | DataSource::WebDataset(_) => open_pictures(source, options)?.one_size(),
    }
}

/// Opens labelled images of any sizes, in file order, for training: as [`open`], but the headers of PNG and JPEG files
/// are read with their pixels, not before.
///
/// # Errors
/// As [`open`]; an NPZ of `f32` is refused, because augmentation works on bytes.
pub fn open_pictures(source: &DataSource, options: &ReadOptions) -> Result<PictureSet, DataError> {
    let ReadOptions { split, first } = *options;
    match source {
        DataSource::ImageFolder(path) => folder::pictures(path, first),
        DataSource::TinyImageNet(path) => tiny_imagenet::pictures(path, split, first),
        DataSource::ImageNet(path) => imagenet::pictures(path, split, first),
        DataSource::WebDataset(path) => webdataset::pictures(path, first),
        DataSource::Cifar10(_) | DataSource::Cifar100(_) | DataSource::Mnist(_) | DataSource::Npz(_) => {
            PictureSet::of_image_set(open(source, options)?, source.path())
        }
    }
}
