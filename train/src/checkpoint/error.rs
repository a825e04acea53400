//! Errors of checkpoint files.

use std::io;
use std::path::{Path, PathBuf};

use super::mismatch::Mismatch;

/// Why a checkpoint could not be written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file could not be written; the previous file is unchanged.
    #[error("{}: could not be written, the previous file is unchanged: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not a safetensors file, or is incomplete.
    #[error("{}: found {found}, wanted {wanted}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What should be there.
        wanted: &'static str,
    },
    /// The file holds the weights of another network.
    #[error("{} does not fit this network\n{mismatch}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// All differences.
        mismatch: Box<Mismatch>,
    },
}

impl CheckpointError {
    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn format(path: &Path, found: &str, wanted: &'static str) -> Self {
        Self::Format { path: path.to_owned(), found: found.to_string(), wanted }
    }
}
