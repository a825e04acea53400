//! The bytes of the whole file: preamble, then frames with one record each. Pure functions; docs/journal.md is the
//! specification.

use super::header::Header;
use super::record::Record;

/// The version of the format that this crate reads and writes.
pub const JOURNAL_VERSION: u32 = 4;

/// How every journal begins.
pub(super) const MAGIC: [u8; 8] = *b"MIMIRJNL";

/// Longest header, in bytes of JSON.
pub(super) const LONGEST_HEADER: usize = 1 << 20;

/// Version, length and checksum, behind the magic.
const FIXED: usize = 12;

/// Bytes of a frame before its record, and behind it.
const BEFORE: usize = 2;
const BEHIND: usize = 4;

/// What a journal holds.
#[derive(Debug, PartialEq)]
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) records: Vec<Record>,
    /// Where the last sound record ends, in bytes; what lies behind was cut off.
    pub(super) end: u64,
}

/// Why bytes are no journal that this program reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Damage {
    NotAJournal,
    Version(u32),
    Header(&'static str),
    HeaderLength(usize),
    Record { offset: usize, reason: &'static str },
}

/// Everything before the first record.
pub(super) fn preamble(header: &Header) -> Result<Vec<u8>, Damage> {
    let json = serde_json::to_vec(header).map_err(|_| Damage::Header("it cannot be written as JSON"))?;
    if json.len() > LONGEST_HEADER {
        return Err(Damage::HeaderLength(json.len()));
    }
    let version = JOURNAL_VERSION.to_le_bytes();
    let length = (json.len() as u32).to_le_bytes();
    let checksum = header_checksum(version, length, &json).to_le_bytes();
    Ok([&MAGIC, &version[..], &length, &checksum, &json].concat())
}

/// One record with what surrounds it.
pub(super) fn frame(record: &Record) -> Vec<u8> {
    const { assert!(Record::LONGEST <= u8::MAX as usize) };
    let payload = record.encode();
    let length = payload.len() as u8;
    let mut bytes = Vec::with_capacity(BEFORE + payload.len() + BEHIND);
    bytes.extend([length, !length]);
    bytes.extend(payload);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Reads a whole journal. Never panics, whatever the bytes.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, Damage> {
    let (header, mut end) = read_header(bytes)?;
    let mut records = Vec::new();
    loop {
        match next(&bytes[end..]) {
            NextFrame::Record(record, length) => {
                records.push(record);
                end += length;
            }
            NextFrame::CutOff => return Ok(Contents { header, records, end: end as u64 }),
            NextFrame::Damaged(reason) => return Err(Damage::Record { offset: end, reason }),
        }
    }
}

/// The header and where it ends.
fn read_header(bytes: &[u8]) -> Result<(Header, usize), Damage> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(Damage::NotAJournal)?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or(Damage::Header("it is truncated"))?;
    // Before the checksum, which another version may place elsewhere.
    if u32::from_le_bytes(*version) != JOURNAL_VERSION {
        return Err(Damage::Version(u32::from_le_bytes(*version)));
    }
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(Damage::Header("it is truncated"))?;
    let (checksum, rest) = rest.split_first_chunk::<4>().ok_or(Damage::Header("it is truncated"))?;
    let json_length = u32::from_le_bytes(*length) as usize;
    let json = rest.get(..json_length).ok_or(Damage::Header("it is truncated"))?;
    if json_length > LONGEST_HEADER {
        return Err(Damage::HeaderLength(json_length));
    }
    if header_checksum(*version, *length, json) != u32::from_le_bytes(*checksum) {
        return Err(Damage::Header("its checksum does not match"));
    }
    let header = serde_json::from_slice(json).map_err(|_| Damage::Header("it is not a list of fields"))?;
    Ok((header, MAGIC.len() + FIXED + json_length))
}

fn header_checksum(version: [u8; 4], length: [u8; 4], json: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&version);
    hasher.update(&length);
    hasher.update(json);
    hasher.finalize()
}

/// What stands at the start of some bytes.
enum NextFrame {
    /// A sound record, and the length of its frame.
    Record(Record, usize),
    /// Nothing, or the start of a frame that was cut off.
    CutOff,
    /// Something that a run that was cut off does not leave behind.
    Damaged(&'static str),
}

fn next(bytes: &[u8]) -> NextFrame {
    let [length, complement, ..] = *bytes else {
        return NextFrame::CutOff;
    };
    let payload_length = usize::from(length);
    if complement != !length || !(Record::SHORTEST..=Record::LONGEST).contains(&payload_length) {
        return cut_off_or(only_zeros(&bytes[1..]), "the length of a record is damaged");
    }
    let Some((covered, rest)) = bytes.split_at_checked(BEFORE + payload_length) else {
        return NextFrame::CutOff;
    };
    let Some((checksum, behind)) = rest.split_first_chunk::<BEHIND>() else {
        return NextFrame::CutOff;
    };
    if crc32fast::hash(covered) != u32::from_le_bytes(*checksum) {
        return cut_off_or(only_zeros(behind), "the checksum of a record does not match");
    }
    match Record::decode(&covered[BEFORE..]) {
        Some(record) => NextFrame::Record(record, covered.len() + BEHIND),
        None => NextFrame::Damaged("an unknown kind of record"),
    }
}

fn cut_off_or(cut_off: bool, reason: &'static str) -> NextFrame {
    if cut_off { NextFrame::CutOff } else { NextFrame::Damaged(reason) }
}

/// After a loss of power a file system may keep the new length of a file without its last bytes, which then are zeros.
/// True of no bytes at all: a record with nothing behind it is the last.
fn only_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
