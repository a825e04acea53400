//! Files that others made.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Error, ErrorKind, Read as _};
use std::path::Path;

use crate::kind::expect_regular;

/// An open file, and what the system says about it.
#[derive(Debug)]
pub struct Opened {
    /// At its beginning.
    pub file: File,
    /// Of the open file, not of what lies at its path by now.
    pub metadata: Metadata,
}

impl Opened {
    /// Checks the length of the file.
    ///
    /// # Errors
    /// [`ErrorKind::FileTooLarge`] with the length and the limit.
    pub fn expect_at_most(&self, most_bytes: u64) -> io::Result<()> {
        match self.metadata.len() {
            length if length <= most_bytes => Ok(()),
            length => Err(too_large(&format!("{length} bytes"), most_bytes)),
        }
    }

    /// All bytes of the file.
    ///
    /// # Errors
    /// When there are more than `most_bytes`, no memory holds them, or they cannot be read.
    pub fn read(self, most_bytes: u64) -> io::Result<Vec<u8>> {
        self.expect_at_most(most_bytes)?;
        let mut bytes = Vec::new();
        let length = usize::try_from(self.metadata.len()).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(length.saturating_add(1)).map_err(|_| {
            Error::new(ErrorKind::OutOfMemory, format!("there is no memory for its {length} bytes"))
        })?;
        // It may have grown since: one byte more than allowed is enough to notice.
        self.file.take(most_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        match bytes.len() as u64 <= most_bytes {
            true => Ok(bytes),
            false => Err(too_large("more bytes", most_bytes)),
        }
    }
}

fn too_large(found: &str, most_bytes: u64) -> Error {
    Error::new(ErrorKind::FileTooLarge, format!("has {found}, wanted at most {most_bytes}"))
}

/// Opens a regular file for reading, through links too. It never waits.
///
/// # Errors
/// Says what the path leads to where that is no regular file; else what the system says.
pub fn open(path: &Path) -> io::Result<Opened> {
    // Asked before: opening a device may do something.
    expect_regular(&fs::metadata(path)?)?;
    opened(path, &without_waiting(0))
}

/// Opens a regular file as [`open`] does, where the path itself is no symbolic link.
///
/// # Errors
/// Those of [`open`], and for a link.
pub fn open_unlinked(path: &Path) -> io::Result<Opened> {
    expect_regular(&fs::symlink_metadata(path)?)?;
    opened(path, &without_waiting(NO_LINK))
}

/// All bytes of a regular file.
///
/// # Errors
/// Those of [`open`], and when there are more than `most_bytes`.
pub fn read(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    open(path)?.read(most_bytes)
}

/// All bytes of a regular file whose path is no symbolic link.
///
/// # Errors
/// Those of [`open_unlinked`], and when there are more than `most_bytes`.
pub fn read_unlinked(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    open_unlinked(path)?.read(most_bytes)
}

/// The text of a regular file.
///
/// # Errors
/// Those of [`read`]; [`ErrorKind::InvalidData`] where it is not UTF-8.
pub fn read_text(path: &Path, most_bytes: u64) -> io::Result<String> {
    String::from_utf8(read(path, most_bytes)?)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "is not text in UTF-8"))
}

fn opened(path: &Path, options: &OpenOptions) -> io::Result<Opened> {
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    expect_regular(&metadata)?;
    Ok(Opened { file, metadata })
}

#[cfg(unix)]
pub(crate) const NO_LINK: i32 = libc::O_NOFOLLOW;
#[cfg(not(unix))]
pub(crate) const NO_LINK: i32 = 0;

/// Reading, without waiting for the other end of a FIFO. (The standard library closes files when another program is
/// started.)
#[cfg(unix)]
fn without_waiting(flags: i32) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags);
    options
}

#[cfg(not(unix))]
fn without_waiting(_flags: i32) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    options
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    /// Whoever writes into it comes never: opening it in the usual way would wait for ever.
    fn fifo(folder: &Path) -> PathBuf {
        let path = folder.join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[test]
    fn what_is_no_regular_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (link, socket) = (folder.path().join("link"), folder.path().join("socket"));
        std::os::unix::fs::symlink(fifo(folder.path()), &link).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        for (path, found) in [
            (folder.path(), "is a folder, wanted a regular file"),
            (&folder.path().join("fifo"), "is a FIFO (a named pipe), wanted a regular file"),
            (&link, "is a FIFO (a named pipe), wanted a regular file"),
            (&socket, "is a socket, wanted a regular file"),
            (Path::new("/dev/zero"), "is a device, wanted a regular file"),
        ] {
            assert_eq!(open(path).unwrap_err().to_string(), found);
            assert_eq!(read(path, 10).unwrap_err().to_string(), found);
        }
        let missing = open(&folder.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    /// Between the question and the opening, a file may become a FIFO.
    #[test]
    fn opening_never_waits() {
        let folder = tempfile::tempdir().unwrap();
        let error = opened(&fifo(folder.path()), &without_waiting(0)).unwrap_err().to_string();
        assert!(error.starts_with("is a FIFO"), "{error}");
    }

    #[test]
    fn links_are_followed_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_text(&link, 4).unwrap(), "text");
        assert_eq!(read_unlinked(&file, 4).unwrap(), b"text");
        let error = open_unlinked(&link).unwrap_err().to_string();
        assert_eq!(error, "is a symbolic link, wanted a regular file");
        // A link that came after the question.
        assert!(opened(&link, &without_waiting(NO_LINK)).is_err());
    }

    #[test]
    fn more_bytes_than_allowed_are_an_error_before_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 33).unwrap();
        let error = read(&path, 1 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "has 8589934592 bytes, wanted at most 1048576");
        // Files of /proc say that they are empty.
        let error = read(Path::new("/proc/self/maps"), 10).unwrap_err().to_string();
        assert_eq!(error, "has more bytes, wanted at most 10");
        let error = read_text(Path::new("/proc/self/auxv"), 1 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
