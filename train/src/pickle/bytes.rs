//! The bytes of a pickle from front to back.

use super::error::PickleError;

/// Reads from the front; never past the end.
pub(super) struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    /// Index of the next byte.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], PickleError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.all.len());
        let end = end.ok_or(PickleError::Truncated { at: self.all.len() })?;
        let taken = &self.all[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian unsigned number of `width` bytes, 1 to 8.
    pub(super) fn unsigned(&mut self, width: usize) -> Result<u64, PickleError> {
        Ok(self.take(width)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A length of `width` bytes and as many bytes.
    pub(super) fn counted(&mut self, width: usize) -> Result<&'a [u8], PickleError> {
        let length = self.unsigned(width)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Up to the next line break, which is taken too.
    pub(super) fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let length = self.all[self.at..].iter().position(|byte| *byte == b'\n');
        let line = self.take(length.ok_or(PickleError::Truncated { at: self.all.len() })?)?;
        self.at += 1;
        Ok(line)
    }
}
