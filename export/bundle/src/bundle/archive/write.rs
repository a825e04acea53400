//! Writes an archive.

use std::io::{self, Write};

use super::layout::{Entry, MOST_BYTES, directory};
use crate::bundle::error::{BundleError, BundleErrorKind, Result};

/// Writes files, by name and bytes, in the order in which they are given.
///
/// # Errors
/// [`BundleErrorKind::Limit`] when they are larger than a ZIP file without extensions can be; `out`'s.
pub(in crate::bundle) fn write_archive<'f>(
    files: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    out: &mut dyn Write,
) -> Result<()> {
    let files: Vec<(&str, &[u8])> = files.into_iter().collect();
    let mut entries: Vec<Entry> = Vec::new();
    for (name, bytes) in &files {
        let header = entries.last().map_or(0, Entry::end);
        let (name, length) = ((*name).to_owned(), bytes.len() as u64);
        let entry = Entry { name, crc32: crc32fast::hash(bytes), length, header };
        if entry.end() > MOST_BYTES {
            let message = format!("a bundle in one file has at most {MOST_BYTES} bytes: write a folder");
            return Err(BundleError::new(BundleErrorKind::Limit, &entry.name, message));
        }
        entries.push(entry);
    }
    write_parts(&entries, &files, out).map_err(|error| BundleError::io("cannot be written", &error))
}

fn write_parts(entries: &[Entry], files: &[(&str, &[u8])], out: &mut dyn Write) -> io::Result<()> {
    for (entry, (_, bytes)) in entries.iter().zip(files) {
        out.write_all(&entry.local_header())?;
        out.write_all(bytes)?;
    }
    directory(entries).iter().try_for_each(|part| out.write_all(&part.bytes))
}
