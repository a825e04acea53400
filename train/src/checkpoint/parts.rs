//! Splits a large file into parts with checksums, so that a run can be moved to another machine.
//!
//! `FILE.parts.json` names the parts in order, with length and SHA-256 of each and of the whole.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::write_atomically;

/// Version of the index.
const VERSION: u32 = 1;

/// Why a file could not be split or joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The index is not one that [`split`] writes.
    #[error("{}: {found}", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// A part is not there.
    #[error("{} is missing: part {number} of {count}", path.display())]
    Missing {
        /// The part.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// Number of parts.
        count: usize,
    },
    /// A part is not the one that was written.
    #[error("{} is not part {number}: {found}; copy it again", path.display())]
    Different {
        /// The part.
        path: PathBuf,
        /// Which one it should be, from 1.
        number: usize,
        /// What it is instead.
        found: String,
    },
    /// The parts are right and the whole is not: the index was changed.
    #[error("{}: the whole has digest {found}, wanted {wanted}: the index was changed", path.display())]
    Whole {
        /// The index.
        path: PathBuf,
        /// Digest of what the parts make.
        found: String,
        /// Digest in the index.
        wanted: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    parts_version: u32,
    file: String,
    bytes: u64,
    sha256: String,
    parts: Vec<PartEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartEntry {
    file: String,
    bytes: u64,
    sha256: String,
}

/// Splits `file` into parts of at most `part_bytes` (at least 1) in `folder`, which must exist, and returns the path of
/// the index. The file itself stays.
///
/// # Errors
/// [`PartsError::Io`].
pub fn split(file: &Path, folder: &Path, part_bytes: u64) -> Result<PathBuf, PartsError> {
    let name = file_name(file)?;
    let mut source = BufReader::new(mimir_files::open(file).map_err(io_error(file))?.file);
    let (mut whole, mut bytes, mut parts) = (Sha256::new(), 0, Vec::new());
    loop {
        let mut content = Vec::new();
        source.by_ref().take(part_bytes.max(1)).read_to_end(&mut content).map_err(io_error(file))?;
        // An empty file has one empty part.
        if content.is_empty() && !parts.is_empty() {
            break;
        }
        let part = PartEntry {
            file: format!("{name}.part-{:03}", parts.len() + 1),
            bytes: content.len() as u64,
            sha256: hex(Sha256::digest(&content).as_slice()),
        };
        let path = folder.join(&part.file);
        write_atomically(&path, io_error(&path), |sink| sink.write_all(&content).map_err(io_error(&path)))?;
        whole.update(&content);
        bytes += part.bytes;
        parts.push(part);
    }
    let path = folder.join(format!("{name}.parts.json"));
    let index =
        Index { parts_version: VERSION, file: name, bytes, sha256: hex(whole.finalize().as_slice()), parts };
    let text = serde_json::to_vec_pretty(&index).map_err(|error| io_error(&path)(error.into()))?;
    write_atomically(&path, io_error(&path), |sink| sink.write_all(&text).map_err(io_error(&path)))?;
    Ok(path)
}

/// Joins the parts that `index` names, in the folder of the index, to `out`. Parts are checked as they are read, and
/// nothing is at `out` before everything was right.
///
/// # Errors
/// All of [`PartsError`]; they name the part.
pub fn join(index: &Path, out: &Path) -> Result<(), PartsError> {
    let Index { parts, sha256, .. } = read_index(index)?;
    let folder = index.parent().unwrap_or(Path::new(""));
    write_atomically(out, io_error(out), |sink| {
        let mut whole = Sha256::new();
        for number in 1..=parts.len() {
            let content = read_part(folder, &parts, number)?;
            whole.update(&content);
            sink.write_all(&content).map_err(io_error(out))?;
        }
        let found = hex(whole.finalize().as_slice());
        if found != sha256 {
            return Err(PartsError::Whole { path: index.to_owned(), found, wanted: sha256 });
        }
        Ok(())
    })
}

/// The most bytes of an index.
const MOST_INDEX: u64 = 1 << 24;

fn read_index(path: &Path) -> Result<Index, PartsError> {
    let wrong = |found: String| PartsError::Index { path: path.to_owned(), found };
    let text = mimir_files::read(path, MOST_INDEX).map_err(io_error(path))?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if index.parts_version != VERSION {
        return Err(wrong(format!("parts version {}, wanted {VERSION}", index.parts_version)));
    }
    let is_plain = |name: &str| Path::new(name).file_name().is_some_and(|plain| plain == name);
    if let Some(part) = index.parts.iter().find(|part| !is_plain(&part.file)) {
        return Err(wrong(format!("part `{}`, wanted a file name in the folder of the index", part.file)));
    }
    let sum = index.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.bytes));
    if sum != Some(index.bytes) {
        return Err(wrong(format!("parts that are not {} bytes together", index.bytes)));
    }
    Ok(index)
}

fn read_part(folder: &Path, parts: &[PartEntry], number: usize) -> Result<Vec<u8>, PartsError> {
    let part = &parts[number - 1];
    let path = folder.join(&part.file);
    let file = match mimir_files::open_unlinked(&path) {
        Ok(opened) => opened.file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(PartsError::Missing { path, number, count: parts.len() });
        }
        Err(source) => return Err(PartsError::Io { path, source }),
    };
    // One byte more than it should have, however long it is.
    let mut content = Vec::new();
    file.take(part.bytes.saturating_add(1)).read_to_end(&mut content).map_err(io_error(&path))?;
    let sha256 = hex(Sha256::digest(&content).as_slice());
    if sha256 == part.sha256 {
        return Ok(content);
    }
    let found = match parts.iter().position(|other| other.sha256 == sha256) {
        Some(other) => format!("it is part {}", other + 1),
        None if content.len() as u64 == part.bytes => format!("digest {sha256}, wanted {}", part.sha256),
        None if (content.len() as u64) < part.bytes => {
            format!("it has {} bytes of {}", content.len(), part.bytes)
        }
        None => format!("it is longer than {} bytes", part.bytes),
    };
    Err(PartsError::Different { path, number, found })
}

fn file_name(path: &Path) -> Result<String, PartsError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    name.ok_or_else(|| io_error(path)(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file")))
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> PartsError {
    move |source| PartsError::Io { path: path.to_owned(), source }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
