//! Files of ours.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Error, ErrorKind, Write as _};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::input::NO_LINK;
use crate::kind::expect_regular;

/// What [`open_ours`] expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OursWhere {
    /// The file is there.
    Exists,
    /// It is made where there is none.
    Wanted,
}

/// Opens a file of ours for reading and writing, as it is. It never waits, and never leads to the file of another: links
/// are refused, symbolic and hard.
///
/// # Errors
/// Says what stands there where that is no regular file with one name; else what the system says.
pub fn open_ours(path: &Path, wanted: OursWhere) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => expect_regular(&metadata)?,
        Err(error) if error.kind() == ErrorKind::NotFound && wanted == OursWhere::Wanted => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(wanted == OursWhere::Wanted).truncate(false);
    flags(&mut options);
    let file = options.open(path)?;
    expect_regular(&file.metadata()?)?;
    expect_one_name(&file)?;
    Ok(file)
}

/// Opens a file of ours, which is made where there is none, for writing behind its end. Otherwise as [`open_ours`].
///
/// # Errors
/// Those of [`open_ours`].
pub fn append_to_ours(path: &Path) -> io::Result<File> {
    drop(open_ours(path, OursWhere::Wanted)?);
    let mut options = OpenOptions::new();
    options.append(true);
    flags(&mut options);
    let file = options.open(path)?;
    expect_regular(&file.metadata()?)?;
    expect_one_name(&file)?;
    Ok(file)
}

/// A new file that only we write to, with that mode from the beginning.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] where there is anything at the path, a link to nowhere too.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

/// Writes a file as a whole or not at all, in the place of what is there: a sibling first, then a rename. A link is
/// replaced, not followed.
///
/// # Errors
/// When the folder cannot be written, or the disk is full. What was there is there still.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, ".mimir-", |file| file.write_all(bytes))
}

/// Writes a file that the user named, as [`replace`] does.
///
/// # Errors
/// Those of [`replace`], and when what is there is no regular file: renaming would remove a device.
pub fn write_named(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) => expect_regular(&metadata)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    replace(path, bytes)
}

/// Waits until the name of a file, new or renamed, is on the disk.
///
/// # Errors
/// What the system says.
#[cfg(unix)]
pub fn sync_name(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Elsewhere folders cannot be opened.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_name(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes a file as [`replace`] does, from a function that fills it; returns what that returns. Until then its name
/// begins with `prefix`.
///
/// # Errors
/// Those of the function too.
pub fn replace_with<T, E: From<Error>>(
    path: &Path,
    prefix: &str,
    fill: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let mut file = temporary_in(folder_of(path), prefix)?;
    let filled = fill(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| E::from(error.error))?;
    Ok(filled)
}

/// A new file in that folder whose name begins so. It is removed when it is dropped, unless it was renamed.
///
/// # Errors
/// When the folder cannot be written.
pub fn temporary_in(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(prefix);
    // As readable as any file that a program writes: the user's mask decides.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn flags(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | NO_LINK);
}

#[cfg(not(unix))]
fn flags(_options: &mut OpenOptions) {
    let _ = NO_LINK;
}

/// What is written to a file is written under all of its names.
#[cfg(unix)]
fn expect_one_name(file: &File) -> io::Result<()> {
    match std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) {
        // None where it was removed since.
        0 | 1 => Ok(()),
        names => {
            let message =
                format!("has {names} names (hard links), wanted one: writing would change the others too");
            Err(Error::new(ErrorKind::InvalidInput, message))
        }
    }
}

#[cfg(not(unix))]
fn expect_one_name(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn files_of_ours_are_made_kept_and_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ours");
        assert_eq!(open_ours(&path, OursWhere::Exists).unwrap_err().kind(), ErrorKind::NotFound);
        open_ours(&path, OursWhere::Wanted).unwrap().write_all(b"kept").unwrap();
        append_to_ours(&path).unwrap().write_all(b" and more").unwrap();
        let mut text = String::new();
        open_ours(&path, OursWhere::Wanted).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "kept and more");
    }

    #[test]
    fn what_links_lead_to_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        symlink(at("victim"), at("link")).unwrap();
        symlink(at("nothing"), at("dangling")).unwrap();
        fs::hard_link(at("victim"), at("twin")).unwrap();
        assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        for (name, found) in [
            ("link", "is a symbolic link, wanted a regular file"),
            ("dangling", "is a symbolic link, wanted a regular file"),
            ("twin", "has 2 names (hard links), wanted one: writing would change the others too"),
            ("fifo", "is a FIFO (a named pipe), wanted a regular file"),
            (".", "is a folder, wanted a regular file"),
        ] {
            for wanted in [OursWhere::Exists, OursWhere::Wanted] {
                assert_eq!(open_ours(&at(name), wanted).unwrap_err().to_string(), found, "{name}");
            }
            assert_eq!(append_to_ours(&at(name)).unwrap_err().to_string(), found, "{name}");
        }
        assert!(!at("nothing").exists());
        // A link that came after the question.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        flags(&mut options);
        assert!(options.open(at("link")).is_err());
        assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        symlink(at("victim"), at("link")).unwrap();
        replace(&at("link"), b"new").unwrap();
        assert_eq!(fs::read_to_string(at("link")).unwrap(), "new");
        assert!(!at("link").is_symlink());
        assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
        let failed = replace_with(&at("link"), ".half-", |_| Err::<(), _>(Error::other("no more")));
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let error = write_named(Path::new("/dev/null"), b"x").unwrap_err().to_string();
        assert_eq!(error, "is a device, wanted a regular file");
        assert_eq!(create_new(&at("link"), 0o600).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
