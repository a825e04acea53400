//! What a path leads to, in words.

use std::fmt;
use std::fs::Metadata;
use std::io::{Error, ErrorKind, Result};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Bytes of a known number.
    Regular,
    /// A folder.
    Folder,
    /// A symbolic link, where links were not followed.
    Link,
    /// A pipe with a name: opening it waits for its other end.
    Fifo,
    /// The end of a connection.
    Socket,
    /// A terminal, a disk, `/dev/zero`: reading it may have no end.
    Device,
    /// What this system does not name.
    Unknown,
}

impl FileKind {
    /// The kind that the system reports.
    pub fn of(metadata: &Metadata) -> Self {
        let kind = metadata.file_type();
        if kind.is_file() {
            Self::Regular
        } else if kind.is_dir() {
            Self::Folder
        } else if kind.is_symlink() {
            Self::Link
        } else {
            special(kind)
        }
    }
}

#[cfg(unix)]
fn special(kind: std::fs::FileType) -> FileKind {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_fifo() {
        FileKind::Fifo
    } else if kind.is_socket() {
        FileKind::Socket
    } else if kind.is_char_device() || kind.is_block_device() {
        FileKind::Device
    } else {
        FileKind::Unknown
    }
}

#[cfg(not(unix))]
fn special(_kind: std::fs::FileType) -> FileKind {
    FileKind::Unknown
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regular => "a regular file",
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Fifo => "a FIFO (a named pipe)",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Unknown => "no regular file",
        })
    }
}

/// Checks that this is a regular file.
///
/// # Errors
/// Says what it is: [`ErrorKind::IsADirectory`] for a folder, [`ErrorKind::InvalidInput`] for the rest.
pub fn expect_regular(metadata: &Metadata) -> Result<()> {
    let kind = match FileKind::of(metadata) {
        FileKind::Regular => return Ok(()),
        kind => kind,
    };
    let error = if kind == FileKind::Folder { ErrorKind::IsADirectory } else { ErrorKind::InvalidInput };
    Err(Error::new(error, format!("is {kind}, wanted a regular file")))
}
