//! What a folder and an archive have in common.

use super::error::Result;
use super::reading::ReadBytes;

/// A file that is there, by its name relative to the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// Files that can be listed before any of them is read.
pub(super) trait Container {
    /// Every file, by a name that files of bundles have.
    fn files(&self) -> Vec<Listed>;

    /// The bytes of the file at that place of the list.
    ///
    /// # Errors
    /// When it cannot be read, or has another length than was listed.
    fn read(&mut self, index: usize) -> Result<ReadBytes>;
}
