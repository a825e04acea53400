//! Tensor data in files beside the model.
//!
//! Readers that followed any path a model names have handed out `/etc/passwd` (CVE-2022-25882, CVE-2024-27318). So a
//! location is a relative path without `..` whose real place, symbolic links resolved, is a regular file inside the
//! model's folder.
//!
//! A model of a bundle names files of the bundle, which were read and digested already, and nothing else. There ranges do
//! not overlap unless they are the same: a reviewer who has seen one tensor would not have seen the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use mimir_bundle::bundle::{Bundle, FileKind};
use mimir_bundle::digest::FileDigest;

use super::limits::{Allowance, Limits};
use super::proto::StringStringEntryProto;
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
    /// In the order of their first use, by the location that the model gives.
    files: Vec<ExternalFile>,
}

#[derive(Debug)]
struct ExternalFile {
    name: String,
    bytes: Bytes,
    /// The end of each range that is of a tensor, by its start; known for a bundle only.
    used: BTreeMap<usize, usize>,
}

impl<'f> ExternalData<'f> {
    /// Data that may lie in that place.
    pub(super) fn new(place: Place<'f>, limits: &Limits) -> Self {
        let allowance = Allowance::new(limits.tensor_bytes, "bytes of external data", "tensor_bytes");
        Self { place, allowance, files: Vec::new() }
    }

    /// The digests of the files read so far, of the bytes that were read, in the order of their first use.
    pub(super) fn digests(&self) -> impl Iterator<Item = FileDigest> {
        let digest = |ExternalFile { name, bytes, .. }: &ExternalFile| match self.place {
            Place::Bundle(bundle) => bundle.file(name).map(|file| file.digest().clone()),
            Place::Nowhere | Place::Folder(_) => Some(FileDigest::new(name.as_str(), bytes)),
        };
        self.files.iter().filter_map(digest)
    }

    /// The `wanted` bytes that `entries` point to.
    ///
    /// # Errors
    /// Do not name the tensor, only the location in the file: the caller knows the tensor.
    pub(super) fn slice(&mut self, entries: &[StringStringEntryProto], wanted: usize) -> Result<Bytes> {
        let reference = Reference::parse(entries)?;
        if let Some(length) = reference.length.filter(|length| *length != wanted as u64) {
            return Err(Error::format(format!(
                "{length} bytes of external data, but its dimensions need {wanted}"
            )));
        }
        let index = self.file(reference.location)?;
        let file = &self.files[index].bytes;
        let start = usize::try_from(reference.offset).ok();
        let range = start
            .and_then(|start| Some((start, start.checked_add(wanted)?)))
            .filter(|(_, end)| *end <= file.len())
            .ok_or_else(|| {
                Error::format(format!(
                    "needs {wanted} bytes at offset {} of `{}`, which has {}",
                    reference.offset,
                    reference.location,
                    file.len()
                ))
            })?;
        let bytes = file.slice(range.0..range.1);
        if matches!(self.place, Place::Bundle(_)) {
            self.files[index].take(range.0, range.1)?;
        }
        Ok(bytes)
    }

    /// The place of a file among those that were read.
    fn file(&mut self, location: &str) -> Result<usize> {
        let (name, bytes) = match self.place {
            Place::Nowhere => {
                return Err(Error::unsupported(format!(
                    "its data is in the file `{location}`, but the model was read from memory: read it from its path"
                )));
            }
            Place::Bundle(bundle) => (location.to_owned(), Some(of_bundle(bundle, location)?)),
            Place::Folder(folder) => {
                let (name, path) = resolve(folder, location)?;
                let known = self.files.iter().any(|file| file.name == name);
                let read = (!known).then(|| self.read(&path));
                (name, read.transpose().map_err(|error| unreadable(location, &error))?.transpose()?)
            }
        };
        let known = self.files.iter().position(|file| file.name == name);
        Ok(known.unwrap_or_else(|| {
            self.files.push(ExternalFile { name, bytes: bytes.unwrap_or_default(), used: BTreeMap::new() });
            self.files.len() - 1
        }))
    }

    fn read(&mut self, path: &Path) -> std::io::Result<Result<Bytes>> {
        let opened = mimir_files::open(path)?;
        let length = opened.metadata.len();
        if let Err(error) = self.allowance.spend(usize::try_from(length).unwrap_or(usize::MAX)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Ok(Err(Error::new(ErrorKind::Limit, format!("its data is in `{name}`: {error}"))));
        }
        Ok(Ok(opened.read(length)?.into()))
    }
}

/// The location that the entries of a tensor give.
pub(super) fn location(entries: &[StringStringEntryProto]) -> Option<&str> {
    entries.iter().find(|entry| entry.key() == "location").map(StringStringEntryProto::value)
}

impl ExternalFile {
    /// Marks a range as that of a tensor.
    fn take(&mut self, start: usize, end: usize) -> Result<()> {
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
                self.name
            )));
        }
        self.used.insert(start, end);
        Ok(())
    }
}

/// A file with data among those of a bundle.
fn of_bundle(bundle: &Bundle, location: &str) -> Result<Bytes> {
    let is_data = FileKind::of(location) == Ok(FileKind::Data);
    let file = bundle.file(location).filter(|_| is_data).map(|file| file.bytes().clone());
    file.ok_or_else(|| {
        Error::format(format!(
            "its data is in `{}`, which is no file with weights that the bundle's manifest.json lists",
            location.escape_debug()
        ))
    })
}

/// Where one tensor's bytes lie.
struct Reference<'e> {
    location: &'e str,
    offset: u64,
    length: Option<u64>,
}

impl<'e> Reference<'e> {
    fn parse(entries: &'e [StringStringEntryProto]) -> Result<Self> {
        let mut values = BTreeMap::new();
        for entry in entries {
            // The checksum is a SHA-1 of the whole file, and optional; the digest that we report covers the file.
            if !["location", "offset", "length", "checksum"].contains(&entry.key()) {
                return Err(Error::unsupported(format!(
                    "external data key `{}`; supported are location, offset, length and checksum",
                    entry.key()
                )));
            }
            if values.insert(entry.key(), entry.value()).is_some() {
                return Err(Error::format(format!("external data key `{}` appears twice", entry.key())));
            }
        }
        let number = |key: &str| values.get(key).map(|text| parse_number(key, text)).transpose();
        Ok(Self {
            location: values
                .get("location")
                .ok_or_else(|| Error::format("external data without a location"))?,
            offset: number("offset")?.unwrap_or(0),
            length: number("length")?,
        })
    }
}

fn parse_number(key: &str, text: &str) -> Result<u64> {
    text.parse().map_err(|_| {
        Error::format(format!("external data {key} `{text}`; wanted a number of bytes, 0 or more"))
    })
}

/// The name of a location, `a/b` for `./a//b`, and its real path.
fn resolve(folder: &Path, location: &str) -> Result<(String, PathBuf)> {
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
    let names = relative.components().filter(|part| matches!(part, Component::Normal(_)));
    // Of the location and not of the real path: that depends on how links were copied.
    let name = names.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    Ok((name, path))
}

fn unreadable(location: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("its data is in `{location}`, which cannot be read: {error}"))
}
