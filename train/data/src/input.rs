//! What all readers share: files of a known size, the first N, bytes as pixels.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{DataError, Part};
use crate::image_set::ImageDims;

/// Most pixel values that a set may hold (8 GiB of `f32`), so that a header of a few bytes cannot ask for more memory
/// than a machine has.
pub(crate) const MAX_VALUES: usize = 1 << 31;

/// A file with its length.
pub(crate) fn open(path: &Path) -> Result<(File, u64), DataError> {
    let open = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Ok((file, metadata.len()))
    };
    open().map_err(|source| DataError::io(path, source))
}

/// The next `wanted` bytes. Memory grows with what the file really holds.
pub(crate) fn read_exactly(
    reader: &mut impl Read,
    wanted: usize,
    path: &Path,
    part: Part,
) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    reader.take(wanted as u64).read_to_end(&mut bytes).map_err(|source| DataError::io(path, source))?;
    if bytes.len() == wanted {
        Ok(bytes)
    } else {
        Err(DataError::format(path, part, format!("only {} bytes", bytes.len()), format!("{wanted} bytes")))
    }
}

/// How many of the `found` images to take: all of them, or the first so many.
pub(crate) fn take_count(path: &Path, found: usize, first: Option<usize>) -> Result<usize, DataError> {
    let wanted = first.unwrap_or(found);
    if wanted == 0 {
        let asked = if first.is_some() { "a request for the first 0 images" } else { "no images" };
        return Err(DataError::format(path, Part::Whole, asked, "at least one image"));
    }
    if wanted > found {
        return Err(DataError::TooFew { path: path.to_owned(), found, wanted });
    }
    Ok(wanted)
}

/// Values in `count` images, within [`MAX_VALUES`].
pub(crate) fn value_count(path: &Path, count: usize, dims: ImageDims) -> Result<usize, DataError> {
    let total = dims.checked_len().and_then(|len| len.checked_mul(count));
    match total {
        Some(0) => {
            Err(DataError::format(path, Part::Header, format!("images of {dims}"), "no empty dimension"))
        }
        Some(total) if total <= MAX_VALUES => Ok(total),
        _ => Err(DataError::format(
            path,
            Part::Header,
            format!("{count} images of {dims}"),
            format!("at most {MAX_VALUES} pixel values in memory; ask for fewer images"),
        )),
    }
}

/// A byte as a pixel in `[0, 1]`: one `f32` division, as torchvision's `ToTensor` does.
pub(crate) fn pixel(byte: u8) -> f32 {
    f32::from(byte) / 255.0
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
        assert_eq!(take_count(path, 5, None).unwrap(), 5);
        assert_eq!(take_count(path, 5, Some(5)).unwrap(), 5);
        let messages = [(5, Some(6)), (5, Some(0)), (0, None)]
            .map(|(found, first)| take_count(path, found, first).unwrap_err().to_string());
        assert_eq!(
            messages,
            [
                "set: found 5 images, but the first 6 were asked for",
                "set: found a request for the first 0 images, wanted at least one image",
                "set: found no images, wanted at least one image",
            ]
        );
    }

    #[test]
    fn sizes_are_capped_without_overflow() {
        let path = Path::new("set");
        assert_eq!(value_count(path, 10, DIMS).unwrap(), 120);
        for (count, dims) in [
            (MAX_VALUES, DIMS),
            (usize::MAX, DIMS),
            (1, ImageDims { channels: usize::MAX, ..DIMS }),
            (1, ImageDims { height: 0, ..DIMS }),
        ] {
            assert!(value_count(path, count, dims).is_err(), "{count} images of {dims}");
        }
    }

    #[test]
    fn a_folder_is_not_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("directory"), "{error}");
    }
}
