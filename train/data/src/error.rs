//! The error type of this crate: where, what was found, what was wanted.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::dims::ImageDims;

/// Why an image set could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The text does not name a data source.
    #[error("data source `{given}`: wanted SCHEME:PATH, with SCHEME one of {schemes}")]
    UnknownSource {
        /// What was typed.
        given: String,
        /// The schemes that are known.
        schemes: String,
    },
    /// A file or folder could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not what its format says.
    #[error("{}{part}: found {found}, wanted {wanted}", path.display())]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// The part of it.
        part: FilePart,
        /// What is there.
        found: String,
        /// What should be there.
        wanted: String,
    },
    /// Two images that should share one size do not.
    #[error(
        "{} is {other_dims}, but {} is {first_dims}: a model takes one size; resize the images, or have them \
         resized and cropped to one size here",
        other.display(), first.display()
    )]
    MixedSizes {
        /// The first image in file order.
        first: PathBuf,
        /// Its dimensions.
        first_dims: ImageDims,
        /// The first image that differs.
        other: PathBuf,
        /// Its dimensions.
        other_dims: ImageDims,
    },
    /// More images were asked for than the source holds.
    #[error("{}: found {found} images, but {wanted} were asked for", path.display())]
    TooFew {
        /// The file or folder.
        path: PathBuf,
        /// Images in the source.
        found: usize,
        /// Images asked for.
        wanted: usize,
    },
    /// A file is not the one that was opened.
    #[error(
        "{}: the file changed after it was opened: do not modify the images during an evaluation, and start again",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// An image was asked for that the set does not have.
    #[error("found a request for image {image}, wanted 0 to {} of {count} images", count.saturating_sub(1))]
    NoSuchImage {
        /// The image asked for, counted from 0.
        image: usize,
        /// Images in the set.
        count: usize,
    },
    /// A picture has a size that an operation cannot take.
    #[error("found a picture of {width} x {height} pixels, wanted {wanted}")]
    PictureSize {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// What should be there.
        wanted: String,
    },
    /// A parameter is out of range.
    #[error("parameter `{name}`: found {found}, wanted {wanted}")]
    InvalidParameter {
        /// Its name.
        name: &'static str,
        /// The value given.
        found: String,
        /// The range.
        wanted: String,
    },
    /// One sample of a training set could not be used.
    #[error("sample {id} ({location}): {source}")]
    Sample {
        /// Its id.
        id: u64,
        /// The file it comes from.
        location: String,
        /// Why.
        source: Box<DataError>,
    },
    /// The caller's memory does not fit an image.
    #[error("found a buffer of {found} pixel values, wanted {wanted} for one image")]
    WrongLength {
        /// Values that the caller's slice holds.
        found: usize,
        /// Values in an image, `C·H·W`.
        wanted: usize,
    },
}

/// The part of a file that an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePart {
    /// The file as a whole.
    Whole,
    /// Its header.
    Header,
    /// One record, or one image, counted from 0.
    Record(usize),
    /// One named array.
    Array(&'static str),
    /// One named file of an archive.
    Entry(String),
}

impl fmt::Display for FilePart {
    /// Written to follow the path directly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Header => f.write_str(", header"),
            Self::Record(index) => write!(f, ", image {index}"),
            Self::Array(name) => write!(f, ", array `{name}`"),
            Self::Entry(name) => write!(f, ", entry `{name}`"),
        }
    }
}

impl DataError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// A part of the file at `path` is not what its format says.
    pub fn format(
        path: impl Into<PathBuf>,
        part: FilePart,
        found: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Self {
        Self::Format { path: path.into(), part, found: found.into(), wanted: wanted.into() }
    }
}
