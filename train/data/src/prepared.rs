//! The files of a prepared set, which [`prepare`](crate::prepare()) writes and `prepared:FOLDER` reads: pixels, so that no image is
//! decoded again.
//!
//! | file | content |
//! | --- | --- |
//! | `prepared.json` | [`Manifest`]: what the images are and how many; written first |
//! | `images-00000.bin`, … | [`IMAGES_IN_SHARD`] images each, the last one fewer: their pixels, `[H, W, C]` bytes, one after the other; an index; an end |
//!
//! The index has, for each image in their order: label, width, height, CRC-32 of its pixels (`u32` each), length of the file that it was
//! made from (`u64`), length of that file's name (`u16`), the name. The end has the place of the index (`u64`), its images and its
//! CRC-32 (`u32` each), and [`MAGIC`]. Numbers are little-endian. Where an image lies follows from the sizes of those before it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::input::MAX_VALUES;

/// Images in a file: about a gibibyte of ImageNet at 256 pixels.
pub(crate) const IMAGES_IN_SHARD: usize = 4096;

/// The last bytes of each file of images.
const MAGIC: [u8; 8] = *b"mimir-px";

/// Bytes of the end.
pub(crate) const END: usize = 24;

/// Bytes of an index entry without its name.
const ENTRY: usize = 26;

/// Bytes of the index of a file: those of [`IMAGES_IN_SHARD`] with the longest names.
pub(crate) const MAX_INDEX: u64 = (IMAGES_IN_SHARD as u64) << 17;

/// Bytes of `prepared.json`: names of classes, and little else.
const MAX_MANIFEST: u64 = 1 << 26;

/// The version of these files.
const VERSION: u32 = 1;

/// `prepared.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    /// The source as it was written on the command line, for people.
    pub(crate) source: String,
    /// Which part of it.
    pub(crate) split: String,
    /// Pixels of the shorter side of each image; smaller ones are as they were.
    pub(crate) side: usize,
    /// Of every image, 1 or 3.
    pub(crate) channels: usize,
    /// How many.
    pub(crate) images: usize,
    /// In each file but the last.
    pub(crate) images_in_shard: usize,
    /// By label, where the source names its classes.
    pub(crate) class_names: Option<Vec<String>>,
    /// CRC-32 of labels and names of the images, in their order: what ties files that were written to the same source.
    pub(crate) listing: u32,
}

impl Manifest {
    /// Of that many images in files of [`IMAGES_IN_SHARD`].
    pub(crate) fn new(
        source: String,
        split: String,
        side: usize,
        channels: usize,
        listing: (usize, u32),
    ) -> Self {
        let (images, listing) = listing;
        let (images_in_shard, class_names) = (IMAGES_IN_SHARD, None);
        Self {
            version: VERSION,
            source,
            split,
            side,
            channels,
            images,
            images_in_shard,
            class_names,
            listing,
        }
    }

    /// Its file.
    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join("prepared.json")
    }

    /// Reads and checks that of a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, DataError> {
        let path = Self::path(folder);
        let text =
            mimir_files::read_text(&path, MAX_MANIFEST).map_err(|source| DataError::io(&path, source))?;
        let refuse = |found: String, wanted: &str| DataError::format(&path, FilePart::Whole, found, wanted);
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| refuse(error.to_string(), "what `mimir-train prepare` writes"))?;
        if manifest.version != VERSION {
            let found = format!("version {}", manifest.version);
            return Err(refuse(found, "version 1: prepare the images with this release"));
        }
        let fits = matches!(manifest.channels, 1 | 3) && manifest.images > 0 && manifest.images_in_shard > 0;
        if !fits {
            let Self { images, channels, images_in_shard, .. } = manifest;
            let found = format!("{images} images of {channels} channels in files of {images_in_shard}");
            return Err(refuse(found, "at least one image and one in a file, 1 or 3 channels"));
        }
        Ok(manifest)
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), DataError> {
        let path = Self::path(folder);
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other);
        text.and_then(|text| mimir_files::replace(&path, text.as_bytes()))
            .map_err(|source| DataError::io(path, source))
    }

    /// Files of images.
    pub(crate) fn shards(&self) -> usize {
        self.images.div_ceil(self.images_in_shard)
    }

    /// The file of that number.
    pub(crate) fn shard_path(folder: &Path, shard: usize) -> PathBuf {
        folder.join(format!("images-{shard:05}.bin"))
    }

    /// Images in the file of that number.
    pub(crate) fn images_in(&self, shard: usize) -> usize {
        self.images.saturating_sub(shard.saturating_mul(self.images_in_shard)).min(self.images_in_shard)
    }
}

/// What the index says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) label: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// CRC-32 of the pixels.
    pub(crate) crc: u32,
    /// Length of the file that it was made from.
    pub(crate) source_bytes: u64,
    /// Name of that file within its set; empty where it was none.
    pub(crate) name: Box<str>,
}

impl IndexEntry {
    /// Bytes of the pixels.
    fn length(&self, channels: usize) -> Option<usize> {
        let dims = ImageDims { channels, height: self.height as usize, width: self.width as usize };
        dims.checked_len().filter(|length| (1..=MAX_VALUES).contains(length))
    }
}

/// Index and end of a file whose pixels are `pixels` bytes.
pub(crate) fn encode_index(entries: &[IndexEntry], pixels: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * 64 + END);
    for entry in entries {
        for number in [entry.label, entry.width, entry.height, entry.crc] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(entry.source_bytes.to_le_bytes());
        let name = &entry.name.as_bytes()[..entry.name.floor_char_boundary(usize::from(u16::MAX))];
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend(name);
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend(pixels.to_le_bytes());
    bytes.extend((entries.len() as u32).to_le_bytes());
    bytes.extend(crc.to_le_bytes());
    bytes.extend(MAGIC);
    bytes
}

/// Where the index starts and how many images it has, from the end of a file of `length` bytes.
///
/// # Errors
/// What is there instead.
pub(crate) fn decode_end(end: &[u8; END], length: u64) -> Result<(u64, usize, u32), String> {
    let (numbers, magic) = end.split_at(END - MAGIC.len());
    let word = |at: usize| {
        numbers.get(at..at + 4).map_or(0, |word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    };
    let start = u64::from(word(4)) << 32 | u64::from(word(0));
    let is_within = start.checked_add(END as u64).is_some_and(|least| least <= length);
    if magic != MAGIC || !is_within {
        return Err("a file that is cut, or no file of prepared images".to_owned());
    }
    Ok((start, word(8) as usize, word(12)))
}

/// The entries of an index, which describe exactly `pixels` bytes, and the place of each image.
///
/// # Errors
/// What is there instead.
pub(crate) fn decode_index(
    bytes: &[u8],
    (count, crc): (usize, u32),
    channels: usize,
    pixels: u64,
) -> Result<Vec<(u64, IndexEntry)>, String> {
    if crc32fast::hash(bytes) != crc {
        return Err("an index that is damaged".to_owned());
    }
    // No more memory than the file really has.
    let mut entries = Vec::with_capacity(count.min(bytes.len() / ENTRY));
    let (mut rest, mut offset) = (bytes, 0_u64);
    for _ in 0..count {
        let (entry, after) = decode_entry(rest).ok_or("an index that is cut")?;
        let length = entry
            .length(channels)
            .ok_or_else(|| format!("an image of {} x {}", entry.width, entry.height))?;
        entries.push((offset, entry));
        offset += length as u64;
        rest = after;
    }
    if !rest.is_empty() || offset != pixels {
        return Err(format!("an index of {offset} bytes of pixels for {pixels}"));
    }
    Ok(entries)
}

fn decode_entry(bytes: &[u8]) -> Option<(IndexEntry, &[u8])> {
    let (fixed, rest) = bytes.split_first_chunk::<ENTRY>()?;
    let word = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let source_bytes = u64::from(word(20)) << 32 | u64::from(word(16));
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([fixed[24], fixed[25]])))?;
    let name = std::str::from_utf8(name).ok()?.into();
    Some((
        IndexEntry { label: word(0), width: word(4), height: word(8), crc: word(12), source_bytes, name },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> Vec<IndexEntry> {
        let entry = |label, width, height, name: &str| IndexEntry {
            label,
            width,
            height,
            crc: label * 7,
            source_bytes: 1 << 40,
            name: name.into(),
        };
        vec![entry(3, 2, 5, "n01/a.JPEG"), entry(999, 1, 1, ""), entry(0, 4, 3, "ü")]
    }

    fn decoded(bytes: &[u8], pixels: u64) -> Result<Vec<(u64, IndexEntry)>, String> {
        let (index, end) = bytes.split_last_chunk::<END>().ok_or("short")?;
        let (start, count, crc) = decode_end(end, pixels + bytes.len() as u64)?;
        if start != pixels {
            return Err("elsewhere".to_owned());
        }
        decode_index(index, (count, crc), 3, pixels)
    }

    #[test]
    fn an_index_goes_through_its_bytes() {
        let bytes = encode_index(&entries(), 69);
        let found = decoded(&bytes, 69).unwrap();
        assert_eq!(found.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 30, 33]);
        assert_eq!(found.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(), entries());
        assert!(
            decoded(&encode_index(&entries(), 70), 70).unwrap_err().contains("69 bytes of pixels for 70")
        );
    }

    proptest! {
        /// Whatever byte is changed, and wherever it is cut.
        #[test]
        fn damage_is_seen(place in 0_usize..400, change in 1_u8.., cut in 1_usize..400) {
            let bytes = encode_index(&entries(), 69);
            let mut changed = bytes.clone();
            let place = place % bytes.len();
            changed[place] ^= change;
            prop_assert!(decoded(&changed, 69).is_err());
            prop_assert!(decoded(&bytes[..bytes.len().saturating_sub(cut)], 69).is_err());
        }

        #[test]
        fn hostile_indices_never_panic(bytes: Vec<u8>, count: usize, pixels: u64) {
            let crc = crc32fast::hash(&bytes);
            let _ = decode_index(&bytes, (count, crc), 3, pixels);
        }
    }
}
