//! Images as bytes at fixed places of a file that stays open, so that any of them can be read at any time.

use crate::error::DataError;
use crate::shared_file::SharedFile;

/// Files of records, one after the other.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) files: Vec<RecordFile>,
}

/// A file of records of one size, each with the channel-major bytes of an image.
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
        let mut index = image;
        for file in &self.files {
            if index < file.count {
                return file.file.read_pixels(file.start + file.stride * index as u64, out);
            }
            index -= file.count;
        }
        Err(DataError::NoSuchImage { image, count: image - index })
    }
}
