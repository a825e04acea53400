//! Helpers of all readers: opening files, limits on sizes, the first N images, bytes as pixels.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};

/// Most pixel values that an image may have, and a set that is held in memory (8 GiB of `f32`), so that a header of a
/// few bytes cannot ask for more memory than a machine has.
pub(crate) const MAX_VALUES: usize = 1 << 31;

/// Bytes of one encoded image.
pub(crate) const MAX_ENCODED: u64 = 1 << 28;

/// Length and modification time of a file, to detect changes after it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp {
    /// Bytes in the file.
    pub(crate) length: u64,
    /// Modification time, if the system provides it.
    modified: Option<SystemTime>,
}

impl FileStamp {
    pub(crate) fn from_metadata(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: metadata.modified().ok() }
    }

    /// Nanoseconds from 1970 to the modification; none before that, or where the system does not provide it.
    pub(crate) fn nanoseconds(&self) -> Option<u128> {
        Some(self.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos())
    }
}

/// Opens a regular file; returns its length and modification time too.
pub(crate) fn open_file(path: &Path) -> Result<(File, FileStamp), DataError> {
    let opened = mimir_files::open(path).map_err(|source| DataError::io(path, source))?;
    Ok((opened.file, FileStamp::from_metadata(&opened.metadata)))
}

/// What a folder holds, for messages: the first names in their order.
pub(crate) fn contents(folder: &Path) -> Result<String, DataError> {
    const NAMED: usize = 5;
    let list =
        || std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
    let mut names = list().map_err(|source| DataError::io(folder, source))?;
    names.sort();
    let mut shown: Vec<_> =
        names.iter().take(NAMED).map(|name| name.to_string_lossy().into_owned()).collect();
    if names.len() > NAMED {
        shown.push(format!("{} more", names.len() - NAMED));
    }
    Ok(if shown.is_empty() {
        "an empty folder".to_owned()
    } else {
        format!("a folder with {}", shown.join(", "))
    })
}

/// The next `wanted` bytes. Memory grows with what the file really holds.
pub(crate) fn read_exactly(
    reader: &mut impl Read,
    wanted: usize,
    path: &Path,
    part: FilePart,
) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    reader.take(wanted as u64).read_to_end(&mut bytes).map_err(|source| DataError::io(path, source))?;
    if bytes.len() == wanted {
        Ok(bytes)
    } else {
        Err(DataError::format(path, part, format!("only {} bytes", bytes.len()), format!("{wanted} bytes")))
    }
}

/// How many of the `found` images to read: all, or the `first` ones.
pub(crate) fn count_to_read(path: &Path, found: usize, first: Option<usize>) -> Result<usize, DataError> {
    let wanted = first.unwrap_or(found);
    if wanted == 0 {
        let asked = if first.is_some() { "a request for the first 0 images" } else { "no images" };
        return Err(DataError::format(path, FilePart::Whole, asked, "at least one image"));
    }
    if wanted > found {
        return Err(DataError::TooFew { path: path.to_owned(), found, wanted });
    }
    Ok(wanted)
}

/// Values in one image, from 1 to [`MAX_VALUES`].
pub(crate) fn image_len(path: &Path, dims: ImageDims) -> Result<usize, DataError> {
    let refuse =
        |wanted: String| Err(DataError::format(path, FilePart::Header, format!("images of {dims}"), wanted));
    match dims.checked_len() {
        Some(0) => refuse("no empty dimension".to_owned()),
        Some(len) if len <= MAX_VALUES => Ok(len),
        _ => refuse(format!("at most {MAX_VALUES} pixel values in an image")),
    }
}

/// Values in `count` images of `len` values that are held in memory, within [`MAX_VALUES`].
pub(crate) fn len_in_memory(path: &Path, count: usize, len: usize) -> Result<usize, DataError> {
    count.checked_mul(len).filter(|total| *total <= MAX_VALUES).ok_or_else(|| {
        let found = format!("{count} images of {len} pixel values");
        let wanted = format!("at most {MAX_VALUES} pixel values in memory; ask for fewer images");
        DataError::format(path, FilePart::Header, found, wanted)
    })
}

/// A byte as a pixel in `[0, 1]`: one `f32` division, as torchvision's `ToTensor` does.
pub(crate) const fn pixel(byte: u8) -> f32 {
    byte as f32 / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIMS: ImageDims = ImageDims { channels: 3, height: 2, width: 2 };

    #[test]
    fn bytes_become_their_255th() {
        // 0.003921569 and 0.5019608 are what torch prints for torch.tensor([1, 128]).div(255).
        assert_eq!([0, 1, 128, 255].map(pixel), [0.0, 0.003_921_569, 0.501_960_8, 1.0]);
    }

    #[test]
    fn the_first_images_are_counted() {
        let path = Path::new("set");
        assert_eq!(count_to_read(path, 5, None).unwrap(), 5);
        assert_eq!(count_to_read(path, 5, Some(5)).unwrap(), 5);
        let messages = [(5, Some(6)), (5, Some(0)), (0, None)]
            .map(|(found, first)| count_to_read(path, found, first).unwrap_err().to_string());
        assert_eq!(
            messages,
            [
                "set: found 5 images, but 6 were asked for",
                "set: found a request for the first 0 images, wanted at least one image",
                "set: found no images, wanted at least one image",
            ]
        );
    }

    #[test]
    fn sizes_are_capped_without_overflow() {
        let path = Path::new("set");
        assert_eq!(image_len(path, DIMS).unwrap(), 12);
        let widest = ImageDims { channels: 1, height: 1, width: MAX_VALUES };
        assert_eq!(image_len(path, widest).unwrap(), MAX_VALUES);
        for dims in [
            ImageDims { channels: usize::MAX, ..DIMS },
            ImageDims { height: 0, ..DIMS },
            ImageDims { width: MAX_VALUES + 1, ..widest },
        ] {
            assert!(image_len(path, dims).is_err(), "{dims}");
        }
        assert_eq!(len_in_memory(path, 10, 12).unwrap(), 120);
        for (count, len) in [(MAX_VALUES, 12), (usize::MAX, 12), (MAX_VALUES + 1, 1)] {
            assert!(len_in_memory(path, count, len).is_err(), "{count} images of {len}");
        }
    }

    #[test]
    fn a_folder_is_not_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = open_file(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("is a folder, wanted a regular file"), "{error}");
    }
}
