//! NPZ: a zip of the arrays `images` and `labels` (or `image` and `label`, as published for generated CIFAR-10 images),
//! as `numpy.savez` and `numpy.savez_compressed` write it.
//!
//! | array | type | shape |
//! | --- | --- | --- |
//! | `images` | `u8` (divided by 255) or `f32` in `[0, 1]` | `[N, C, H, W]`, `[N, H, W, C]`, `[N, H, W]` or `[N, D]` |
//! | `labels` | any integer type | `[N]` or `[N, 1]` |
//!
//! In four dimensions the channels are the axis of 1 or 3, or else of 4, second or last; where both could be, the file is
//! refused.
//!
//! The images are unpacked once and stay in memory in the type of the file: one byte per value of `u8`, four per value
//! of `f32`. Where that would be more than 2^31 values, and `numpy.savez` wrote them as `u8`, they are read from their
//! places in the file instead, and their checksum is not verified.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use mimir_files::Bounded;
use zip::ZipArchive;
use zip::result::ZipError;

use super::npy::NpyHeader;
use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::image_set::{ClassCounts, ImageSet, count_classes};
use crate::input::{MAX_VALUES, count_to_read, image_len, len_in_memory, open_file, read_exactly};
use crate::source::{Dataset, Opener};
use crate::storage::{InMemory, PixelLayout, PixelStorage, RecordFile, Records, SharedFile};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "npz",
    alias: None,
    path: "FILE",
    content: "the arrays `images` and `labels`, or `image` and `label`",
    has_splits: false,
    open: Opener::Images(|path, options| open(path, options.first)),
};

/// The names of both arrays.
const NAMES: [[&str; 2]; 2] = [["images", "labels"], ["image", "label"]];

/// Names that other files have for them, test sets first: what the way out names.
const PAIRS: [[&str; 2]; 9] = [
    ["x_test", "y_test"],
    ["X_test", "y_test"],
    ["test_images", "test_labels"],
    ["x_val", "y_val"],
    ["val_images", "val_labels"],
    ["x", "y"],
    ["X", "y"],
    ["data", "labels"],
    ["arr_0", "arr_1"],
];

/// Bytes that are read to find the arrays of an archive.
const MOST_SEARCHED: u64 = 1 << 24;

/// Opens the first images of a NPZ file.
fn open(path: &Path, first: Option<usize>) -> Result<ImageSet, DataError> {
    open_within(path, first, MAX_VALUES)
}

/// Keeps at most `most` values in memory.
fn open_within(path: &Path, first: Option<usize>, most: usize) -> Result<ImageSet, DataError> {
    let (file, _) = open_file(path)?;
    // Once with an end to the search for its directory, so that the second time is as short.
    ZipArchive::new(Bounded::new(BufReader::new(&file), MOST_SEARCHED))
        .map_err(|error| not_an_archive(path, &error))?;
    let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| not_an_archive(path, &error))?;
    read(archive, path, first, most)
}

fn read(mut archive: Archive, path: &Path, first: Option<usize>, most: usize) -> Result<ImageSet, DataError> {
    let [images, labels] = names(&archive, path)?;
    let images = read_images(&mut archive, path, images, first, most)?;
    let (labels, whole) = read_labels(&mut archive, path, labels, images.total, images.count)?;
    let Images { dims, pixels_per_image, pixels, .. } = images;
    Ok(ImageSet { whole, ..ImageSet::new(dims, labels, None, pixels_per_image, pixels) })
}

const WANTED: &str = "an NPZ file with the arrays `images` and `labels`";

/// What a file is that is no zip.
fn not_an_archive(path: &Path, error: &ZipError) -> DataError {
    let start = open_file(path).and_then(|(mut file, stamp)| {
        read_exactly(&mut file, stamp.length.min(8) as usize, path, FilePart::Whole)
    });
    let found = match start.as_deref() {
        Ok([0x93, b'N', b'U', b'M', b'P', b'Y', ..]) => "an NPY file, one array without labels".to_owned(),
        Ok([0x80, 2..=5, ..]) => "a Python pickle, which is not read".to_owned(),
        Ok([0x89, b'H', b'D', b'F', ..]) => "an HDF5 file".to_owned(),
        _ => error.to_string(),
    };
    let wanted = format!("{WANTED}: numpy.savez(\"set.npz\", images=…, labels=…)");
    DataError::format(path, FilePart::Whole, found, wanted)
}

/// The names of both arrays, which must be there.
fn names(archive: &Archive, path: &Path) -> Result<[&'static str; 2], DataError> {
    let has = |name: &str| archive.index_for_name(&format!("{name}.npy")).is_some();
    if let Some(names) = NAMES.into_iter().find(|names| names.iter().all(|name| has(name))) {
        return Ok(names);
    }
    let entries: Vec<&str> =
        archive.file_names().map(|name| name.strip_suffix(".npy").unwrap_or(name)).collect();
    let listed = entries.iter().take(12).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let found = match entries.len() {
        0 => "no arrays".to_owned(),
        _ if entries.iter().any(|name| name.ends_with("data.pkl")) => {
            "a PyTorch file (a pickle), which is not read".to_owned()
        }
        1..=12 => format!("the arrays {listed}"),
        more => format!("the arrays {listed} and {} more", more - 12),
    };
    let pair = PAIRS.into_iter().find(|names| names.iter().all(|name| has(name))).unwrap_or(["…", "…"]);
    let wanted = format!(
        "`images` and `labels`: d = numpy.load(file); numpy.savez(\"set.npz\", images={}, labels={})",
        shown(pair[0]),
        shown(pair[1]),
    );
    Err(DataError::format(path, FilePart::Whole, found, wanted))
}

fn shown(name: &str) -> String {
    if name == "…" { name.to_owned() } else { format!("d[\"{name}\"]") }
}

type Archive = ZipArchive<BufReader<File>>;

struct Images {
    dims: ImageDims,
    /// Images in the file.
    total: usize,
    /// Images taken.
    count: usize,
    pixels_per_image: usize,
    pixels: PixelStorage,
}

fn read_images(
    archive: &mut Archive,
    path: &Path,
    name: &'static str,
    first: Option<usize>,
    most: usize,
) -> Result<Images, DataError> {
    let part = FilePart::Array(name);
    let mut array = ArrayReader::open(archive, path, name)?;
    if array.header.descr.contains('O') {
        let (found, wanted) = wrong_type(&array.header.descr);
        return Err(DataError::format(path, part, found, wanted));
    }
    let shape = array.header.shape.clone();
    let (dims, layout) = layout(&shape)
        .map_err(|wanted| DataError::format(path, part.clone(), format!("shape {shape:?}"), wanted))?;
    let total = shape.first().copied().unwrap_or_default();
    let count = count_to_read(path, total, first)?;
    let pixels_per_image = image_len(path, dims)?;
    let is_large = array.header.descr == "|u1" && count.saturating_mul(pixels_per_image) > most;
    if let Some(start) = array.stored_at().filter(|_| is_large) {
        let pixels = records(path, start, count, dims, layout)?;
        return Ok(Images { dims, total, count, pixels_per_image, pixels });
    }
    let values = len_in_memory(path, count, pixels_per_image)?;
    let pixels = match array.header.descr.as_str() {
        "|u1" => InMemory::from_bytes(array.first_bytes(values)?, dims, layout),
        "<f4" => InMemory::from_floats(array.first_unit_floats(values, pixels_per_image)?, dims, layout),
        other => {
            let (found, wanted) = wrong_type(other);
            return Err(DataError::format(path, part, found, wanted));
        }
    };
    Ok(Images { dims, total, count, pixels_per_image, pixels: PixelStorage::InMemory(pixels) })
}

/// What is wrong with a type of pixels, and the way out.
fn wrong_type(descr: &str) -> (String, &'static str) {
    if descr.trim_start_matches('|').starts_with('O') {
        return (
            "an object array (pickled Python objects, which are not read)".to_owned(),
            "one array of numbers: numpy.stack(list(array)).astype('uint8')",
        );
    }
    let wanted = match descr.get(1..2) {
        // Of booleans, the levels would be 0 and 1 of 255.
        Some("b" | "f") => "little-endian f32 in [0, 1] (array.astype('<f4')), or u8, the levels 0 to 255",
        Some("i" | "u") => {
            "u8, the levels 0 to 255 of an 8-bit image (array.astype('uint8')), or f32 in [0, 1]"
        }
        _ => "u8, the levels 0 to 255, or little-endian f32 in [0, 1]",
    };
    (format!("element type {descr}"), wanted)
}

/// Images that stay in the file.
fn records(
    path: &Path,
    start: u64,
    count: usize,
    dims: ImageDims,
    layout: PixelLayout,
) -> Result<PixelStorage, DataError> {
    let (file, stamp) = open_file(path)?;
    let stride = image_len(path, dims)? as u64;
    let end = stride.checked_mul(count as u64).and_then(|length| length.checked_add(start));
    if end.is_none_or(|end| end > stamp.length) {
        let found = format!("{} bytes", stamp.length);
        return Err(DataError::format(
            path,
            FilePart::Whole,
            found,
            format!("{count} images of {stride} bytes"),
        ));
    }
    let file = SharedFile::new(path.to_owned(), file, stamp);
    let files = vec![RecordFile { file, start, stride, count }];
    Ok(PixelStorage::Records(Records { files, dims, layout }))
}

/// Dimensions and layout of an array of images, or what was wanted instead.
fn layout(shape: &[usize]) -> Result<(ImageDims, PixelLayout), &'static str> {
    let colour = |dim: usize| matches!(dim, 1 | 3);
    let dims = |channels, height, width| ImageDims { channels, height, width };
    match *shape {
        [_, a, b, c] => match (colour(a), colour(c)) {
            (true, false) => Ok((dims(a, b, c), PixelLayout::ChannelsFirst)),
            (false, true) => Ok((dims(c, a, b), PixelLayout::ChannelsLast { channels: c })),
            (true, true) => Err("channels (1 or 3) second or last, but not both: save the images as [N, D]"),
            // Colours and transparency.
            (false, false) => match (a == 4, c == 4) {
                (true, false) => Ok((dims(a, b, c), PixelLayout::ChannelsFirst)),
                (false, true) => Ok((dims(c, a, b), PixelLayout::ChannelsLast { channels: c })),
                _ => Err("1, 3 or 4 channels second or last, or images saved as [N, D]"),
            },
        },
        [_, height, width] => Ok((dims(1, height, width), PixelLayout::ChannelsFirst)),
        [_, values] => Ok((dims(1, 1, values), PixelLayout::ChannelsFirst)),
        _ => Err("[N, C, H, W], [N, H, W, C], [N, H, W] or [N, D]"),
    }
}

/// The first `count` labels of the `total` that must be there, and how many of each there are where some are left.
fn read_labels(
    archive: &mut Archive,
    path: &Path,
    name: &'static str,
    total: usize,
    count: usize,
) -> Result<(Vec<usize>, Option<ClassCounts>), DataError> {
    let part = FilePart::Array(name);
    let mut array = ArrayReader::open(archive, path, name)?;
    let NpyHeader { shape, descr, .. } = &array.header;
    if *shape != [total] && *shape != [total, 1] {
        let way_out = match shape.as_slice() {
            [count, classes] if *count == total && *classes > 1 => ": of one-hot rows save labels.argmax(1)",
            _ => "",
        };
        let wanted = format!("[{total}], one for each image{way_out}");
        return Err(DataError::format(path, part, format!("shape {shape:?}"), wanted));
    }
    let integer = Integer::from_descr(descr).ok_or_else(|| {
        let found = if descr.contains('O') { wrong_type(descr).0 } else { format!("element type {descr}") };
        DataError::format(path, part, found, "a little-endian integer type: save labels.astype('<i8')")
    })?;
    let bytes = array.first_bytes(total * integer.size)?;
    let label = |(index, bytes): (usize, &[u8])| {
        let value = integer.value(bytes);
        usize::try_from(value).map_err(|_| {
            DataError::format(path, FilePart::Record(index), format!("label {value}"), "0 or more")
        })
    };
    let values = || bytes.chunks_exact(integer.size).enumerate();
    let labels = values().take(count).map(label).collect::<Result<Vec<_>, _>>()?;
    // Of those that are left, none is held against the file.
    let all = (count < total).then(|| values().map(label).collect::<Result<Vec<_>, _>>());
    Ok((labels, all.and_then(Result::ok).map(|labels| count_classes(&labels))))
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
    header: NpyHeader,
    path: &'a Path,
    part: FilePart,
    /// Bytes of data.
    data: u64,
}

impl<'a> ArrayReader<'a> {
    fn open(archive: &'a mut Archive, path: &'a Path, name: &'static str) -> Result<Self, DataError> {
        let part = FilePart::Array(name);
        let mut entry = archive
            .by_name(&format!("{name}.npy"))
            .map_err(|error| DataError::format(path, part.clone(), error.to_string(), WANTED))?;
        let header = NpyHeader::read(&mut entry, path, &part)?;
        let data = entry.size().saturating_sub(header.length as u64);
        if header.data_bytes().is_some_and(|wanted| wanted != u128::from(data)) {
            let wanted = format!("what shape {:?} of {} needs", header.shape, header.descr);
            return Err(DataError::format(path, part, format!("{data} bytes of data"), wanted));
        }
        Ok(Self { entry, header, path, part, data })
    }

    /// Where the data is in the file, if it is there as it is.
    fn stored_at(&self) -> Option<u64> {
        let start = self.entry.data_start();
        let stored = self.entry.compression() == zip::CompressionMethod::Stored && !self.entry.encrypted();
        stored.then(|| start.checked_add(self.header.length as u64)).flatten()
    }

    /// The first bytes of the data.
    fn first_bytes(&mut self, wanted: usize) -> Result<Vec<u8>, DataError> {
        let bytes = self.next_bytes(wanted)?;
        self.finish(wanted)?;
        Ok(bytes)
    }

    /// The first little-endian `f32`, all in `[0, 1]`; `row` values make an image.
    fn first_unit_floats(&mut self, wanted: usize, row: usize) -> Result<Vec<f32>, DataError> {
        /// How far outside rounding and resampling leave a value that belongs inside.
        const NEAR: f32 = 0.01;
        /// Values converted at once, so that not all bytes and all values are in memory together.
        const CHUNK: usize = 1 << 14;
        let mut values = Vec::new();
        while values.len() < wanted {
            let bytes = self.next_bytes(4 * CHUNK.min(wanted - values.len()))?;
            values.extend(bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)));
        }
        self.finish(4 * wanted)?;
        match values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            None => Ok(values),
            Some(position) => {
                let all_in =
                    |range: std::ops::RangeInclusive<f32>| values.iter().all(|value| range.contains(value));
                let wanted = if all_in(-NEAR..=1.0 + NEAR) {
                    "values in [0, 1]: rounding may have moved it; cut the values (array.clip(0, 1))"
                } else if all_in(0.0..=255.0) {
                    "values in [0, 1]: these look like levels 0 to 255; divide them by 255, or save them as u8"
                } else {
                    "values in [0, 1] before normalisation, which is given by its mean and standard deviation"
                };
                let found = format!("pixel value {}", values[position]);
                Err(DataError::format(self.path, FilePart::Record(position / row), found, wanted))
            }
        }
    }

    fn next_bytes(&mut self, wanted: usize) -> Result<Vec<u8>, DataError> {
        read_exactly(&mut self.entry, wanted, self.path, self.part.clone())
    }

    /// After `read` bytes: where they are all the data, reaches its end, which checks the archive's checksum.
    fn finish(&mut self, read: usize) -> Result<(), DataError> {
        if read as u64 == self.data {
            let end = self.entry.read(&mut [0]).map_err(|source| DataError::io(self.path, source))?;
            if end != 0 {
                let part = self.part.clone();
                return Err(DataError::format(self.path, part, "more data", format!("{read} bytes")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
