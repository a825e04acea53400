//! Labelled image sets as they are evaluated: which files, in which order, decoded how, in which range.
//!
//! A certificate speaks about the tensors that this crate returns, so their definition lives in one place, away from
//! training and from inference. [`read`] takes a [`DataSource`] and gives an [`ImageSet`]: rows of pixels in `[0, 1]`,
//! channel-major, with labels. Bytes become `byte / 255` in `f32`, the value that torchvision's `ToTensor` gives.
//!
//! ```no_run
//! use mimir_data::{ReadOptions, Split, read};
//!
//! let source = "cifar10:data/cifar-10-batches-bin".parse()?;
//! let set = read(&source, &ReadOptions { split: Split::Test, first: Some(500) })?;
//! assert_eq!(set.images.dim(), (500, 3 * 32 * 32));
//! # Ok::<(), mimir_data::DataError>(())
//! ```
//!
//! Nothing is resized, cropped or shuffled, and a file that is not exactly what its format says is an error that names
//! the file, the record, what was found and what was wanted.
#![forbid(unsafe_code)]

mod cifar10;
mod error;
mod folder;
mod idx;
mod image_set;
mod input;
mod npy;
mod npz;
mod read;
mod source;

pub use error::{DataError, Part};
pub use image_set::{ImageDims, ImageSet};
pub use read::{ReadOptions, Split, read};
pub use source::DataSource;
