//! The bytes of an archive that are not of its files.
//!
//! Fields are those of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory) and 4.3.16
//! (its end).

use crate::bundle::error::{BundleError, Result};

/// The data of every file begins at a multiple of so many bytes, so that it can be mapped by itself.
pub(super) const ALIGNMENT: u64 = 4096;

/// The first bytes of a local header.
pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// The first bytes of an entry of the central directory.
pub(super) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
/// The first bytes of its end.
const END: [u8; 4] = *b"PK\x05\x06";

/// Bytes of a local header before the name.
pub(super) const LOCAL_BYTES: usize = 30;
/// Bytes of an entry of the central directory before the name.
const CENTRAL_BYTES: usize = 46;
/// Bytes of the end.
const END_BYTES: usize = 22;

/// Version 1.0 of the format: stored files and nothing else.
const VERSION: u16 = 10;
/// 1 January 1980, the first day that there is.
const DATE: u16 = 0x21;
/// The extra field that `zipalign` pads with: the alignment, then zeros.
const PADDING: u16 = 0xD935;
/// Its bytes without zeros.
const PADDING_BYTES: u64 = 6;

/// The most bytes of an archive: what 32 bits can say, without the value that points to a ZIP64 record.
pub(super) const MOST_BYTES: u64 = u32::MAX as u64 - 1;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) crc32: u32,
    /// Bytes of its data.
    pub(super) length: u64,
    /// Where its local header begins.
    pub(super) header: u64,
}

impl Entry {
    /// Where its data begins.
    pub(super) fn data(&self) -> u64 {
        self.after_name() + self.extra_bytes()
    }

    /// Where its data ends, and the next header begins.
    pub(super) fn end(&self) -> u64 {
        self.data().saturating_add(self.length)
    }

    fn after_name(&self) -> u64 {
        self.header + LOCAL_BYTES as u64 + self.name.len() as u64
    }

    fn extra_bytes(&self) -> u64 {
        let least = self.after_name() + PADDING_BYTES;
        least.next_multiple_of(ALIGNMENT) - self.after_name()
    }

    /// The local header, with name and padding. Lengths fit their fields: [`MOST_BYTES`] bounds them.
    pub(super) fn local_header(&self) -> Vec<u8> {
        let mut out = LOCAL.to_vec();
        self.shared_fields(&mut out);
        let extra = self.extra_bytes();
        out.extend((extra as u16).to_le_bytes());
        out.extend(self.name.as_bytes());
        out.extend(PADDING.to_le_bytes());
        out.extend(((extra - 4) as u16).to_le_bytes());
        out.extend((ALIGNMENT as u16).to_le_bytes());
        out.resize(LOCAL_BYTES + self.name.len() + extra as usize, 0);
        out
    }

    /// Version to the length of the name: the same in both headers.
    fn shared_fields(&self, out: &mut Vec<u8>) {
        out.extend(VERSION.to_le_bytes());
        // Flags, method (stored), time.
        out.extend([0; 6]);
        out.extend(DATE.to_le_bytes());
        out.extend(self.crc32.to_le_bytes());
        out.extend((self.length as u32).to_le_bytes());
        out.extend((self.length as u32).to_le_bytes());
        out.extend((self.name.len() as u16).to_le_bytes());
    }

    fn directory_entry(&self) -> Vec<u8> {
        let mut out = CENTRAL.to_vec();
        out.extend(VERSION.to_le_bytes());
        self.shared_fields(&mut out);
        // Lengths of extra field and comment, disk, attributes.
        out.extend([0; 12]);
        out.extend((self.header as u32).to_le_bytes());
        out.extend(self.name.as_bytes());
        out
    }
}

/// What stands behind the last file: an entry for each file, and the end.
pub(super) fn directory(entries: &[Entry]) -> Vec<Part> {
    let mut parts: Vec<Part> = entries
        .iter()
        .map(|entry| Part {
            place: format!("{}: entry of the central directory", entry.name),
            bytes: entry.directory_entry(),
            fields: &CENTRAL_FIELDS,
        })
        .collect();
    let size: usize = parts.iter().map(|part| part.bytes.len()).sum();
    let start = entries.last().map_or(0, Entry::end);
    let mut end = END.to_vec();
    end.extend([0; 4]);
    end.extend((entries.len() as u16).to_le_bytes());
    end.extend((entries.len() as u16).to_le_bytes());
    end.extend((size as u32).to_le_bytes());
    end.extend((start as u32).to_le_bytes());
    end.extend([0; 2]);
    parts.push(Part { place: "end of the central directory".into(), bytes: end, fields: &END_FIELDS });
    parts
}

/// Bytes with fields.
#[derive(Debug)]
pub(super) struct Part {
    /// Which they are.
    pub(super) place: String,
    pub(super) bytes: Vec<u8>,
    fields: &'static [Field],
}

impl Part {
    /// The header before the data of a file.
    pub(super) fn local(entry: &Entry) -> Self {
        let place = format!("{}: local header", entry.name);
        Self { place, bytes: entry.local_header(), fields: &LOCAL_FIELDS }
    }

    /// Checks that a file has these bytes, as far as it goes.
    ///
    /// # Errors
    /// Names the first field that differs.
    pub(super) fn expect(&self, found: &[u8]) -> Result<()> {
        let number =
            |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        for &(name, start, width) in self.fields {
            let of = |bytes: &[u8]| bytes.get(start..start + width).map(number);
            if let (Some(found), Some(wanted)) = (of(found), of(&self.bytes))
                && found != wanted
            {
                let message = format!("{name} is {found}, wanted {wanted}{}", hint(name));
                return Err(BundleError::format(&self.place, message));
            }
        }
        let differs = |at: &usize| found.get(*at).is_some_and(|byte| *byte != self.bytes[*at]);
        match (0..self.bytes.len()).find(differs) {
            Some(at) => {
                let (found, wanted) = (found[at], self.bytes[at]);
                let message = format!("byte {at} is {found:#04x}, wanted {wanted:#04x}");
                Err(BundleError::format(&self.place, message))
            }
            None => Ok(()),
        }
    }
}

fn hint(field: &str) -> &'static str {
    match field {
        "compression method" => ": files are stored, never compressed",
        "flags" => ": files are not encrypted, and their sizes stand before them",
        "length of the comment" => ": there are no comments",
        _ => "",
    }
}

/// Name, place and bytes of a number.
type Field = (&'static str, usize, usize);

const LOCAL_FIELDS: [Field; 10] = [
    ("version needed", 4, 2),
    ("flags", 6, 2),
    ("compression method", 8, 2),
    ("time", 10, 2),
    ("date", 12, 2),
    ("CRC-32", 14, 4),
    ("compressed size", 18, 4),
    ("size", 22, 4),
    ("length of the name", 26, 2),
    ("length of the extra field", 28, 2),
];

const CENTRAL_FIELDS: [Field; 16] = [
    ("version made by", 4, 2),
    ("version needed", 6, 2),
    ("flags", 8, 2),
    ("compression method", 10, 2),
    ("time", 12, 2),
    ("date", 14, 2),
    ("CRC-32", 16, 4),
    ("compressed size", 20, 4),
    ("size", 24, 4),
    ("length of the name", 28, 2),
    ("length of the extra field", 30, 2),
    ("length of the comment", 32, 2),
    ("number of the disk", 34, 2),
    ("internal attributes", 36, 2),
    ("external attributes", 38, 4),
    ("offset of the local header", 42, 4),
];

const END_FIELDS: [Field; 7] = [
    ("number of the disk", 4, 2),
    ("disk of the directory", 6, 2),
    ("entries on this disk", 8, 2),
    ("entries", 10, 2),
    ("size of the directory", 12, 4),
    ("offset of the directory", 16, 4),
    ("length of the comment", 20, 2),
];

const _: () = assert!(CENTRAL_FIELDS[15].1 + 4 == CENTRAL_BYTES && END_FIELDS[6].1 + 2 == END_BYTES);
