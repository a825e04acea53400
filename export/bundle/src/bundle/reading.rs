//! Reads a file once: the bytes that are digested are the bytes that are used.

use std::io::{self, Read};
use std::sync::mpsc;

use bytes::Bytes;

use crate::digest::RunningDigest;

/// Bytes with their checksums.
#[derive(Debug)]
pub(super) struct ReadBytes {
    pub(super) bytes: Bytes,
    /// In lowercase hexadecimal.
    pub(super) sha256: String,
    pub(super) crc32: u32,
}

/// What is read at once: it stays in the cache for whoever digests it.
const BLOCK: usize = 1 << 20;

/// Blocks that wait to be digested, at most.
const WAITING: usize = 8;

/// So many bytes, and no fewer. The caller has checked that they are not too many.
///
/// While one block is read, those before it are digested in another thread: that takes longer than reading. It has copies
/// of them, since the bytes are still being written; memory is asked for in a way that can fail, and no page of it is
/// touched before there is something to write to it.
///
/// # Errors
/// When there are fewer, there is no memory for them, or they cannot be read.
pub(super) fn read_exactly(reader: &mut impl Read, length: u64) -> io::Result<ReadBytes> {
    let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut bytes = reserve(length)?;
    if length <= BLOCK {
        bytes.resize(length, 0);
        reader.read_exact(&mut bytes)?;
        return Ok(digest_in_memory(bytes.into()));
    }
    let (sha256, crc32) = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let (used_sender, used) = mpsc::channel::<Vec<u8>>();
        let digest = scope.spawn(move || {
            let mut digest = RunningDigest::default();
            for block in receiver {
                digest.update(&block);
                // Nobody needs it where everything has been read.
                let _ = used_sender.send(block);
            }
            digest.finish("").sha256
        });
        let mut crc32 = crc32fast::Hasher::new();
        while bytes.len() < length {
            let start = bytes.len();
            // Into what was reserved: this allocates nothing, and writes no byte twice.
            let wanted = BLOCK.min(length - start);
            if reader.by_ref().take(wanted as u64).read_to_end(&mut bytes)? != wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            crc32.update(&bytes[start..]);
            let mut copy = used.try_recv().map_or_else(|_| reserve(BLOCK), Ok)?;
            copy.clear();
            copy.extend_from_slice(&bytes[start..]);
            // It ends only when this thread drops the sender.
            let _ = sender.send(copy);
        }
        drop(sender);
        let sha256 = digest.join().map_err(|_| io::Error::other("the digesting thread panicked"))?;
        Ok::<_, io::Error>((sha256, crc32.finalize()))
    })?;
    Ok(ReadBytes { bytes: bytes.into(), sha256, crc32 })
}

/// Room for so many bytes.
fn reserve(length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match bytes.try_reserve_exact(length) {
        Ok(()) => Ok(bytes),
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::OutOfMemory, format!("there is no memory for {length} bytes")))
        }
    }
}

/// The checksums of bytes that are in memory already.
pub(super) fn digest_in_memory(bytes: Bytes) -> ReadBytes {
    let (mut sha256, mut crc32) = (RunningDigest::default(), crc32fast::Hasher::new());
    for block in bytes.chunks(BLOCK) {
        sha256.update(block);
        crc32.update(block);
    }
    ReadBytes { bytes, sha256: sha256.finish("").sha256, crc32: crc32.finalize() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::digest_bytes;

    #[test]
    fn blocks_give_the_digest_of_the_whole() {
        for length in [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let read = read_exactly(&mut bytes.as_slice(), length as u64).unwrap();
            assert_eq!(read.bytes, bytes, "{length}");
            assert_eq!(read.sha256, digest_bytes(&bytes), "{length}");
            assert_eq!(read.crc32, crc32fast::hash(&bytes), "{length}");
        }
    }

    /// No machine has so much memory: an allocation that aborts would end the process here.
    #[test]
    fn more_bytes_than_there_is_memory_for_are_an_error() {
        for length in [1_u64 << 62, u64::MAX] {
            let error = read_exactly(&mut io::empty(), length).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{length}");
        }
    }

    #[test]
    fn fewer_bytes_are_an_error() {
        for (there, wanted) in [(3, 4), (BLOCK, BLOCK as u64 + 1)] {
            let error = read_exactly(&mut vec![0; there].as_slice(), wanted).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
