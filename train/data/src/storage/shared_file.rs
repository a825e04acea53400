//! A file that several threads read at once, each at its own offset.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::input::{FileStamp, pixel};

#[cfg(unix)]
use positional::Shared;
#[cfg(not(unix))]
use seeking::Shared;

/// An open file whose content must not change.
#[derive(Debug)]
pub(crate) struct SharedFile {
    path: PathBuf,
    stamp: FileStamp,
    file: Shared,
}

impl SharedFile {
    /// `stamp` is what `file` had when it was opened.
    pub(crate) fn new(path: PathBuf, file: File, stamp: FileStamp) -> Self {
        Self { path, stamp, file: Shared::new(file) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads as many bytes as `out` holds values, and makes pixels of them.
    pub(crate) fn read_pixels(&self, offset: u64, out: &mut [f32]) -> Result<(), DataError> {
        self.unless_changed(self.fill(offset, out))
    }

    /// Fills `out`.
    pub(crate) fn read_bytes(&self, offset: u64, out: &mut [u8]) -> Result<(), DataError> {
        self.unless_changed(self.file.read_exact_at(out, offset))
    }

    fn unless_changed(&self, read: io::Result<()>) -> Result<(), DataError> {
        // Checked after the read, so that every change before it is detected; also after a failed read, because "the file
        // changed" explains more than an unexpected end.
        let metadata = self.file.get().metadata().map_err(|source| DataError::io(&self.path, source))?;
        if FileStamp::from_metadata(&metadata) != self.stamp {
            return Err(DataError::Changed { path: self.path.clone() });
        }
        read.map_err(|source| DataError::io(&self.path, source))
    }

    fn fill(&self, mut offset: u64, out: &mut [f32]) -> io::Result<()> {
        // An image of CIFAR-10 or MNIST fits.
        let mut buffer = [0; 4096];
        for values in out.chunks_mut(buffer.len()) {
            let bytes = &mut buffer[..values.len()];
            self.file.read_exact_at(bytes, offset)?;
            values.iter_mut().zip(&*bytes).for_each(|(value, byte)| *value = pixel(*byte));
            offset += bytes.len() as u64;
        }
        Ok(())
    }
}

#[cfg(unix)]
mod positional {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    /// Reads name their place.
    #[derive(Debug)]
    pub(super) struct Shared(File);

    impl Shared {
        pub(super) fn new(file: File) -> Self {
            Self(file)
        }

        pub(super) fn get(&self) -> &File {
            &self.0
        }

        pub(super) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
            self.0.read_exact_at(bytes, offset)
        }
    }
}

#[cfg(any(not(unix), test))]
mod seeking {
    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom};
    use std::sync::{Mutex, PoisonError};

    /// Reads start where the last seek went, so that a seek and its read must not be parted.
    #[derive(Debug)]
    pub(super) struct Shared {
        file: File,
        place: Mutex<()>,
    }

    impl Shared {
        pub(super) fn new(file: File) -> Self {
            Self { file, place: Mutex::new(()) }
        }

        #[cfg(not(unix))]
        pub(super) fn get(&self) -> &File {
            &self.file
        }

        pub(super) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
            // Every read seeks first, so that a reader that panicked leaves nothing behind.
            let _place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            (&self.file).seek(SeekFrom::Start(offset))?;
            (&self.file).read_exact(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::open_file;
    use std::time::{Duration, SystemTime};

    /// Longer than the buffer, of a period that no buffer divides.
    fn bytes() -> Vec<u8> {
        (0..10_000_u32).map(|index| (index % 251) as u8).collect()
    }

    fn on_disk() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        std::fs::write(&path, bytes()).unwrap();
        (folder, path)
    }

    fn shared(path: &Path) -> SharedFile {
        let (file, stamp) = open_file(path).unwrap();
        SharedFile::new(path.to_owned(), file, stamp)
    }

    #[test]
    fn any_place_can_be_read() {
        let (_folder, path) = on_disk();
        let file = shared(&path);
        for (offset, len) in [(0, 10_000), (9_999, 1), (5, 4096), (1, 8193), (10_000, 0)] {
            let mut out = vec![0.0; len];
            file.read_pixels(offset as u64, &mut out).unwrap();
            assert!(out.iter().copied().eq(bytes()[offset..][..len].iter().copied().map(pixel)), "{offset}");
        }
        let error = file.read_pixels(9_999, &mut [0.0; 2]).unwrap_err();
        assert!(matches!(error, DataError::Io { .. }), "{error}");
    }

    #[test]
    fn a_lock_serves_where_reads_have_no_place() {
        let (_folder, path) = on_disk();
        let file = seeking::Shared::new(File::open(path).unwrap());
        let bytes = bytes();
        let read = |start: usize| {
            for offset in (start..9_000).step_by(7) {
                let mut out = [0; 3];
                file.read_exact_at(&mut out, offset as u64).unwrap();
                assert_eq!(out, bytes[offset..][..3]);
            }
        };
        std::thread::scope(|scope| {
            for start in 0..2 {
                scope.spawn(move || read(start));
            }
        });
        assert!(file.read_exact_at(&mut [0; 2], 9_999).is_err());
    }

    #[test]
    fn changes_are_found_before_their_pixels_are_used() {
        let changes: [fn(&File); 3] = [
            |file| file.set_len(100).unwrap(),
            |file| file.set_len(20_000).unwrap(),
            // What writing to it does, however coarse the clock of the file system is.
            |file| file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let (_folder, path) = on_disk();
            let file = shared(&path);
            change(&File::options().write(true).open(&path).unwrap());
            for offset in [0, 5_000] {
                let errors = [
                    file.read_pixels(offset, &mut [0.0; 10]).unwrap_err(),
                    file.read_bytes(offset, &mut [0; 10]).unwrap_err(),
                ];
                for error in errors {
                    assert!(matches!(error, DataError::Changed { .. }), "change {index}: {error}");
                }
            }
        }
    }
}
