//! NPZ: a zip of the arrays `images` and `labels`, as `numpy.savez` and `numpy.savez_compressed` write it.
//!
//! | array | type | shape |
//! | --- | --- | --- |
//! | `images` | `u8` (divided by 255) or `f32` in `[0, 1]` | `[N, C, H, W]`, `[N, H, W, C]`, `[N, H, W]` or `[N, D]` |
//! | `labels` | any integer type | `[N]` |
//!
//! In four dimensions the channels are the axis of 1 or 3, second or last; where both could be, the file is refused.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ndarray::Array2;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{DataError, Part};
use crate::image_set::{ImageDims, ImageSet};
use crate::input::{open, pixel, read_exactly, take_count, value_count};
use crate::npy::Header;

const IMAGES: &str = "images";
const LABELS: &str = "labels";

/// Reads the first images of a NPZ file.
pub(crate) fn read(path: &Path, first: Option<usize>) -> Result<ImageSet, DataError> {
    let (file, _) = open(path)?;
    let archive = |error: ZipError| {
        DataError::format(
            path,
            Part::Whole,
            error.to_string(),
            "a NPZ file with the arrays `images` and `labels`",
        )
    };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(archive)?;
    let (dims, images) = read_images(&mut archive, path, first)?;
    let labels = read_labels(&mut archive, path, images.total, images.count)?;
    let shape = (images.count, images.pixels.len() / images.count);
    Ok(ImageSet {
        dims,
        images: Array2::from_shape_vec(shape, images.pixels).expect("pixels fill the rows"),
        labels,
        names: None,
    })
}

type Archive = ZipArchive<BufReader<File>>;

struct Images {
    /// Images in the file.
    total: usize,
    /// Images taken.
    count: usize,
    /// Channel-major pixels of the images taken.
    pixels: Vec<f32>,
}

fn read_images(
    archive: &mut Archive,
    path: &Path,
    first: Option<usize>,
) -> Result<(ImageDims, Images), DataError> {
    let part = Part::Array(IMAGES);
    let mut array = ArrayReader::open(archive, path, IMAGES)?;
    let shape = array.header.shape.clone();
    let (dims, layout) = layout(&shape)
        .map_err(|wanted| DataError::format(path, part.clone(), format!("shape {shape:?}"), wanted))?;
    let total = shape.first().copied().unwrap_or_default();
    let count = take_count(path, total, first)?;
    let values = value_count(path, count, dims)?;
    let pixels = match array.header.descr.as_str() {
        "|u1" => array.first_bytes(values)?.into_iter().map(pixel).collect(),
        "<f4" => unit_floats(&array.first_bytes(values * 4)?, values / count, path)?,
        other => {
            let wanted = "u8 or little-endian f32: save array.astype('float32')";
            return Err(DataError::format(path, part, format!("element type {other}"), wanted));
        }
    };
    Ok((dims, Images { total, count, pixels: layout.to_channel_major(pixels, dims) }))
}

/// Where the channels of an array of images are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    ChannelsFirst,
    ChannelsLast,
}

impl Layout {
    fn to_channel_major(self, pixels: Vec<f32>, dims: ImageDims) -> Vec<f32> {
        if self == Self::ChannelsFirst || dims.channels == 1 {
            return pixels;
        }
        let plane = dims.height * dims.width;
        let planes = |image: &[f32]| {
            (0..dims.channels * plane)
                .map(|index| image[index % plane * dims.channels + index / plane]) // [C, H·W] from [H·W, C]
                .collect::<Vec<f32>>()
        };
        pixels.chunks_exact(dims.channels * plane).flat_map(planes).collect()
    }
}

/// Dimensions and layout of an array of images, or what was wanted instead.
fn layout(shape: &[usize]) -> Result<(ImageDims, Layout), &'static str> {
    let colour = |dim: usize| matches!(dim, 1 | 3);
    let dims = |channels, height, width| ImageDims { channels, height, width };
    match *shape {
        [_, a, b, c] => match (colour(a), colour(c)) {
            (true, false) => Ok((dims(a, b, c), Layout::ChannelsFirst)),
            (false, true) => Ok((dims(c, a, b), Layout::ChannelsLast)),
            (true, true) => Err("channels (1 or 3) second or last, but not both: save the images as [N, D]"),
            (false, false) => Err("1 or 3 channels second or last, or images saved as [N, D]"),
        },
        [_, height, width] => Ok((dims(1, height, width), Layout::ChannelsFirst)),
        [_, values] => Ok((dims(1, 1, values), Layout::ChannelsFirst)),
        _ => Err("[N, C, H, W], [N, H, W, C], [N, H, W] or [N, D]"),
    }
}

/// Little-endian `f32` in `[0, 1]`; `row` values make an image.
fn unit_floats(bytes: &[u8], row: usize, path: &Path) -> Result<Vec<f32>, DataError> {
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
    match values.iter().position(|value| !(0.0..=1.0).contains(value)) {
        None => Ok(values),
        Some(position) => Err(DataError::format(
            path,
            Part::Record(position / row),
            format!("pixel value {}", values[position]),
            "values in [0, 1] before normalisation, which --mean and --std put into the model",
        )),
    }
}

/// The first `count` labels of the `total` that must be there.
fn read_labels(
    archive: &mut Archive,
    path: &Path,
    total: usize,
    count: usize,
) -> Result<Vec<usize>, DataError> {
    let part = Part::Array(LABELS);
    let mut array = ArrayReader::open(archive, path, LABELS)?;
    if array.header.shape != [total] {
        let found = format!("shape {:?}", array.header.shape);
        return Err(DataError::format(path, part, found, format!("[{total}], one for each image")));
    }
    let integer = Integer::from_descr(&array.header.descr).ok_or_else(|| {
        let found = format!("element type {}", array.header.descr);
        DataError::format(path, part, found, "a little-endian integer type")
    })?;
    let bytes = array.first_bytes(count * integer.size)?;
    let label = |(index, bytes): (usize, &[u8])| {
        let value = integer.value(bytes);
        usize::try_from(value)
            .map_err(|_| DataError::format(path, Part::Record(index), format!("label {value}"), "0 or more"))
    };
    bytes.chunks_exact(integer.size).enumerate().map(label).collect()
}

/// A little-endian integer type.
#[derive(Debug, Clone, Copy)]
struct Integer {
    signed: bool,
    size: usize,
}

impl Integer {
    fn from_descr(descr: &str) -> Option<Self> {
        let (signed, size) = match descr {
            "|i1" => (true, 1),
            "|u1" => (false, 1),
            "<i2" => (true, 2),
            "<u2" => (false, 2),
            "<i4" => (true, 4),
            "<u4" => (false, 4),
            "<i8" => (true, 8),
            "<u8" => (false, 8),
            _ => return None,
        };
        Some(Self { signed, size })
    }

    fn value(self, bytes: &[u8]) -> i128 {
        let unsigned = bytes.iter().rev().fold(0_i128, |value, byte| value << 8 | i128::from(*byte));
        let range = 1_i128 << (8 * self.size);
        if self.signed && unsigned >= range / 2 { unsigned - range } else { unsigned }
    }
}

/// One array of the archive, at its data, whose size in the archive fits its header.
struct ArrayReader<'a> {
    entry: zip::read::ZipFile<'a, BufReader<File>>,
    header: Header,
    path: &'a Path,
    part: Part,
    /// Bytes of data.
    data: u64,
}

impl<'a> ArrayReader<'a> {
    fn open(archive: &'a mut Archive, path: &'a Path, name: &'static str) -> Result<Self, DataError> {
        let part = Part::Array(name);
        let mut entry = archive.by_name(&format!("{name}.npy")).map_err(|error| {
            DataError::format(path, part.clone(), error.to_string(), "the arrays `images` and `labels`")
        })?;
        let header = Header::read(&mut entry, path, &part)?;
        let data = entry.size().saturating_sub(header.length as u64);
        if header.data_bytes().is_some_and(|wanted| wanted != u128::from(data)) {
            let wanted = format!("what shape {:?} of {} needs", header.shape, header.descr);
            return Err(DataError::format(path, part, format!("{data} bytes of data"), wanted));
        }
        Ok(Self { entry, header, path, part, data })
    }

    /// The first bytes of the data; reading all of them checks the archive's checksum too.
    fn first_bytes(&mut self, wanted: usize) -> Result<Vec<u8>, DataError> {
        let bytes = read_exactly(&mut self.entry, wanted, self.path, self.part.clone())?;
        if wanted as u64 == self.data {
            let end = self.entry.read(&mut [0]).map_err(|source| DataError::io(self.path, source))?;
            if end != 0 {
                let part = self.part.clone();
                return Err(DataError::format(self.path, part, "more data", format!("{wanted} bytes")));
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
