//! WebDataset: tar files whose entries belong to one sample where their paths agree up to the first dot of the name.
//!
//! A sample has one `.jpg`, `.jpeg` or `.png` and one `.cls` with its class as a decimal number; other entries, and
//! samples with neither, are left out. The entries of a sample follow each other. Opening reads the headers of all
//! entries and remembers where the images are; an image is read when it is asked for, from its place. For training, what is found is
//! kept beside each tar file ([`list`]).
//!
//! A tar file must end as tar files do, with two empty blocks: without them it was cut.

mod list;
mod shards;

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tar::{Archive, EntryType};

use crate::error::{DataError, FilePart};
use crate::input::{MAX_ENCODED, count_to_read, open_file};
use crate::picture_set::PictureSet;
use crate::source::{Dataset, Indices, Opener};
use crate::storage::{PixelStorage, TarEntries, TarImage};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "webdataset",
    alias: None,
    path: "PATH",
    content: "tar files: one, a folder of them, or a pattern such as train-{0000..0063}.tar or train-*.tar",
    has_splits: false,
    open: Opener::Indexed(|path, options, indices| pictures(path, options.first, indices)),
};

/// Bytes of a class number: as many digits as 64 bits have, and space around them.
const MAX_CLASS: u64 = 32;
/// Bytes of the two empty blocks at the end of a tar file.
const END: u64 = 1024;

/// Opens the first images of one or several tar files, of any sizes.
fn pictures(path: &Path, first: Option<usize>, indices: Indices) -> Result<PictureSet, DataError> {
    let mut index = Index::default();
    for path in shards::shards(path)? {
        if first.is_none_or(|first| index.labels.len() < first) {
            match indices {
                Indices::Ignored => index.shard(path)?,
                Indices::Kept => index.listed_shard(path)?,
            }
        }
    }
    let count = count_to_read(path, index.labels.len(), first)?;
    index.labels.truncate(count);
    index.entries.images.truncate(count);
    let Index { labels, entries } = index;
    Ok(PictureSet {
        labels,
        names: None,
        channels: 3,
        // Later tar files are not read where the first images are enough.
        whole: None,
        order: None,
        left_out: None,
        pixels: PixelStorage::TarEntries(entries),
    })
}

/// What opening finds.
#[derive(Default)]
struct Index {
    labels: Vec<usize>,
    entries: TarEntries,
}

/// The entries of one sample so far.
#[derive(Default)]
struct Sample {
    key: String,
    label: Option<usize>,
    image: Option<TarImage>,
}

impl Index {
    /// Adds the samples of a tar file by the list beside it; where that is none of this file, by the file, and writes the list.
    fn listed_shard(&mut self, path: PathBuf) -> Result<(), DataError> {
        let (_, stamp) = open_file(&path)?;
        let shard = self.entries.shards.count();
        if let Some(samples) = list::read(&path, &stamp) {
            for (label, image) in samples {
                self.labels.push(label);
                self.entries.images.push(TarImage { shard, ..image });
            }
            self.entries.shards.push(path, stamp);
            return Ok(());
        }
        let before = self.labels.len();
        self.shard(path.clone())?;
        list::write(&path, &stamp, self.labels[before..].iter().zip(&self.entries.images[before..]));
        Ok(())
    }

    /// Adds the samples of a tar file.
    fn shard(&mut self, path: PathBuf) -> Result<(), DataError> {
        let (file, stamp) = open_file(&path)?;
        let shard = self.entries.shards.count();
        let mut archive = Archive::new(BufReader::new(file));
        let refuse = |error: std::io::Error| {
            DataError::format(&path, FilePart::Whole, error.to_string(), "an uncompressed tar file")
        };
        let mut sample = Sample::default();
        let mut end = 0;
        for entry in archive.entries_with_seek().map_err(refuse)? {
            let mut entry = Entry::new(entry.map_err(refuse)?, &path, stamp.length)?;
            end = entry.end();
            if !entry.is_file {
                continue;
            }
            let (key, extension) = split_name(&entry.name);
            if key != sample.key {
                let key = key.to_owned();
                self.finish(std::mem::replace(&mut sample, Sample { key, ..Sample::default() }), &path)?;
            }
            match extension.to_ascii_lowercase().as_str() {
                "cls" => entry.put(&mut sample.label, Entry::class)?,
                "jpg" | "jpeg" | "png" => entry.put(&mut sample.image, |entry| entry.image(shard))?,
                _ => {}
            }
        }
        self.finish(sample, &path)?;
        check_end(archive.into_inner().into_inner(), end, &path)?;
        self.entries.shards.push(path, stamp);
        Ok(())
    }

    fn finish(&mut self, sample: Sample, path: &Path) -> Result<(), DataError> {
        let refuse = |found: &str, wanted: &str| {
            let part = FilePart::Entry(sample.key.clone());
            Err(DataError::format(path, part, format!("a sample {found}"), wanted))
        };
        match (sample.label, sample.image) {
            (Some(label), Some(image)) => {
                self.labels.push(label);
                self.entries.images.push(image);
                Ok(())
            }
            (None, None) => Ok(()),
            (Some(_), None) => refuse("without image", "a .jpg, .jpeg or .png next to its .cls"),
            (None, Some(_)) => refuse("without class", "a .cls next to its image"),
        }
    }
}

/// A name up to the first dot behind its last slash, and what follows that dot.
fn split_name(name: &str) -> (&str, &str) {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[start..].find('.') {
        Some(dot) => (&name[..start + dot], &name[start + dot + 1..]),
        None => (name, ""),
    }
}

/// Two empty blocks must follow the last entry.
fn check_end(mut file: File, end: u64, path: &Path) -> Result<(), DataError> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(end))
        .and_then(|_| file.take(END).read_to_end(&mut bytes))
        .map_err(|source| DataError::io(path, source))?;
    if bytes.len() as u64 == END && bytes.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let found = format!("a tar file that is cut after byte {end}");
    Err(DataError::format(path, FilePart::Whole, found, "one that ends with two empty blocks"))
}

/// One entry with its place, which lies in the file.
struct Entry<'a, R: Read> {
    entry: tar::Entry<'a, R>,
    path: &'a Path,
    name: String,
    is_file: bool,
    offset: u64,
    length: u64,
}

impl<'a, R: Read> Entry<'a, R> {
    fn new(entry: tar::Entry<'a, R>, path: &'a Path, file_length: u64) -> Result<Self, DataError> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
        let (offset, length) = (entry.raw_file_position(), entry.size());
        let this = Self { entry, path, name, is_file, offset, length };
        if !is_file && !matches!(kind, EntryType::Directory | EntryType::XGlobalHeader) {
            return Err(this.refuse(format!("an entry of type {kind:?}"), "files and folders"));
        }
        if offset.checked_add(length).is_none_or(|end| end > file_length) {
            let found = format!("only {} of {length} bytes", file_length.saturating_sub(offset));
            return Err(this.refuse(found, "a whole entry: the tar file is cut"));
        }
        Ok(this)
    }

    /// Where the next header is.
    fn end(&self) -> u64 {
        (self.offset + self.length).next_multiple_of(512)
    }

    fn refuse(&self, found: impl Into<String>, wanted: &str) -> DataError {
        DataError::format(self.path, FilePart::Entry(self.name.clone()), found, wanted)
    }

    /// Keeps what this entry is, unless the sample has one already.
    fn put<T>(
        &mut self,
        field: &mut Option<T>,
        read: impl FnOnce(&mut Self) -> Result<T, DataError>,
    ) -> Result<(), DataError> {
        if field.is_some() {
            return Err(self.refuse("a second one in its sample", "one image and one .cls"));
        }
        *field = Some(read(self)?);
        Ok(())
    }

    fn class(&mut self) -> Result<usize, DataError> {
        let mut text = Vec::new();
        (&mut self.entry)
            .take(MAX_CLASS)
            .read_to_end(&mut text)
            .map_err(|source| DataError::io(self.path, source))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let fits = self.length <= MAX_CLASS;
        text.trim()
            .parse()
            .ok()
            .filter(|_| fits)
            .ok_or_else(|| self.refuse(format!("class `{}`", text.trim()), "a decimal number, 0 or more"))
    }

    fn image(&self, shard: usize) -> Result<TarImage, DataError> {
        if self.length > MAX_ENCODED {
            let wanted = format!("at most {MAX_ENCODED}");
            return Err(self.refuse(format!("an image of {} bytes", self.length), &wanted));
        }
        Ok(TarImage { shard, name: self.name.clone(), offset: self.offset, length: self.length })
    }
}

#[cfg(test)]
mod tests;
