//! Parts of a file: all of it is digested, and only they are kept. Of seven gigabytes a model may want thirty kilobytes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;

use bytes::Bytes;

use crate::digest::{FileDigest, RunningDigest};

/// What is read at once: it stays in the processor's cache for the digest.
const BLOCK: u64 = 1 << 20;

/// Ranges of bytes. Those that touch or overlap are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds a range; an empty one is none.
    pub fn add(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        while let Some((&first, &last)) = self.0.range(..=end).next_back().filter(|(_, last)| **last >= start)
        {
            (start, end) = (start.min(first), end.max(last));
            self.0.remove(&first);
        }
        self.0.insert(start, end);
    }

    /// Those within the first `length` bytes, in ascending order.
    fn within(&self, length: u64) -> impl Iterator<Item = Range<u64>> {
        let clipped = self.0.iter().map(move |(start, end)| *start..(*end).min(length));
        clipped.filter(|range| !range.is_empty())
    }
}

/// Parts of a file that are in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Where each begins, in ascending order.
    parts: Vec<(u64, Bytes)>,
}

impl Parts {
    /// A file that is in memory as a whole.
    pub fn whole(bytes: Bytes) -> Self {
        Self { parts: vec![(0, bytes)] }
    }

    /// Reads `length` bytes once, digests all of them under that name, and keeps those of the ranges. No memory is asked for
    /// but theirs, and only where `length` covers them.
    ///
    /// # Errors
    /// When there are fewer bytes or more, there is no memory for the ranges, or the bytes cannot be read.
    pub fn read(
        mut reader: impl Read,
        length: u64,
        wanted: &Ranges,
        name: &str,
    ) -> io::Result<(Self, FileDigest)> {
        let mut parts = wanted.within(length).map(Part::new).collect::<io::Result<Vec<Part>>>()?;
        let mut digest = RunningDigest::default();
        let (mut at, mut complete) = (0, 0);
        let mut block = Vec::new();
        while at < length {
            let next = BLOCK.min(length - at);
            block.clear();
            if reader.by_ref().take(next).read_to_end(&mut block)? as u64 != next {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it shrank while it was read"));
            }
            digest.update(&block);
            let here = at..at + next;
            for part in parts[complete..].iter_mut().take_while(|part| part.range.start < here.end) {
                part.take(&block, &here);
            }
            complete += parts[complete..].iter().take_while(|part| part.range.end <= here.end).count();
            at = here.end;
        }
        if reader.read(&mut [0])? != 0 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it grew while it was read"));
        }
        let parts = parts.into_iter().map(|part| (part.range.start, part.bytes.into())).collect();
        Ok((Self { parts }, digest.finish(name)))
    }

    /// The bytes of a range, where they were kept. They are a view.
    pub fn slice(&self, range: Range<u64>) -> Option<Bytes> {
        let index = self.parts.partition_point(|(start, _)| *start <= range.start).checked_sub(1)?;
        let (start, bytes) = &self.parts[index];
        let place = |at: u64| usize::try_from(at.checked_sub(*start)?).ok();
        let (first, last) = (place(range.start)?, place(range.end)?);
        (first <= last && last <= bytes.len()).then(|| bytes.slice(first..last))
    }

    /// How many bytes are in memory.
    pub fn held(&self) -> usize {
        self.parts.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

/// A part that is being read.
struct Part {
    range: Range<u64>,
    bytes: Vec<u8>,
}

impl Part {
    fn new(range: Range<u64>) -> io::Result<Self> {
        let length = range.end - range.start;
        let mut bytes = Vec::new();
        let reserved = usize::try_from(length).ok().and_then(|length| bytes.try_reserve_exact(length).ok());
        match reserved {
            Some(()) => Ok(Self { range, bytes }),
            None => {
                let message = format!("there is no memory for {length} of its bytes");
                Err(io::Error::new(io::ErrorKind::OutOfMemory, message))
            }
        }
    }

    /// Takes what is its own of a block that lies there in the file. Blocks come one after another.
    fn take(&mut self, block: &[u8], here: &Range<u64>) {
        let start = self.range.start.max(here.start) - here.start;
        let end = self.range.end.min(here.end) - here.start;
        // Both are within the block, whose length is a number of this machine.
        self.bytes.extend_from_slice(&block[start as usize..end as usize]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::digest::digest_bytes;

    fn ranges(wanted: &[(u64, u64)]) -> Ranges {
        let mut ranges = Ranges::default();
        wanted.iter().for_each(|(start, end)| ranges.add(*start..*end));
        ranges
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let cases: [(&[(u64, u64)], &[(u64, u64)]); 5] = [
            (&[(0, 4), (8, 12), (4, 8)], &[(0, 12)]),
            (&[(5, 6), (1, 2), (3, 4)], &[(1, 2), (3, 4), (5, 6)]),
            (&[(5, 6), (1, 2), (3, 4), (0, 9)], &[(0, 9)]),
            (&[(2, 7), (3, 4), (7, 7), (9, 8)], &[(2, 7)]),
            (&[(0, u64::MAX), (u64::MAX - 1, u64::MAX)], &[(0, u64::MAX)]),
        ];
        for (added, found) in cases {
            let wanted: BTreeMap<u64, u64> = found.iter().copied().collect();
            assert_eq!(ranges(added).0, wanted, "{added:?}");
        }
    }

    proptest! {
        #[test]
        fn parts_are_those_of_the_whole(
            length in 0_usize..5000,
            wanted in prop::collection::vec((0_u64..5200, 0_u64..600), 0..12),
            asked in (0_u64..5200, 0_u64..600),
        ) {
            let bytes: Vec<u8> = (0..length).map(|index| (index * 7 % 251) as u8).collect();
            let wanted: Vec<(u64, u64)> = wanted.iter().map(|(start, size)| (*start, start + size)).collect();
            let (parts, digest) =
                Parts::read(bytes.as_slice(), length as u64, &ranges(&wanted), "x").unwrap();
            prop_assert_eq!(digest, FileDigest::new("x", &bytes));
            let there = |range: &Range<u64>| bytes.get(range.start as usize..range.end as usize);
            for (start, end) in &wanted {
                let range = *start..*end;
                if let Some(bytes) = there(&range).filter(|bytes| !bytes.is_empty()) {
                    prop_assert_eq!(&parts.slice(range).unwrap()[..], bytes);
                }
            }
            let asked = asked.0..asked.0 + asked.1;
            if let Some(found) = parts.slice(asked.clone()) {
                prop_assert_eq!(&found[..], there(&asked).unwrap());
            }
        }
    }

    /// Parts that begin, end and lie across the blocks that are read at once.
    #[test]
    fn parts_lie_across_blocks() {
        let length = 3 * BLOCK + 5;
        let bytes: Vec<u8> = (0..length).map(|index| (index % 253) as u8).collect();
        let wanted = [(1, 2), (BLOCK - 1, BLOCK + 1), (2 * BLOCK, 3 * BLOCK), (3 * BLOCK + 4, length)];
        let (parts, digest) = Parts::read(bytes.as_slice(), length, &ranges(&wanted), "x").unwrap();
        assert_eq!(digest.sha256, digest_bytes(&bytes));
        for (start, end) in wanted {
            assert_eq!(parts.slice(start..end).unwrap(), bytes[start as usize..end as usize]);
        }
        assert_eq!(parts.held() as u64, 1 + 2 + BLOCK + 1);
        assert_eq!(parts.slice(0..2), None);
        assert_eq!(Parts::whole(bytes.into()).held() as u64, length);
    }

    #[test]
    fn what_changes_while_it_is_read_is_an_error() {
        for (there, said) in [(9, "shrank"), (11, "grew")] {
            let error = Parts::read(Cursor::new(vec![0; there]), 10, &ranges(&[(0, 10)]), "x").unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn ranges_that_no_memory_holds_are_an_error() {
        let error = Parts::read(io::empty(), u64::MAX, &ranges(&[(1, u64::MAX)]), "x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
}
