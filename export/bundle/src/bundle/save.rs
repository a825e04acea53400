//! Writes bundles: a reader sees what was there before, or all of what is written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use tempfile::{Builder, NamedTempFile};

use super::archive::write_archive;
use super::content::{Bundle, BundleCertificate, BundleFile, certificate_file};
use super::error::{BundleError, BundleErrorKind, Result};
use super::folder::TEMPORARY;
use super::names::{CERTIFICATE, CERTIFICATES, EXTENSION, FileKind, MANIFEST, SIGNATURE};
use crate::certificate::Certificate;

impl Bundle {
    /// Writes a new bundle: one file where the name ends in `.mimir`, else a folder. What is there stays there: only an
    /// empty folder is taken.
    ///
    /// # Errors
    /// When there is something at that path, or it cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<()> {
        let written = match path.extension().is_some_and(|extension| extension == EXTENSION) {
            true => self.write_new_file(path),
            false => self.write_new_folder(path),
        };
        written.map_err(|error| error.within(path.display()))
    }

    /// Changes the certificates or the signature of the bundle at that path, one program at a time. What is there now is
    /// opened and changed, not what an earlier call has seen.
    ///
    /// # Errors
    /// When it cannot be opened, changed or written.
    pub fn change(path: &Path, change: impl FnOnce(&Self) -> Result<Self>) -> Result<Changed> {
        let _lock = lock(path).map_err(|error| io_error(error).within(path.display()))?;
        let bundle = change(&Self::open(path)?).map_err(|error| error.within(path.display()))?;
        let SetAside { signature, certificates } = bundle.replace(path)?;
        Ok(Changed { bundle, signature, certificates })
    }

    /// Whether a bundle at that path could be changed: files can be made beside it, or in it.
    ///
    /// # Errors
    /// When it could not.
    pub fn expect_writable(path: &Path) -> Result<()> {
        let made = temporary_in(&parent(path));
        let made = made.or_else(|error| if path.is_dir() { temporary_in(path) } else { Err(error) });
        made.map(drop).map_err(|error| io_error(error).within(path.display()))
    }

    /// Writes the certificates and the signature of this bundle to the path that it was opened from. The files of the
    /// model are left alone in a folder, and written again in one file.
    ///
    /// A signature takes the place of another. Where this bundle has none, the one that is there is of another content: it
    /// is moved to `NAME.signature-DIGEST.json` beside the bundle before anything changes, and its new place is returned.
    /// Certificates whose place others take are copied to `NAME.certificate-DIGEST.json` before.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn update(&self, path: &Path) -> Result<Option<PathBuf>> {
        self.replace(path).map(|aside| aside.signature)
    }

    /// Writes a certificate beside the bundle at that path, as `NAME.certificate-DIGEST.json`, and returns where: for one
    /// that cannot be written into it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_beside(path: &Path, certificate: &Certificate) -> Result<PathBuf> {
        let file = certificate_file(CERTIFICATE, certificate)?;
        set_aside(path, "certificate", &file).map_err(|error| error.within(path.display()))
    }

    /// Writes a signature that is to be replaced beside the bundle at that path, as `NAME.signature-DIGEST.json`, and returns where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_signature_beside(path: &Path, signature: &BundleFile) -> Result<PathBuf> {
        set_aside(path, "signature", signature).map_err(|error| error.within(path.display()))
    }

    fn replace(&self, path: &Path) -> Result<SetAside> {
        let updated = match path.is_dir() {
            true => self.update_folder(path),
            false => self.update_file(path),
        };
        updated.map_err(|error| error.within(path.display()))
    }

    /// Copies certificates that others take the place of.
    fn set_certificates_aside(
        &self,
        path: &Path,
        there: impl Fn(&str) -> Result<Option<BundleFile>>,
    ) -> Result<Vec<PathBuf>> {
        let mut places = Vec::new();
        for BundleCertificate { name, .. } in self.certificates() {
            let before = there(name)?.filter(|before| Some(before) != self.file(name));
            places.extend(before.map(|before| set_aside(path, "certificate", &before)).transpose()?);
        }
        Ok(places)
    }

    /// The bytes of this bundle as one file; for the same files always the same.
    ///
    /// # Errors
    /// [`BundleErrorKind::Limit`] when they are 4 GiB or more.
    pub fn to_archive(&self, out: &mut dyn Write) -> Result<()> {
        let (first, others): (Vec<&BundleFile>, Vec<_>) =
            self.files().partition(|file| file.name() == MANIFEST);
        write_archive(first.into_iter().chain(others).map(|file| (file.name(), &file.bytes()[..])), out)
    }

    fn write_new_file(&self, path: &Path) -> Result<()> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(exists("is there already"));
        }
        let mut file = temporary_in(&parent(path)).map_err(io_error)?;
        self.to_archive(&mut io::BufWriter::new(file.as_file_mut()))?;
        file.as_file().sync_all().map_err(io_error)?;
        file.persist_noclobber(path).map(drop).map_err(|error| io_error(error.error))
    }

    /// Beside its place first, the manifest last; then renamed as a whole.
    fn write_new_folder(&self, path: &Path) -> Result<()> {
        match fs::read_dir(path) {
            Ok(mut entries) => match entries.next() {
                None => fs::remove_dir(path).map_err(io_error)?,
                Some(_) => return Err(exists("is not empty")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(error)),
        }
        let parent = parent(path);
        fs::create_dir_all(&parent).map_err(io_error)?;
        let mut builder = Builder::new();
        builder.prefix(TEMPORARY);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.tempdir_in(&parent).map_err(io_error)?;
        let (last, others): (Vec<&BundleFile>, Vec<_>) =
            self.files().partition(|file| file.name() == MANIFEST);
        for file in others.into_iter().chain(last) {
            write_file(folder.path(), file).map_err(|error| BundleError::io(file.name(), &error))?;
        }
        fs::rename(folder.path(), path).map_err(io_error)?;
        // Renamed: there is nothing left to remove.
        let _ = folder.keep();
        Ok(())
    }

    fn update_folder(&self, path: &Path) -> Result<SetAside> {
        let there = |name: &str| match read(&path.join(name), name) {
            Ok(found) => Ok(Some(BundleFile::new(name, found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BundleError::io(name, &error)),
        };
        let lost = there(SIGNATURE)?.filter(|_| self.signature().is_none());
        let certificates = self.set_certificates_aside(path, there)?;
        let aside = lost.map(|signature| set_aside(path, "signature", &signature)).transpose()?;
        if aside.is_some() {
            fs::remove_file(path.join(SIGNATURE)).map_err(|error| BundleError::io(SIGNATURE, &error))?;
        }
        let (signature, others): (Vec<&BundleFile>, Vec<_>) = self
            .files()
            .filter(|file| FileKind::of(file.name()).is_ok_and(|kind| !kind.is_listed()))
            .partition(|file| file.name() == SIGNATURE);
        for file in others.into_iter().chain(signature) {
            let is_there =
                read(&path.join(file.name()), file.name()).is_ok_and(|found| found == *file.bytes());
            if !is_there {
                replace_file(path, file).map_err(|error| BundleError::io(file.name(), &error))?;
            }
        }
        Ok(SetAside { signature: aside, certificates })
    }

    fn update_file(&self, path: &Path) -> Result<SetAside> {
        // A link to the bundle stays one.
        let path = &fs::canonicalize(path).map_err(io_error)?;
        let before = Self::open(path)?;
        let certificates = self.set_certificates_aside(path, |name| Ok(before.file(name).cloned()))?;
        let lost = before.signature().filter(|_| self.signature().is_none());
        let signature = lost.map(|signature| set_aside(path, "signature", signature)).transpose()?;
        let mut file = temporary_in(&parent(path)).map_err(io_error)?;
        self.to_archive(&mut io::BufWriter::new(file.as_file_mut()))?;
        file.as_file().sync_all().map_err(io_error)?;
        file.persist(path).map_err(|error| io_error(error.error))?;
        Ok(SetAside { signature, certificates })
    }
}

/// A bundle that was changed on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// What it is now.
    pub bundle: Bundle,
    /// Where its signature is that was of the content before, where it had one.
    pub signature: Option<PathBuf>,
    /// Where the certificates are whose place others took.
    pub certificates: Vec<PathBuf>,
}

/// Files that a change moved beside the bundle.
#[derive(Debug, Default)]
struct SetAside {
    signature: Option<PathBuf>,
    certificates: Vec<PathBuf>,
}

/// Waits until no other program changes the bundle. The file of a bundle in one file is renamed into place: after waiting
/// it may be another.
fn lock(path: &Path) -> io::Result<File> {
    let place = if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() };
    loop {
        let file = mimir_files::open(&place)?.file;
        match file.lock() {
            // Some file systems know no locks.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
            _ if super::folder::is_same(&file.metadata()?, &fs::metadata(&place)?) => return Ok(file),
            _ => {}
        }
    }
}

fn exists(what: &str) -> BundleError {
    BundleError::new(BundleErrorKind::Io, "new bundle", format!("{what}: name another path, or remove it"))
}

#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
fn io_error(error: io::Error) -> BundleError {
    BundleError::io("cannot be written", &error)
}

fn parent(path: &Path) -> PathBuf {
    // `bundle/..` and `.` have a parent only once they are resolved.
    let resolved = fs::canonicalize(path);
    let parent = resolved.as_deref().unwrap_or(path).parent();
    match parent.filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("."),
    }
}

fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    mimir_files::temporary_in(folder, TEMPORARY)
}

/// The bytes of a file of a bundle, whose name says how many they may be.
fn read(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let kind = FileKind::of(name).map_err(io::Error::other)?;
    mimir_files::read_unlinked(path, kind.most_bytes())
}

fn write_file(folder: &Path, file: &BundleFile) -> io::Result<()> {
    let path = folder.join(file.name());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let out = mimir_files::create_new(&path, 0o666)?;
    write_synced(&out, file.bytes())?;
    out.sync_all()
}

/// Writes bytes while those before them go to the disk: for large files that halves the time.
fn write_synced(mut out: &File, bytes: &[u8]) -> io::Result<()> {
    const STEP: usize = 32 << 20;
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        // The system reports a failure once, to whoever asks first.
        let syncing = scope.spawn(move || receive.iter().try_for_each(|()| out.sync_data()));
        let written = bytes.chunks(STEP).try_for_each(|chunk| {
            out.write_all(chunk)?;
            // Nobody receives where it has failed already.
            let _ = send.send(());
            Ok(())
        });
        drop(send);
        written.and(syncing.join().unwrap_or_else(|_| Err(io::Error::other("syncing has panicked"))))
    })
}

/// Writes a file beside the bundle and renames it into it, so that the bundle never has a file too many. Where the
/// folder around it cannot be written, or is another disk, the file is written in the bundle first.
fn replace_file(bundle: &Path, file: &BundleFile) -> io::Result<()> {
    if file.name().starts_with(CERTIFICATES) && file.name().contains('/') {
        fs::create_dir_all(bundle.join(CERTIFICATES))?;
    }
    let written = |folder: &Path| -> io::Result<()> {
        let mut out = temporary_in(folder)?;
        out.write_all(file.bytes())?;
        out.as_file().sync_all()?;
        out.persist(bundle.join(file.name())).map(drop).map_err(|error| error.error)
    };
    written(&parent(bundle)).or_else(|_| written(bundle))
}

/// Writes a file that the bundle is to lose beside it. Its name has its digest, so that none overwrites another.
fn set_aside(path: &Path, word: &str, file: &BundleFile) -> Result<PathBuf> {
    let resolved = fs::canonicalize(path).map_err(|error| BundleError::io(file.name(), &error))?;
    let name = resolved.file_name().unwrap_or_default().to_string_lossy();
    let digest = &file.digest().sha256[..12];
    let aside = resolved.with_file_name(format!("{name}.{word}-{digest}.json"));
    let written = temporary_in(&parent(&resolved)).and_then(|mut out| {
        out.write_all(file.bytes())?;
        out.as_file().sync_all()?;
        out.persist(&aside).map(drop).map_err(|error| error.error)
    });
    written.map_err(|error| BundleError::io(aside.display(), &error))?;
    Ok(aside)
}
