//! Reads an archive, and accepts only what the writer would have written.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use bytes::Bytes;

use super::layout::{CENTRAL, Entry, LOCAL, LOCAL_BYTES, MOST_BYTES, Part, directory};
use crate::bundle::container::{Container, Listed};
use crate::bundle::error::{BundleError, BundleErrorKind, Result};
use crate::bundle::names::{FileKind, MANIFEST};
use crate::bundle::reading::{ReadBytes, digest_in_memory, read_exactly};

/// The most files.
const MOST_FILES: usize = 1000;

/// An archive on disk.
#[derive(Debug)]
pub(in crate::bundle) struct FileArchive {
    file: File,
    entries: Vec<Entry>,
}

impl FileArchive {
    /// The files that the headers of an archive name; all headers are checked.
    ///
    /// # Errors
    /// When anything differs from what the writer would have written.
    pub(in crate::bundle) fn new(mut file: File, length: u64) -> Result<Self> {
        let entries = entries(&mut file, length)?;
        Ok(Self { file, entries })
    }
}

impl Container for FileArchive {
    fn files(&self) -> Vec<Listed> {
        listed(&self.entries)
    }

    fn read(&mut self, index: usize) -> Result<ReadBytes> {
        let entry = &self.entries[index];
        let read = self
            .file
            .seek(SeekFrom::Start(entry.data()))
            .and_then(|_| read_exactly(&mut self.file, entry.length))
            .map_err(|error| BundleError::io(&entry.name, &error))?;
        expect_checksum(entry, read)
    }
}

/// An archive in memory; its files are views of it.
#[derive(Debug)]
pub(in crate::bundle) struct MemoryArchive {
    bytes: Bytes,
    entries: Vec<Entry>,
}

impl MemoryArchive {
    /// As [`FileArchive::new`].
    ///
    /// # Errors
    /// As [`FileArchive::new`].
    pub(in crate::bundle) fn new(bytes: Bytes) -> Result<Self> {
        let entries = entries(&mut Cursor::new(&bytes), bytes.len() as u64)?;
        Ok(Self { bytes, entries })
    }
}

impl Container for MemoryArchive {
    fn files(&self) -> Vec<Listed> {
        listed(&self.entries)
    }

    fn read(&mut self, index: usize) -> Result<ReadBytes> {
        let entry = &self.entries[index];
        // Within the bytes: the headers were checked against their number.
        let bytes = self.bytes.slice(entry.data() as usize..entry.end() as usize);
        expect_checksum(entry, digest_in_memory(bytes))
    }
}

fn listed(entries: &[Entry]) -> Vec<Listed> {
    let listed = |entry: &Entry| Listed { name: entry.name.clone(), bytes: entry.length };
    entries.iter().map(listed).collect()
}

fn expect_checksum(entry: &Entry, read: ReadBytes) -> Result<ReadBytes> {
    if read.crc32 == entry.crc32 {
        return Ok(read);
    }
    let message =
        format!("CRC-32 of its bytes is {:08x}, but its headers say {:08x}", read.crc32, entry.crc32);
    Err(BundleError::mismatch(&entry.name, message))
}

/// Walks through the local headers, and compares the rest with the directory of what they name.
fn entries(reader: &mut (impl Read + Seek), length: u64) -> Result<Vec<Entry>> {
    if length > MOST_BYTES {
        let message = format!("has {length} bytes, more than {MOST_BYTES}: such bundles are folders");
        return Err(BundleError::new(BundleErrorKind::Limit, "archive", message));
    }
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let at = entries.last().map_or(0, Entry::end);
        let mut signature = [0; 4];
        read_at(reader, at, length, &mut signature)?;
        match signature {
            LOCAL => {}
            CENTRAL => break,
            _ => {
                let message = format!("byte {at}: neither a file nor the central directory begins here");
                return Err(BundleError::format("archive", message));
            }
        }
        let entry = entry(reader, at, length)?;
        expect_order(&entries, &entry.name)?;
        entries.push(entry);
    }
    expect_directory(reader, &entries, length)?;
    Ok(entries)
}

fn entry(reader: &mut (impl Read + Seek), at: u64, length: u64) -> Result<Entry> {
    let mut fixed = [0; LOCAL_BYTES];
    read_at(reader, at, length, &mut fixed)?;
    let name_bytes = usize::from(u16::from_le_bytes([fixed[26], fixed[27]]));
    let mut name = vec![0; name_bytes];
    read_at(reader, at + LOCAL_BYTES as u64, length, &mut name)?;
    let name = String::from_utf8(name)
        .map_err(|_| BundleError::format(format_args!("archive: byte {at}"), "a name that is not ASCII"))?;
    FileKind::of(&name)?;
    let number = |start: usize| {
        u32::from_le_bytes([fixed[start], fixed[start + 1], fixed[start + 2], fixed[start + 3]])
    };
    let entry = Entry { name, crc32: number(14), length: u64::from(number(22)), header: at };
    if entry.length > MOST_BYTES {
        let message = "its size is in a ZIP64 record: bundles in one file have none";
        return Err(BundleError::format(&entry.name, message));
    }
    let header = Part::local(&entry);
    header.expect(&fixed)?;
    let mut found = vec![0; header.bytes.len()];
    read_at(reader, at, length, &mut found)?;
    header.expect(&found)?;
    if entry.end() > length {
        let message =
            format!("is truncated: its data ends at byte {}, the archive has {length}", entry.end());
        return Err(BundleError::format(&entry.name, message));
    }
    Ok(entry)
}

/// `manifest.json` first, so that it is known before anything else is read; then in ascending order.
fn expect_order(before: &[Entry], name: &str) -> Result<()> {
    if before.iter().any(|entry| entry.name == name) {
        return Err(BundleError::format(name, "stands twice in the archive"));
    }
    if before.len() >= MOST_FILES {
        let message = format!("more than {MOST_FILES} files");
        return Err(BundleError::new(BundleErrorKind::Limit, "archive", message));
    }
    match before {
        [] if name == MANIFEST => Ok(()),
        [] => Err(BundleError::format(name, format!("is the first file, wanted {MANIFEST}"))),
        [_, .., last] if last.name.as_str() > name => {
            Err(BundleError::format(name, format!("stands behind {}: wanted ascending order", last.name)))
        }
        _ => Ok(()),
    }
}

fn expect_directory(reader: &mut (impl Read + Seek), entries: &[Entry], length: u64) -> Result<()> {
    let mut at = entries.last().map_or(0, Entry::end);
    for part in directory(entries) {
        let there = (part.bytes.len() as u64).min(length.saturating_sub(at));
        let mut found = vec![0; there as usize];
        read_at(reader, at, length, &mut found)?;
        part.expect(&found)?;
        if found.len() < part.bytes.len() {
            let message = format!("the archive ends here, at byte {length}: it is truncated");
            return Err(BundleError::format(part.place, message));
        }
        at += there;
    }
    match length - at {
        0 => Ok(()),
        more => Err(BundleError::format("archive", format!("byte {at}: {more} bytes behind its end"))),
    }
}

/// Fills `out` from that place of an archive.
fn read_at(reader: &mut (impl Read + Seek), at: u64, length: u64, out: &mut [u8]) -> Result<()> {
    if at.saturating_add(out.len() as u64) > length {
        let message =
            format!("is truncated: it ends at byte {length}, within a header that begins at byte {at}");
        return Err(BundleError::format("archive", message));
    }
    let read = |reader: &mut dyn ReadSeek, out: &mut [u8]| -> io::Result<()> {
        reader.seek(SeekFrom::Start(at))?;
        reader.read_exact(out)
    };
    read(reader, out).map_err(|error| BundleError::io(format_args!("archive: byte {at}"), &error))
}

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}
