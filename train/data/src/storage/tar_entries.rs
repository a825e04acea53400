//! Encoded images at their offsets in tar files.

use std::io::Cursor;

use super::identity::Identity;
use super::open_files::OpenFiles;
use crate::decode::{self, Colour, Header, Origin};
use crate::error::DataError;
use crate::picture::Picture;

/// Images at their offsets in tar files.
#[derive(Debug)]
pub(crate) struct TarEntries {
    /// The tar files.
    pub(crate) shards: OpenFiles,
    /// In the order of the set.
    pub(crate) images: Vec<TarImage>,
    /// What they are decoded to.
    pub(crate) colour: Colour,
}

impl Default for TarEntries {
    /// None yet, to be decoded to RGB.
    fn default() -> Self {
        Self { shards: OpenFiles::default(), images: Vec::new(), colour: Colour::Rgb }
    }
}

/// One encoded image.
#[derive(Debug)]
pub(crate) struct TarImage {
    /// Index of its tar file in [`TarEntries::shards`].
    pub(crate) shard: usize,
    /// Name of its entry.
    pub(crate) name: String,
    /// Byte of the tar file at which it starts.
    pub(crate) offset: u64,
    /// Bytes; few enough to be read into memory at once, and within the tar file.
    pub(crate) length: u64,
}

impl TarEntries {
    /// Decodes one image.
    pub(crate) fn picture(&self, image: usize) -> Result<Picture, DataError> {
        let (bytes, origin) = self.read(image)?;
        decode::picture(&bytes, self.colour, origin)
    }

    /// The header of one image.
    pub(crate) fn header(&self, image: usize) -> Result<Header, DataError> {
        let (bytes, origin) = self.read(image)?;
        decode::read_header(Cursor::new(bytes), origin)
    }

    /// Name and length of one image's entry.
    pub(crate) fn identity(&self, image: usize) -> Result<Identity, DataError> {
        let no_image = || DataError::NoSuchImage { image, count: self.images.len() };
        let entry = self.images.get(image).ok_or_else(no_image)?;
        Ok(Identity::File { name: entry.name.clone(), bytes: entry.length })
    }

    /// The tar file and the entry of an image.
    pub(crate) fn name(&self, image: usize) -> Option<String> {
        let TarImage { shard, name, .. } = self.images.get(image)?;
        Some(format!("{}, entry `{name}`", self.shards.path(*shard)?.display()))
    }

    fn read(&self, image: usize) -> Result<(Vec<u8>, Origin<'_>), DataError> {
        let no_image = || DataError::NoSuchImage { image, count: self.images.len() };
        let entry = self.images.get(image).ok_or_else(no_image)?;
        let path = self.shards.path(entry.shard).ok_or_else(no_image)?;
        let mut bytes = vec![0; entry.length as usize];
        self.shards.read(entry.shard, entry.offset, &mut bytes)?;
        Ok((bytes, Origin { path, entry: Some(&entry.name) }))
    }
}
