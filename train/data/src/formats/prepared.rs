//! Images that [`prepare`](crate::prepare()) has written: pixels of one shorter side, with their labels.
//!
//! Opening reads the index of every file; an image is read from its place when it is asked for, and compared with its checksum.

use std::path::Path;

use crate::error::{DataError, FilePart};
use crate::image_set::count_classes;
use crate::input::{FileStamp, count_to_read, open_file};
use crate::picture_set::PictureSet;
use crate::prepared::{END, IndexEntry, MAX_INDEX, Manifest, decode_end, decode_index};
use crate::source::{Dataset, Opener};
use crate::storage::{OpenFiles, PixelStorage, PreparedImage, PreparedImages, SharedFile};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "prepared",
    alias: None,
    path: "FOLDER",
    content: "images that `mimir-train prepare` has resized and written",
    has_splits: false,
    open: Opener::Pictures(|folder, options| pictures(folder, options.first)),
};

/// Opens the first images.
fn pictures(folder: &Path, first: Option<usize>) -> Result<PictureSet, DataError> {
    let manifest = Manifest::read(folder)?;
    let count = count_to_read(folder, manifest.images, first)?;
    let (mut labels, mut images) = (Vec::new(), Vec::new());
    let mut files = OpenFiles::default();
    for shard in 0..manifest.shards() {
        let (stamp, index) = read_shard(folder, &manifest, shard)?;
        let file = files.push(Manifest::shard_path(folder, shard), stamp) as u32;
        for (offset, entry) in index {
            let IndexEntry { label, width, height, crc, source_bytes, name } = entry;
            labels.push(label as usize);
            images.push(PreparedImage { file, width, height, crc, offset, source_bytes, name });
        }
    }
    let whole = (count < labels.len()).then(|| count_classes(&labels));
    labels.truncate(count);
    images.truncate(count);
    let channels = manifest.channels;
    Ok(PictureSet {
        labels,
        names: manifest.class_names,
        channels,
        whole,
        order: None,
        left_out: None,
        pixels: PixelStorage::Prepared(PreparedImages { files, images, channels }),
    })
}

/// Where the images of one file are, and what they are.
pub(crate) type ShardIndex = Vec<(u64, IndexEntry)>;

/// The index of one file, which must be whole and have as many images as the manifest says.
pub(crate) fn read_shard(
    folder: &Path,
    manifest: &Manifest,
    shard: usize,
) -> Result<(FileStamp, ShardIndex), DataError> {
    let path = Manifest::shard_path(folder, shard);
    let again = format!("go on with `mimir-train prepare {} {}`", manifest.source, folder.display());
    let refuse = |found: String, wanted: &str| DataError::format(&path, FilePart::Whole, found, wanted);
    if !path.exists() {
        let (shards, found) = (manifest.shards(), "no such file: the images are not all prepared".to_owned());
        return Err(refuse(found, &format!("{shards} files of images: {again}")));
    }
    let damaged = |found: String| refuse(found, &format!("a whole file: remove it, and {again}"));
    let (file, stamp) = open_file(&path)?;
    let file = SharedFile::new(path.clone(), file, stamp);
    let mut end = [0; END];
    let at = stamp.length.checked_sub(END as u64).ok_or_else(|| damaged("an empty file".to_owned()))?;
    file.read_bytes(at, &mut end)?;
    let (start, count, crc) = decode_end(&end, stamp.length).map_err(damaged)?;
    if count != manifest.images_in(shard) {
        let wanted = format!("{}: {again}", manifest.images_in(shard));
        return Err(refuse(format!("{count} images"), &wanted));
    }
    let length = at - start;
    if length > MAX_INDEX {
        return Err(damaged(format!("an index of {length} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    file.read_bytes(start, &mut bytes)?;
    let index = decode_index(&bytes, (count, crc), manifest.channels, start).map_err(damaged)?;
    Ok((stamp, index))
}
