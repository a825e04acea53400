//! Writes a set as pixels of one shorter side, so that training does not decode it in every epoch: [`prepare`].

use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;

use crate::augment::{Interpolation, Resize, Transform};
use crate::error::{DataError, FilePart};
use crate::formats::read_prepared_shard;
use crate::open::open_pictures;
use crate::picture::Picture;
use crate::picture_set::PictureSet;
use crate::prepared::{IMAGES_IN_SHARD, IndexEntry, Manifest, encode_index};
use crate::source::{DataSource, ReadOptions};
use crate::storage::Identity;

/// Images that each thread makes before what is there is written.
const EACH: usize = 16;

/// How a set is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrepareOptions {
    /// What is read.
    pub read: ReadOptions,
    /// Pixels of the shorter side, 1 to 16384. Images whose shorter side is not longer stay as they are.
    pub side: usize,
    /// Threads that decode and resize. No result depends on it.
    pub threads: NonZero<usize>,
}

/// How far a preparation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreparedCount {
    /// Images that are written, also by an earlier call.
    pub done: usize,
    /// Images of the set.
    pub of: usize,
}

/// Writes the images of `source` to `folder` as bytes, resized to one shorter side as evaluation resizes them (bicubic, with
/// antialiasing): `prepared:FOLDER` reads them. What a call has finished stays: the same call goes on behind it, also where it was
/// stopped by `keep_going`, which hears how far it is, or by a kill.
///
/// # Errors
/// As [`open_pictures`]; an image that cannot be decoded; a folder that holds another preparation; a full disk.
pub fn prepare(
    source: &DataSource,
    folder: &Path,
    options: &PrepareOptions,
    keep_going: impl FnMut(PreparedCount) -> bool,
) -> Result<PreparedCount, DataError> {
    prepare_in_files(source, folder, options, IMAGES_IN_SHARD, keep_going)
}

/// [`prepare`] with so many images in a file.
fn prepare_in_files(
    source: &DataSource,
    folder: &Path,
    options: &PrepareOptions,
    images_in_shard: usize,
    mut keep_going: impl FnMut(PreparedCount) -> bool,
) -> Result<PreparedCount, DataError> {
    let transform = transform(options.side);
    transform.check()?;
    let set = open_pictures(source, &options.read)?;
    let manifest = Manifest { images_in_shard, ..manifest(source, &set, options) };
    std::fs::create_dir_all(folder).map_err(|source| DataError::io(folder, source))?;
    claim(folder, &manifest)?;
    let mut count = PreparedCount { done: 0, of: set.count() };
    for shard in 0..manifest.shards() {
        let first = count.done;
        if read_prepared_shard(folder, &manifest, shard).is_err() {
            let shard = Shard { set: &set, first, count: manifest.images_in(shard), transform, options };
            let path = Manifest::shard_path(folder, first / manifest.images_in_shard);
            let mut goes_on = |done| keep_going(PreparedCount { done: first + done, of: set.count() });
            match mimir_files::replace_with(&path, ".mimir-", |file| shard.write(file, &mut goes_on)) {
                Ok(()) => {}
                Err(Ended::Stopped) => return Ok(count),
                Err(Ended::Data(error)) => return Err(error),
                Err(Ended::Io(source)) => return Err(DataError::io(path, source)),
            }
        }
        count.done = first + manifest.images_in(shard);
    }
    Ok(count)
}

fn transform(side: usize) -> Transform {
    Transform { resize: Some(Resize::ShorterSide(side)), crop: None, interpolation: Interpolation::Bicubic }
}

fn manifest(source: &DataSource, set: &PictureSet, options: &PrepareOptions) -> Manifest {
    let root = source.path().display().to_string();
    let mut listing = crc32fast::Hasher::new();
    for (image, label) in set.labels.iter().enumerate() {
        let location = set.location(image);
        listing.update(&(*label as u64).to_le_bytes());
        listing.update(location.strip_prefix(&root).unwrap_or(&location).as_bytes());
    }
    let (split, listing) = (options.read.split.to_string(), (set.count(), listing.finalize()));
    let manifest = Manifest::new(source.to_string(), split, options.side, set.channels(), listing);
    Manifest { class_names: set.names.clone(), ..manifest }
}

/// Writes the manifest, or finds that of the same images.
fn claim(folder: &Path, manifest: &Manifest) -> Result<(), DataError> {
    if !Manifest::path(folder).exists() {
        return manifest.write(folder);
    }
    let found = Manifest::read(folder)?;
    // The same folder has many names.
    if (Manifest { source: manifest.source.clone(), ..found.clone() }) == *manifest {
        return Ok(());
    }
    let shown = |manifest: &Manifest| {
        let Manifest { images, split, source, side, .. } = manifest;
        format!("{images} images of the {split} split of {source} with a shorter side of {side}")
    };
    let wanted = format!("{}: name another folder, or remove this one", shown(manifest));
    Err(DataError::format(Manifest::path(folder), FilePart::Whole, shown(&found), wanted))
}

/// Why a file was not finished.
enum Ended {
    Stopped,
    Data(DataError),
    Io(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The images of one file.
struct Shard<'a> {
    set: &'a PictureSet,
    first: usize,
    count: usize,
    transform: Transform,
    options: &'a PrepareOptions,
}

impl Shard<'_> {
    fn write(&self, file: &mut std::fs::File, goes_on: &mut dyn FnMut(usize) -> bool) -> Result<(), Ended> {
        let mut out = io::BufWriter::with_capacity(1 << 20, file);
        let (mut entries, mut pixels) = (Vec::with_capacity(self.count), 0_u64);
        while entries.len() < self.count {
            if !goes_on(entries.len()) {
                return Err(Ended::Stopped);
            }
            for made in self.made(entries.len()) {
                let (picture, entry) = made.map_err(Ended::Data)?;
                out.write_all(picture.bytes())?;
                pixels += picture.bytes().len() as u64;
                entries.push(entry);
            }
        }
        out.write_all(&encode_index(&entries, pixels))?;
        out.flush()?;
        Ok(())
    }

    /// The images from the `done`th of the file on, a few for each thread.
    fn made(&self, done: usize) -> Vec<Result<(Picture, IndexEntry), DataError>> {
        let end = self.first + self.count;
        let images: Vec<usize> = (self.first + done..end).take(self.options.threads.get() * EACH).collect();
        let panicked =
            || DataError::format("images", FilePart::Whole, "a panic", "pixels; this is a bug in Mimir");
        std::thread::scope(|scope| {
            let part = |images: &[usize]| images.iter().map(|image| self.image(*image)).collect::<Vec<_>>();
            let threads: Vec<_> =
                images.chunks(EACH).map(|images| scope.spawn(move || part(images))).collect();
            let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.flat_map(|made| made.unwrap_or_else(|_| vec![Err(panicked())])).collect()
        })
    }

    fn image(&self, image: usize) -> Result<(Picture, IndexEntry), DataError> {
        let picture = self.set.read_rgb(image)?;
        let is_larger = picture.width().min(picture.height()) > self.options.side;
        let resized = if is_larger { self.transform.apply(&picture) } else { Ok(picture) };
        let picture = resized.map_err(|error| self.set.sample_error(image, error))?;
        let label = self.set.labels.get(image).copied().unwrap_or_default();
        let (source_bytes, name) = match self.set.identity(image)? {
            Identity::File { name, bytes } => (bytes, name.into()),
            Identity::Pixels(_) => (0, "".into()),
        };
        let crc = crc32fast::hash(picture.bytes());
        let wide = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (width, height, label) = (wide(picture.width()), wide(picture.height()), wide(label));
        Ok((picture, IndexEntry { label, width, height, crc, source_bytes, name }))
    }
}

#[cfg(test)]
mod tests;
