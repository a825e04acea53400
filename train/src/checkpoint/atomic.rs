//! Atomic file writes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use mimir_files::OursWhere;

/// Writes a temporary file in the same folder, syncs it to disk, and renames it to `path`.
///
/// A temporary file that a killed process left behind is overwritten. Two processes must not write the same `path` at
/// once: run folders are locked.
///
/// # Errors
/// Those of `write`, and those of the operating system through `failed`; then the file that was at `path` is untouched,
/// and nothing stays beside it.
pub(crate) fn write_atomically<E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    write_through(path, emptied, failed, write)
}

/// A writer whose data can be synced to disk.
trait Durable: Write {
    fn sync(&mut self) -> io::Result<()>;
}

impl Durable for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

fn write_through<W: Durable, E>(
    path: &Path,
    open: impl FnOnce(&Path) -> io::Result<W>,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let temporary = temporary_path(path).map_err(&failed)?;
    let result =
        fill(&temporary, open, &failed, write).and_then(|()| fs::rename(&temporary, path).map_err(&failed));
    if result.is_err() {
        // What failed is in the result; a second failure here would hide it.
        let _ = fs::remove_file(&temporary);
    }
    result?;
    mimir_files::sync_name(path).map_err(failed)
}

fn fill<W: Durable, E>(
    temporary: &Path,
    open: impl FnOnce(&Path) -> io::Result<W>,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffered = BufWriter::with_capacity(1 << 20, open(temporary).map_err(&failed)?);
    write(&mut buffered)?;
    buffered.flush().and_then(|()| buffered.get_mut().sync()).map_err(failed)
}

/// `.NAME.partial` in the same folder, so that the rename stays inside one file system.
fn temporary_path(path: &Path) -> io::Result<PathBuf> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".partial");
    Ok(path.with_file_name(hidden))
}

/// A new file, or the one that a killed process left behind, without its bytes.
fn emptied(temporary: &Path) -> io::Result<File> {
    let file = mimir_files::open_ours(temporary, OursWhere::Wanted)?;
    file.set_len(0)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct SmallDisk {
        file: File,
        room: usize,
    }

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = self.file.write(&bytes[..bytes.len().min(self.room)])?;
            self.room -= written;
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }

    impl Durable for SmallDisk {
        fn sync(&mut self) -> io::Result<()> {
            self.file.sync_all()
        }
    }

    fn same(error: io::Error) -> io::Error {
        error
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_disk_leaves_the_file_that_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        write_atomically(&path, same, |sink| sink.write_all(b"first")).unwrap();
        let data = vec![7; 3 << 20];
        for room in [0, 1, 1 << 20, (3 << 20) - 1] {
            let open = |temporary: &Path| Ok(SmallDisk { file: File::create(temporary)?, room });
            let error = write_through(&path, open, same, |sink| sink.write_all(&data)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert_eq!(fs::read(&path).unwrap(), b"first");
            assert_eq!(names(folder.path()), ["last.safetensors"]);
        }
        let open = |temporary: &Path| Ok(SmallDisk { file: File::create(temporary)?, room: 3 << 20 });
        write_through(&path, open, same, |sink| sink.write_all(&data)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), data);
        assert_eq!(names(folder.path()), ["last.safetensors"]);
    }

    #[test]
    fn what_a_killed_process_left_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(folder.path().join(".x.partial"), [0; 100]).unwrap();
        write_atomically(&path, same, |sink| sink.write_all(b"whole")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["x"]);
    }
}
