//! What goes wrong with a run folder.

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
    /// A new run would mix its files with others.
    #[error(
        "{} is not empty: give --resume to go on with the run there, or name a folder that does not exist yet",
        path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to go on with.
    #[error("{} holds no run (no config.toml there): start it without --resume", path.display())]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// Another process works in the folder.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The run was started with another configuration.
    #[error(
        "{} was started with another configuration; go on with that one, or start a new run in another folder:\n  {}",
        path.display(), differences.join("\n  ")
    )]
    Different {
        /// The folder.
        path: PathBuf,
        /// One line for each key: its name, the value then and now.
        differences: Vec<String>,
    },
    /// A configuration is no TOML.
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
