//! What is read from where: a dataset, its path, the split of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dims::ImageDims;
use crate::error::DataError;
use crate::image_set::ImageSet;
use crate::memory_images::{MemoryImages, NAME};
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
    /// The same of archives, which have to be read through to know what is in them.
    Indexed(fn(&Path, &ReadOptions, Indices) -> Result<PictureSet, DataError>),
}

/// What becomes of the lists of what is in archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Indices {
    /// A list beside an archive is read in its place, and written where there is none: what training does.
    Kept,
    /// The archives alone count: what a certificate speaks about.
    Ignored,
}

impl Dataset {
    /// Whether `scheme` names it.
    pub(crate) fn is_named(&self, scheme: &str) -> bool {
        scheme == self.scheme || Some(scheme) == self.alias
    }
}

/// Labelled images: at a path, as a person writes it, `SCHEME:PATH`, for example `cifar10:data/cifar-10-batches-bin`; or in
/// the memory of a program. Parse the first from text; [`DataSource::help`] lists the schemes.
#[derive(Clone)]
pub struct DataSource {
    place: Place,
}

/// Where images are.
#[derive(Clone)]
pub(crate) enum Place {
    /// A dataset at a path.
    Path(&'static Dataset, PathBuf),
    /// In memory, which all clones share.
    Memory(Arc<MemoryImages>),
}

impl DataSource {
    pub(crate) fn new(dataset: &'static Dataset, path: PathBuf) -> Self {
        Self { place: Place::Path(dataset, path) }
    }

    /// Images that a program has: `pixels` is `[N, C, H, W]` with every value in `[0, 1]`, `labels` is `[N]`. No text parses
    /// to it. However often it is opened, the pixels are there once.
    ///
    /// # Errors
    /// When there is no image, a length does not fit, or a value is not in `[0, 1]`.
    pub fn in_memory(dims: ImageDims, pixels: Vec<f32>, labels: Vec<usize>) -> Result<Self, DataError> {
        MemoryImages::new(dims, pixels, labels).map(|images| Self { place: Place::Memory(Arc::new(images)) })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The file or folder; `memory` for images in memory, which have none.
    pub fn path(&self) -> &Path {
        match &self.place {
            Place::Path(_, path) => path,
            Place::Memory(_) => Path::new(NAME),
        }
    }

    /// Whether it has a training and a test split, so that a [`Split`] has an effect.
    pub fn has_splits(&self) -> bool {
        matches!(self.place, Place::Path(dataset, _) if dataset.has_splits)
    }

    /// Whether each image is a picture in a file, of any size.
    pub fn has_pictures(&self) -> bool {
        matches!(self.place, Place::Path(Dataset { open: Opener::Pictures(_) | Opener::Indexed(_), .. }, _))
    }

    /// The same source with a relative path taken from `base`, for paths that are written in a file.
    #[must_use]
    pub fn relative_to(self, base: &Path) -> Self {
        match self.place {
            Place::Path(dataset, path) => Self::new(dataset, base.join(path)),
            Place::Memory(_) => self,
        }
    }
}

impl PartialEq for DataSource {
    fn eq(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Path(dataset, path), Place::Path(others, place)) => {
                (dataset.scheme, path) == (others.scheme, place)
            }
            (Place::Memory(images), Place::Memory(others)) => Arc::ptr_eq(images, others) || images == others,
            (Place::Path(..), Place::Memory(_)) | (Place::Memory(_), Place::Path(..)) => false,
        }
    }
}

// No pixel is NaN.
impl Eq for DataSource {}

impl fmt::Display for DataSource {
    /// The text that parses to this source; `memory` for images in memory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Path(dataset, path) => write!(f, "{}:{}", dataset.scheme, path.display()),
            Place::Memory(_) => f.write_str(NAME),
        }
    }
}

impl fmt::Debug for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataSource({self})")
    }
}
