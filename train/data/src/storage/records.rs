//! Images as bytes at fixed offsets of files that stay open.

use super::layout::PixelLayout;
use super::shared_file::SharedFile;
use crate::dims::ImageDims;
use crate::error::DataError;
use crate::input::pixel;
use crate::picture::Picture;

/// Files of records, one after the other.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) files: Vec<RecordFile>,
    /// Of every image.
    pub(crate) dims: ImageDims,
    pub(crate) layout: PixelLayout,
}

/// A file of records of one size, each with the bytes of an image.
#[derive(Debug)]
pub(crate) struct RecordFile {
    pub(crate) file: SharedFile,
    /// Bytes before the pixels of the first record.
    pub(crate) start: u64,
    /// Bytes from one record to the next.
    pub(crate) stride: u64,
    /// Records that belong to the set.
    pub(crate) count: usize,
}

impl Records {
    /// Reads one image into `out`, which holds as many values as an image.
    pub(crate) fn read(&self, image: usize, out: &mut [f32]) -> Result<(), DataError> {
        let (file, offset) = self.locate(image)?;
        match self.layout {
            PixelLayout::ChannelsFirst => file.file.read_pixels(offset, out),
            PixelLayout::ChannelsLast { .. } => {
                let mut bytes = vec![0; out.len()];
                file.file.read_bytes(offset, &mut bytes)?;
                self.layout.write(&bytes, pixel, out);
                Ok(())
            }
        }
    }

    /// Reads one image as bytes.
    pub(crate) fn picture(&self, image: usize) -> Result<Picture, DataError> {
        let (file, offset) = self.locate(image)?;
        let mut bytes = vec![0; self.dims.channels * self.dims.height * self.dims.width];
        file.file.read_bytes(offset, &mut bytes)?;
        self.layout.picture(&bytes, self.dims)
    }

    /// The file of an image, and where its pixels start.
    fn locate(&self, image: usize) -> Result<(&RecordFile, u64), DataError> {
        let mut index = image;
        for file in &self.files {
            if index < file.count {
                return Ok((file, file.start + file.stride * index as u64));
            }
            index -= file.count;
        }
        Err(DataError::NoSuchImage { image, count: image - index })
    }

    /// The file of an image and its record.
    pub(crate) fn name(&self, image: usize) -> String {
        let mut index = image;
        for file in &self.files {
            if index < file.count {
                return format!("{}, image {index}", file.file.path().display());
            }
            index -= file.count;
        }
        format!("image {image}")
    }
}
