//! Files of a set that may be more than a process may have open at once: some stay open, the others are opened when they are read.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::shared_file::SharedFile;
use crate::error::DataError;
use crate::input::{FileStamp, open_file};

/// Files that stay open at most, where the system does not say how many a process may have.
const USUAL: usize = 256;

/// Files with what they were like when the set was opened. Those that were opened last stay open, half as many as the process may
/// have: a set of a thousand shards is opened a thousand times, not once for each of a million images.
pub(crate) struct OpenFiles {
    files: Vec<(PathBuf, FileStamp)>,
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    files: HashMap<usize, Arc<SharedFile>>,
    /// The first one was opened first.
    order: VecDeque<usize>,
}

impl Default for OpenFiles {
    fn default() -> Self {
        Self::keeping(limit())
    }
}

impl OpenFiles {
    /// None yet, of which so many stay open, at least one.
    pub(crate) fn keeping(most: usize) -> Self {
        Self { files: Vec::new(), most, kept: Mutex::default() }
    }

    /// Adds a file, and returns its index.
    pub(crate) fn push(&mut self, path: PathBuf, stamp: FileStamp) -> usize {
        self.files.push((path, stamp));
        self.files.len() - 1
    }

    /// Files in the set.
    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn path(&self, file: usize) -> Option<&Path> {
        self.files.get(file).map(|(path, _)| path.as_path())
    }

    /// Fills `out` from a place of a file, which must be what it was.
    pub(crate) fn read(&self, file: usize, offset: u64, out: &mut [u8]) -> Result<(), DataError> {
        self.open(file)?.read_bytes(offset, out)
    }

    fn open(&self, file: usize) -> Result<Arc<SharedFile>, DataError> {
        if let Some(open) = self.kept().files.get(&file) {
            return Ok(Arc::clone(open));
        }
        // Without the lock: other threads read on. Two may open the same file; one of the two is kept.
        let no_file = || DataError::NoSuchImage { image: file, count: self.files.len() };
        let (path, stamp) = self.files.get(file).ok_or_else(no_file)?;
        let (opened, found) = open_file(path)?;
        if found != *stamp {
            return Err(DataError::Changed { path: path.clone() });
        }
        let open = Arc::new(SharedFile::new(path.clone(), opened, *stamp));
        let mut kept = self.kept();
        if kept.files.insert(file, Arc::clone(&open)).is_none() {
            kept.order.push_back(file);
        }
        if kept.files.len() > self.most.max(1)
            && let Some(first) = kept.order.pop_front()
        {
            kept.files.remove(&first);
        }
        Ok(open)
    }

    /// A poisoned lock is safe to use: both parts change without a panic in between.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Half of the files that this process may have open.
fn limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let limits = mimir_files::read_text(Path::new("/proc/self/limits"), 1 << 16).unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        soft.map_or(USUAL, |soft| soft / 2).clamp(1, 1 << 16)
    })
}

impl fmt::Debug for OpenFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFiles").field("count", &self.files.len()).finish_non_exhaustive()
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    /// Files of one byte each, their own number.
    fn files(folder: &Path, count: u8, most: usize) -> OpenFiles {
        let mut files = OpenFiles::keeping(most);
        for number in 0..count {
            let path = folder.join(number.to_string());
            std::fs::write(&path, [number]).unwrap();
            let stamp = open_file(&path).unwrap().1;
            files.push(path, stamp);
        }
        files
    }

    fn read(files: &OpenFiles, file: usize) -> Result<u8, DataError> {
        let mut byte = [0];
        files.read(file, 0, &mut byte)?;
        Ok(byte[0])
    }

    /// A file without a name can only be read where it is open.
    #[test]
    fn files_are_opened_once_while_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), 3, 2);
        for file in 0..3 {
            assert_eq!(read(&files, file).unwrap(), file as u8);
        }
        for file in 0..3 {
            std::fs::remove_file(folder.path().join(file.to_string())).unwrap();
        }
        assert!(matches!(read(&files, 0), Err(DataError::Io { .. })), "the first made room for the third");
        assert_eq!([read(&files, 2).unwrap(), read(&files, 1).unwrap()], [2, 1]);
        assert!(matches!(read(&files, 3), Err(DataError::NoSuchImage { .. })));
    }

    #[test]
    fn another_file_in_its_place_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), 2, 8);
        assert_eq!(read(&files, 1).unwrap(), 1);
        for file in ["0", "1"] {
            std::fs::write(folder.path().join(file), "longer").unwrap();
        }
        for file in [0, 1] {
            assert!(matches!(read(&files, file), Err(DataError::Changed { .. })), "{file}");
        }
    }

    #[test]
    fn half_of_what_is_allowed_stays_open() {
        assert!((1..=1 << 16).contains(&limit()), "{}", limit());
    }
}
