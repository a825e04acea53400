//! A bundle as one file: a ZIP archive of which there is exactly one for given files.
//!
//! Readers of ZIP files differ in what they see where headers disagree, entries overlap or bytes lie between them. So
//! every byte that is not of a file is decided by the names, sizes and checksums: [`layout`] computes it, the writer
//! writes it, and the reader compares it. What differs in one byte is refused, with the name of the field.

mod layout;
mod read;
mod write;

pub(super) use read::{FileArchive, MemoryArchive};
pub(super) use write::write_archive;

#[cfg(test)]
mod tests;
