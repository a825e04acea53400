//! Pixels of images of any sizes in a few large files.

use super::identity::Identity;
use super::open_files::OpenFiles;
use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::picture::Picture;

/// Images at their places in files.
#[derive(Debug)]
pub(crate) struct PreparedImages {
    pub(crate) files: OpenFiles,
    /// In the order of the set.
    pub(crate) images: Vec<PreparedImage>,
    /// Of every image.
    pub(crate) channels: usize,
}

/// One image.
#[derive(Debug)]
pub(crate) struct PreparedImage {
    /// Index of its file.
    pub(crate) file: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// CRC-32 of its pixels.
    pub(crate) crc: u32,
    /// Byte of its file at which it starts.
    pub(crate) offset: u64,
    /// Length of the file that it was made from.
    pub(crate) source_bytes: u64,
    /// Name of that file within its set; empty where it was none.
    pub(crate) name: Box<str>,
}

impl PreparedImages {
    pub(crate) fn dims(&self, image: usize) -> Result<ImageDims, DataError> {
        let image = self.get(image)?;
        Ok(ImageDims { channels: self.channels, height: image.height as usize, width: image.width as usize })
    }

    /// Reads one image, and compares it with its checksum.
    pub(crate) fn picture(&self, image: usize) -> Result<Picture, DataError> {
        let (at, dims) = (self.get(image)?, self.dims(image)?);
        let mut bytes = vec![0; dims.checked_len().unwrap_or(0)];
        self.files.read(at.file as usize, at.offset, &mut bytes)?;
        if crc32fast::hash(&bytes) != at.crc {
            let path = self.files.path(at.file as usize).unwrap_or(std::path::Path::new("prepared images"));
            let wanted = "those that were written: remove the file, and go on with `mimir-train prepare`";
            let part = FilePart::Entry(self.shown(image, at));
            return Err(DataError::format(path, part, "other pixels", wanted));
        }
        Picture::new(dims.width, dims.height, dims.channels, bytes)
    }

    /// That of the file that it was made from: a prepared set is the same images. Of others the pixels.
    pub(crate) fn identity(&self, image: usize) -> Result<Identity, DataError> {
        let at = self.get(image)?;
        if at.name.is_empty() {
            return self.picture(image).map(Identity::Pixels);
        }
        Ok(Identity::File { name: at.name.to_string(), bytes: at.source_bytes })
    }

    /// The file of an image, and what it was made from.
    pub(crate) fn name(&self, image: usize) -> Option<String> {
        let at = self.images.get(image)?;
        let path = self.files.path(at.file as usize)?;
        Some(format!("{}, entry `{}`", path.display(), self.shown(image, at)))
    }

    fn shown(&self, image: usize, at: &PreparedImage) -> String {
        if at.name.is_empty() { format!("image {image}") } else { at.name.to_string() }
    }

    fn get(&self, image: usize) -> Result<&PreparedImage, DataError> {
        self.images.get(image).ok_or(DataError::NoSuchImage { image, count: self.images.len() })
    }
}
