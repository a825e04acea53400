//! Where the pixels of an image set are: records of open files, one file an image, entries of tar files, prepared pixels, or memory.
//! Every kind reads any image at any time, from several threads.

mod identity;
mod image_files;
mod layout;
mod memory;
mod open_files;
mod prepared_images;
mod records;
mod shared_file;
mod tar_entries;

pub(crate) use identity::Identity;
pub(crate) use image_files::ImageFiles;
pub(crate) use layout::PixelLayout;
pub(crate) use memory::InMemory;
pub(crate) use open_files::OpenFiles;
pub(crate) use prepared_images::{PreparedImage, PreparedImages};
pub(crate) use records::{RecordFile, Records};
pub(crate) use shared_file::SharedFile;
pub(crate) use tar_entries::{TarEntries, TarImage};

use crate::error::DataError;
use crate::picture::Picture;

/// Where the pixels of a set are, and how one image of it is read.
#[derive(Debug)]
pub(crate) enum PixelStorage {
    /// Files of records of one size.
    Records(Records),
    /// One file per image.
    ImageFiles(ImageFiles),
    /// Entries of tar files.
    TarEntries(TarEntries),
    /// Pixels of any sizes, written by [`prepare`](crate::prepare()).
    Prepared(PreparedImages),
    /// An array that had to be unpacked.
    InMemory(InMemory),
}

impl PixelStorage {
    /// One image as bytes.
    pub(crate) fn picture(&self, image: usize) -> Result<Picture, DataError> {
        match self {
            Self::Records(records) => records.picture(image),
            Self::ImageFiles(files) => files.picture(image),
            Self::TarEntries(entries) => entries.picture(image),
            Self::Prepared(prepared) => prepared.picture(image),
            Self::InMemory(array) => array.picture(image),
        }
    }

    /// What tells one image from others.
    pub(crate) fn identity(&self, image: usize) -> Result<Identity, DataError> {
        match self {
            Self::Records(records) => records.picture(image).map(Identity::Pixels),
            Self::ImageFiles(files) => files.identity(image),
            Self::TarEntries(entries) => entries.identity(image),
            Self::Prepared(prepared) => prepared.identity(image),
            Self::InMemory(array) => array.picture(image).map(Identity::Pixels),
        }
    }

    /// The file and place of an image, or its index where the file is unknown.
    pub(crate) fn location(&self, image: usize) -> String {
        let known = match self {
            Self::Records(records) => Some(records.name(image)),
            Self::ImageFiles(files) => files.path(image).map(|path| path.display().to_string()),
            Self::TarEntries(entries) => entries.name(image),
            Self::Prepared(prepared) => prepared.name(image),
            Self::InMemory(_) => None,
        };
        known.unwrap_or_else(|| format!("image {image}"))
    }
}
