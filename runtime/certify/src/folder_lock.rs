//! One run a report folder: a lock of the operating system, which ends with the process, however that ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mimir_files::OursWhere;

/// The file that is locked. It is removed in the end; where a killed run has left it, it locks nothing.
const LOCK: &str = ".mimir-lock";

/// How often a lock is tried that another process holds, and the time between: while a process starts another, the
/// child holds the parent's locks for a moment.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// The lock of a folder, until it is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    path: PathBuf,
    /// Closing it gives the lock back.
    _file: File,
}

impl FolderLock {
    /// Locks the folder; `None` where another run has it.
    ///
    /// # Errors
    /// When the file of the lock cannot be made, or its file system knows no locks.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(LOCK);
        for attempt in 0..ATTEMPTS {
            let file = mimir_files::open_ours(&path, OursWhere::Wanted)?;
            match file.try_lock() {
                // The run that had it may have removed the file since: its lock is then of no use.
                Ok(()) if is_at(&file, &path) => return Ok(Some(Self { path, _file: file })),
                Err(TryLockError::WouldBlock) if attempt + 1 < ATTEMPTS => std::thread::sleep(PAUSE),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Before the lock is given back: whoever opened the file by then sees that it is gone. Where the file stays, no
        // harm is done.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the path still leads to that file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), path.metadata()), (Ok(open), Ok(named)) if place(&open) == place(&named))
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap().unwrap();
        assert!(FolderLock::take(folder.path()).unwrap().is_none());
        drop(first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(FolderLock::take(folder.path()).unwrap().is_some());
    }

    /// The file of a run that was killed: nobody holds its lock.
    #[test]
    fn a_file_that_was_left_behind_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LOCK), b"").unwrap();
        assert!(FolderLock::take(folder.path()).unwrap().is_some());
    }

    #[test]
    fn many_at_once_never_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        let order = std::sync::atomic::Ordering::SeqCst;
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let Some(lock) = FolderLock::take(folder.path()).unwrap() else { continue };
                        assert_eq!(inside.fetch_add(1, order), 0);
                        inside.fetch_sub(1, order);
                        drop(lock);
                    }
                });
            }
        });
    }
}
