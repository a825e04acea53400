//! Errors of run folders.

use std::io;
use std::path::{Path, PathBuf};

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A new run needs an empty folder.
    #[error(
        "{} is not empty: use --resume to continue the run in it, or choose a new folder",
        path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to resume.
    #[error("{} contains no run (config.toml is missing): start without --resume", path.display())]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// Another process uses the folder.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The run was started with another configuration.
    #[error(
        "{} was started with another configuration; resume with that one, or start a new run in another folder:\n  {}",
        path.display(), differences.join("\n  ")
    )]
    Different {
        /// The folder.
        path: PathBuf,
        /// One line for each key: its name, the value then and now.
        differences: Vec<String>,
    },
    /// A configuration is not valid TOML.
    #[error("configuration: {0}")]
    Config(#[from] toml::de::Error),
    /// A line of the log is not one of ours.
    #[error("{}, line {line}: {found}; wanted one JSON object", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        found: String,
    },
}

impl RunError {
    /// For `map_err`.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
