//! Files for readers that take paths.

use std::path::PathBuf;

use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = made();
}

/// In memory where the system offers that.
fn made() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}

/// A path of this thread for a file or folder of that name.
pub(crate) fn path(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.path().join(name))
}

/// A file of that name with these bytes, in the place of the one before.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = path(name);
    std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
    std::fs::write(&path, bytes).expect("a file");
    path
}
