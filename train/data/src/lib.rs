//! Labelled image sets as they are evaluated and as they are trained on: which files, in which order, decoded how, in
//! which range, augmented how.
//!
//! # Evaluation
//!
//! A certificate speaks about the pixels that this crate returns, so their definition lives in one place, away from
//! training and from inference. [`open`] takes a [`DataSource`] and gives an [`ImageSet`]: labels in memory, and
//! [`ImageSet::read`] for the pixels of one image, in `[0, 1]`, channel-major. Bytes become `byte / 255` in `f32`, the
//! value that torchvision's `ToTensor` gives.
//!
//! ```no_run
//! use mimir_data::{ReadOptions, Split, open};
//!
//! let source = "cifar10:data/cifar-10-batches-bin".parse()?;
//! let set = open(&source, &ReadOptions { split: Split::Test, first: Some(500) })?;
//! let mut pixels = vec![0.0; set.pixels_per_image()]; // [C·H·W]
//! for (image, label) in set.labels.iter().enumerate() {
//!     set.read(image, &mut pixels)?;
//!     println!("image {image} of class {label} starts with {}", pixels[0]);
//! }
//! # Ok::<(), mimir_data::DataError>(())
//! ```
//!
//! Memory does not grow with the number of pixels, except for NPZ, whose arrays are packed:
//!
//! | source | at opening | for each image | held |
//! | --- | --- | --- | --- |
//! | CIFAR-10, CIFAR-100, MNIST | sizes and labels | its bytes, from its place in the open file | labels |
//! | ImageFolder, ImageNet, Tiny-ImageNet | every header | its file, decoded | labels and paths |
//! | WebDataset | every header of the tar files and of the images | its entry, decoded | labels and places |
//! | prepared ([`prepare`]) | the index of each file | its bytes, from their place, compared with their checksum | labels, places and names |
//! | NPZ of `u8` | everything | copied | labels and one byte per value |
//! | NPZ of `f32` | everything | copied | labels and four bytes per value |
//! | NPZ of `u8`, unpacked, of more than 2^31 values | labels | its bytes, from its place | labels |
//! | memory of a program ([`DataSource::in_memory`]) | labels | copied | the program's own copy, once |
//!
//! Files must stay as they are while a set is open. Where the length or the time of change of one says that it did not,
//! reading is an error rather than a result about two sets of images. Nothing is resized, cropped or shuffled unless
//! [`Preparation`] asks for it, and a
//! file that is not exactly what its format says is an error that names the file, the record, what was found and what
//! was wanted.
//!
//! # Training
//!
//! [`open_pictures`] opens the same sources without asking for one size: a [`PictureSet`] gives bytes, each image in
//! its own size. Headers of PNG and JPEG files are not read beforehand, what is in the tar files of a WebDataset is listed beside them
//! when they are first read (`NAME.tar.index.json`), and CIFAR-10 and CIFAR-100 are read into memory. Sets of many large photographs
//! are resized once, by [`prepare`]. From there:
//!
//! ```text
//! PictureSet ─ split_held_out ─▶ TrainingSet ─▶ Loader ─▶ Batch   ids, labels, pixels [N, C, S, S] as bytes
//! generated PictureSet ──────────────┘            │
//!                           Sampler (order), augment (crop, flip, RandAugment, erasing), threads
//! ```
//!
//! Every random number depends on seed, epoch and sample id alone ([`random`]). Batches are therefore the same for any
//! number of threads, and a run that is resumed at a step sees what it would have seen. [`loader`] has the example.
//!
//! A grey image is repeated over three channels where it is a PNG or JPEG file, unless [`ImageSet::set_channels`] asks
//! for one; a set of records or an array that is grey stays grey and cannot be mixed with RGB.
#![forbid(unsafe_code)]

pub mod augment;
mod class_map;
mod decode;
mod dims;
mod error;
mod file_names;
mod formats;
mod image_set;
mod input;
pub mod loader;
mod memory_images;
mod open;
mod picture;
mod picture_set;
mod prepare;
mod prepared;
pub mod random;
mod sample;
mod sampler;
mod source;
mod storage;
#[cfg(test)]
mod testing;
mod training_set;

pub use class_map::ClassMap;
pub use decode::JPEG_DECODER;
pub use dims::ImageDims;
pub use error::{DataError, FilePart};
pub use formats::NpyHeader;
pub use image_set::{ClassCounts, ImageSet, LeftOut};
pub use loader::{Batch, Batches, BrokenImages, Loader, LoaderOptions, Skipped};
pub use open::{Preparation, open, open_pictures, open_prepared};
pub use picture::Picture;
pub use picture_set::PictureSet;
pub use prepare::{PrepareOptions, PreparedCount, prepare};
pub use sample::Sample;
pub use sampler::{EpochOrder, Sampler};
pub use source::{DataSource, ReadOptions, Split};
pub use training_set::{TrainingSet, split_held_out};
