//! What is read from where: a dataset, its path, the split of it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::image_set::ImageSet;
use crate::picture_set::PictureSet;

/// Which part of a dataset. Datasets without splits (ImageFolder, WebDataset, NPZ) ignore it: their path names the part.
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
    /// Only the first images in file order, this many; all if `None`. Zero is an error.
    pub first: Option<usize>,
}

/// A dataset that can be read: how it is named, described and opened. The file of each format has one, and the table in
/// `formats/mod.rs` lists them.
pub(crate) struct Dataset {
    /// In front of the colon of a source.
    pub(crate) scheme: &'static str,
    /// Another spelling of the scheme.
    pub(crate) alias: Option<&'static str>,
    /// What the path is, for help: `FOLDER`, `FILE` or `PATH`.
    pub(crate) path: &'static str,
    /// What is expected at the path, for help.
    pub(crate) content: &'static str,
    /// Whether it has a training and a test split.
    pub(crate) has_splits: bool,
    /// How it is opened.
    pub(crate) open: Opener,
}

/// Opens a dataset at a path.
pub(crate) enum Opener {
    /// Images of one size.
    Images(fn(&Path, &ReadOptions) -> Result<ImageSet, DataError>),
    /// Images of any sizes, whose headers are read when one size is needed.
    Pictures(fn(&Path, &ReadOptions) -> Result<PictureSet, DataError>),
}

impl Dataset {
    /// Whether `scheme` names it.
    pub(crate) fn is_named(&self, scheme: &str) -> bool {
        scheme == self.scheme || Some(scheme) == self.alias
    }
}

/// Labelled images at a path, as a person writes it: `SCHEME:PATH`, for example `cifar10:data/cifar-10-batches-bin`.
/// Parse it from text; [`DataSource::help`] lists the schemes.
#[derive(Clone)]
pub struct DataSource {
    dataset: &'static Dataset,
    path: PathBuf,
}

impl DataSource {
    pub(crate) fn new(dataset: &'static Dataset, path: PathBuf) -> Self {
        Self { dataset, path }
    }

    pub(crate) fn dataset(&self) -> &'static Dataset {
        self.dataset
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has a training and a test split, so that a [`Split`] has an effect.
    pub fn has_splits(&self) -> bool {
        self.dataset.has_splits
    }

    /// Whether each image is a picture in a file, of any size.
    pub fn has_pictures(&self) -> bool {
        matches!(self.dataset.open, Opener::Pictures(_))
    }

    /// The same source with a relative path taken from `base`, for paths that are written in a file.
    #[must_use]
    pub fn relative_to(self, base: &Path) -> Self {
        Self { path: base.join(&self.path), ..self }
    }
}

impl PartialEq for DataSource {
    fn eq(&self, other: &Self) -> bool {
        (self.dataset.scheme, &self.path) == (other.dataset.scheme, &other.path)
    }
}

impl Eq for DataSource {}

impl fmt::Display for DataSource {
    /// The text that parses to this source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dataset.scheme, self.path.display())
    }
}

impl fmt::Debug for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataSource({self})")
    }
}
