//! A bundle as a folder.

use std::fs::{self, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use mimir_files::Opened;

use super::container::{Container, Listed};
use super::error::{BundleError, BundleErrorKind, Result};
use super::names::{CERTIFICATES, FileKind};
use super::reading::{ReadBytes, read_exactly};

/// The most files.
const MOST_FILES: usize = 1000;

/// The beginning of the names of files that are being written; a bundle has none.
pub(super) const TEMPORARY: &str = ".mimir-writing-";

/// The regular files of a folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    files: Vec<(Listed, Metadata)>,
}

impl Folder {
    /// Lists a folder. No link is followed, and nothing is opened.
    ///
    /// # Errors
    /// When something in it is not a file of a bundle.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let mut folder = Self { path: path.to_owned(), files: Vec::new() };
        folder.list("")?;
        folder.files.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        Ok(folder)
    }

    /// Lists the folder below the bundle whose names begin so.
    fn list(&mut self, prefix: &str) -> Result<()> {
        let io = |error: std::io::Error| {
            BundleError::io(if prefix.is_empty() { "folder" } else { prefix }, &error)
        };
        for entry in fs::read_dir(self.path.join(prefix)).map_err(io)? {
            let entry = entry.map_err(io)?;
            let file_name = entry.file_name();
            let shown = format!("{prefix}{}", file_name.to_string_lossy());
            if shown.starts_with(TEMPORARY) {
                let message = "is left of a write that is going on or was interrupted: if none is, remove it";
                return Err(BundleError::format(shown, message));
            }
            // Of the entry itself, not of what a link leads to.
            let metadata =
                fs::symlink_metadata(entry.path()).map_err(|error| BundleError::io(&shown, &error))?;
            let name = file_name
                .to_str()
                .ok_or_else(|| BundleError::format(&shown, "is a name that is not ASCII"))?;
            if metadata.is_dir() && prefix.is_empty() && name == CERTIFICATES {
                self.list(&format!("{CERTIFICATES}/"))?;
                continue;
            }
            let name = format!("{prefix}{name}");
            self.add(name, metadata)?;
        }
        Ok(())
    }

    fn add(&mut self, name: String, metadata: Metadata) -> Result<()> {
        mimir_files::expect_regular(&metadata)
            .map_err(|error| BundleError::format(name.escape_debug(), error))?;
        FileKind::of(&name)?;
        if self.files.len() >= MOST_FILES {
            return Err(BundleError::new(
                BundleErrorKind::Limit,
                "folder",
                format!("more than {MOST_FILES} files"),
            ));
        }
        self.files.push((Listed { name, bytes: metadata.len() }, metadata));
        Ok(())
    }
}

impl Container for Folder {
    fn files(&self) -> Vec<Listed> {
        self.files.iter().map(|(listed, _)| listed.clone()).collect()
    }

    fn read(&mut self, index: usize) -> Result<ReadBytes> {
        let (Listed { name, bytes }, listed) = &self.files[index];
        let io = |error: std::io::Error| BundleError::io(name, &error);
        let Opened { mut file, metadata } = mimir_files::open_unlinked(&self.path.join(name)).map_err(io)?;
        if !is_same(&metadata, listed) {
            return Err(BundleError::mismatch(name, "was exchanged while the bundle was read"));
        }
        let read = read_exactly(&mut file, *bytes).map_err(io)?;
        match file.read(&mut [0]).map_err(io)? {
            0 => Ok(read),
            _ => Err(BundleError::mismatch(name, "grew while the bundle was read")),
        }
    }
}

/// Whether an open file is the one that was listed.
#[cfg(unix)]
pub(super) fn is_same(open: &Metadata, listed: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    open.is_file() && (open.dev(), open.ino(), open.len()) == (listed.dev(), listed.ino(), listed.len())
}

/// Whether an open file can be the one that was listed.
#[cfg(not(unix))]
pub(super) fn is_same(open: &Metadata, listed: &Metadata) -> bool {
    open.is_file() && open.len() == listed.len()
}
