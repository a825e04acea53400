//! Tensor data in files beside the model.
//!
//! Readers that followed any path a model names have handed out `/etc/passwd` (CVE-2022-25882, CVE-2024-27318). So a
//! location is a relative path without `..` whose real place, symbolic links resolved, is a regular file inside the
//! model's folder.
//!
//! A file is read once, from its beginning to its end: all of it is digested, and what tensors need of it is kept. Of seven
//! gigabytes that may be thirty kilobytes.
//!
//! A model of a bundle names files of the bundle, which were read and digested already, and nothing else. There ranges do
//! not overlap unless they are the same: a reviewer who has seen one tensor would not have seen the other.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use mimir_bundle::bundle::{Bundle, FileKind};
use mimir_bundle::digest::FileDigest;
use mimir_bundle::parts::Parts;

use super::limits::{Allowance, Limits};
use super::proto::{ModelProto, StringStringEntryProto};
use super::reference::{Reference, name_of};
use super::wanted::Wanted;
use crate::error::{Error, ErrorKind, Result};

/// Where external data may lie.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'f> {
    /// Nowhere: the model is in memory.
    Nowhere,
    /// In that folder.
    Folder(&'f Path),
    /// In that bundle.
    Bundle(&'f Bundle),
}

/// The external files of one model; each is read once.
#[derive(Debug)]
pub(super) struct ExternalData<'f> {
    place: Place<'f>,
    allowance: Allowance,
    wanted: Wanted,
    /// In the order of their first use, by the location that the model gives.
    files: Vec<ExternalFile>,
}

#[derive(Debug)]
struct ExternalFile {
    digest: FileDigest,
    parts: Parts,
    /// The end of each range that is of a tensor, by its start; known for a bundle only.
    used: BTreeMap<u64, u64>,
}

impl<'f> ExternalData<'f> {
    /// Data of a model that may lie in that place.
    pub(super) fn new(place: Place<'f>, model: &ModelProto, limits: &Limits) -> Self {
        let allowance = Allowance::new(limits.tensor_bytes, "bytes of external data", "tensor_bytes");
        Self { place, allowance, wanted: Wanted::by(model), files: Vec::new() }
    }

    /// The digests of the files read so far, of the bytes that were read, in the order of their first use.
    pub(super) fn digests(&self) -> impl Iterator<Item = FileDigest> {
        self.files.iter().map(|file| file.digest.clone())
    }

    /// The `wanted` bytes that `entries` point to.
    ///
    /// # Errors
    /// Do not name the tensor, only the location in the file: the caller knows the tensor.
    pub(super) fn slice(&mut self, entries: &[StringStringEntryProto], wanted: usize) -> Result<Bytes> {
        let Reference { location, offset, length } = Reference::parse(entries)?;
        if let Some(length) = length.filter(|length| *length != wanted as u64) {
            return Err(Error::format(format!(
                "{length} bytes of external data, but its dimensions need {wanted}"
            )));
        }
        let index = self.file(location)?;
        let file = &self.files[index];
        let there = file.digest.bytes;
        let range = offset.checked_add(wanted as u64).filter(|end| *end <= there).map(|end| offset..end);
        let bytes = range.clone().and_then(|range| match wanted {
            0 => Some(Bytes::new()),
            _ => file.parts.slice(range),
        });
        let (Some(range), Some(bytes)) = (range, bytes) else {
            return Err(Error::format(format!(
                "needs {wanted} bytes at offset {offset} of `{location}`, which has {there}"
            )));
        };
        if matches!(self.place, Place::Bundle(_)) {
            self.files[index].take(range)?;
        }
        Ok(bytes)
    }

    /// The place of a file among those that were read.
    fn file(&mut self, location: &str) -> Result<usize> {
        let name = match self.place {
            Place::Bundle(_) => location.to_owned(),
            Place::Nowhere | Place::Folder(_) => name_of(location),
        };
        // Whether a location is one that a model may name is asked each time: two may have the same name.
        let path = match self.place {
            Place::Folder(folder) => Some(resolve(folder, location)?),
            Place::Nowhere | Place::Bundle(_) => None,
        };
        if let Some(known) = self.files.iter().position(|file| file.digest.name == name) {
            return Ok(known);
        }
        let (parts, digest) = match (self.place, path) {
            (Place::Bundle(bundle), _) => of_bundle(bundle, location)?,
            (_, Some(path)) => self.read(&path, &name).map_err(|error| unreadable(location, &error))??,
            (_, None) => {
                return Err(Error::unsupported(format!(
                    "its data is in the file `{location}`, but the model was read from memory: read it from its path"
                )));
            }
        };
        self.files.push(ExternalFile { digest, parts, used: BTreeMap::new() });
        Ok(self.files.len() - 1)
    }

    fn read(&mut self, path: &Path, name: &str) -> std::io::Result<Result<(Parts, FileDigest)>> {
        let opened = mimir_files::open(path)?;
        let length = opened.metadata.len();
        if let Err(error) = self.allowance.spend(usize::try_from(length).unwrap_or(usize::MAX)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Ok(Err(Error::new(ErrorKind::Limit, format!("its data is in `{name}`: {error}"))));
        }
        Parts::read(opened.file, length, &self.wanted.of(name), name).map(Ok)
    }

    /// How many bytes of external files are in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.files.iter().map(|file| file.parts.held()).sum()
    }
}

/// The location that the entries of a tensor give.
pub(super) fn location(entries: &[StringStringEntryProto]) -> Option<&str> {
    entries.iter().find(|entry| entry.key() == "location").map(StringStringEntryProto::value)
}

impl ExternalFile {
    /// Marks a range as that of a tensor.
    fn take(&mut self, range: Range<u64>) -> Result<()> {
        let Range { start, end } = range;
        if start == end {
            return Ok(());
        }
        let before = self.used.range(..end).next_back().filter(|(_, used)| **used > start);
        if before == Some((&start, &end)) {
            return Ok(());
        }
        if let Some((first, last)) = before {
            return Err(Error::format(format!(
                "its data is at bytes {start} to {end} of `{}`, which overlap bytes {first} to {last} of another tensor",
                self.digest.name
            )));
        }
        self.used.insert(start, end);
        Ok(())
    }
}

/// A file with data among those of a bundle.
fn of_bundle(bundle: &Bundle, location: &str) -> Result<(Parts, FileDigest)> {
    let is_data = FileKind::of(location) == Ok(FileKind::Data);
    let file = bundle.file(location).filter(|_| is_data);
    let file = file.ok_or_else(|| {
        Error::format(format!(
            "its data is in `{}`, which is no file with weights that the bundle's manifest.json lists",
            location.escape_debug()
        ))
    })?;
    Ok((Parts::whole(file.bytes().clone()), file.digest().clone()))
}

/// The real path of a location.
fn resolve(folder: &Path, location: &str) -> Result<PathBuf> {
    let escapes = || {
        Error::format(format!(
            "its data is in `{location}`, which is outside the model's folder: put the file beside the model"
        ))
    };
    let relative = Path::new(location);
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(escapes());
    }
    let folder = fs::canonicalize(folder).map_err(|error| unreadable(location, &error))?;
    let path = fs::canonicalize(folder.join(relative)).map_err(|error| unreadable(location, &error))?;
    if path == folder || !path.starts_with(&folder) {
        return Err(escapes());
    }
    Ok(path)
}

fn unreadable(location: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("its data is in `{location}`, which cannot be read: {error}"))
}
