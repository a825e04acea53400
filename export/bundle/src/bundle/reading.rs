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

/// So many bytes, and no fewer. The caller has checked that they are not too many.
///
/// While one block is read, the one before it is digested in another thread: that takes longer than reading.
///
/// # Errors
/// When there are fewer, or they cannot be read.
pub(super) fn read_exactly(reader: &mut impl Read, length: u64) -> io::Result<ReadBytes> {
    let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut bytes = vec![0; length];
    if length <= BLOCK {
        reader.read_exact(&mut bytes)?;
        return Ok(digest_in_memory(bytes.into()));
    }
    let (sha256, crc32) = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel::<&[u8]>();
        let digest = scope.spawn(move || {
            let mut digest = RunningDigest::default();
            receiver.iter().for_each(|block| digest.update(block));
            digest.finish("").sha256
        });
        let mut crc32 = crc32fast::Hasher::new();
        for block in bytes.chunks_mut(BLOCK) {
            reader.read_exact(block)?;
            crc32.update(block);
            // It ends only when this thread drops the sender.
            let _ = sender.send(block);
        }
        drop(sender);
        let sha256 = digest.join().map_err(|_| io::Error::other("the digesting thread panicked"))?;
        Ok::<_, io::Error>((sha256, crc32.finalize()))
    })?;
    Ok(ReadBytes { bytes: bytes.into(), sha256, crc32 })
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

    #[test]
    fn fewer_bytes_are_an_error() {
        for (there, wanted) in [(3, 4), (BLOCK, BLOCK as u64 + 1)] {
            let error = read_exactly(&mut vec![0; there].as_slice(), wanted).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
