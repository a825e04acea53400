//! The folder of a report: checked to be writable before the work, and written so that a crash leaves no half file.
//!
//! | file | what | when |
//! | --- | --- | --- |
//! | `report.json` | [`Report`](mimir_runtime::report::Report) | after every run |
//! | `certificate.json` | [`Certificate`](mimir_bundle::Certificate) | after a run that was not interrupted |
//! | `adversarial.npz` | [counterexamples](crate::counterexamples) | with the certificate, where they are asked for |
//! | `journal.bin`, `counterexamples.bin` | `docs/journal.md` | while a run goes on |

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::error::Source;

/// The report.
pub const REPORT: &str = "report.json";
/// The certificate.
pub const CERTIFICATE: &str = "certificate.json";
/// The counterexamples, where they were asked for.
pub const ADVERSARIAL: &str = "adversarial.npz";
/// What is finished, while a run goes on.
pub const JOURNAL: &str = "journal.bin";
/// Pixels of counterexamples, while a run goes on.
pub const STORE: &str = "counterexamples.bin";

/// Why the folder or a file in it cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    #[error("report folder {} cannot be written", folder.display())]
    Unwritable { folder: PathBuf, source: std::io::Error },
    #[error("report folder {}: {name} is a folder", folder.display())]
    IsFolder { folder: PathBuf, name: &'static str },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: Source },
    #[error("cannot remove {}", path.display())]
    Remove { path: PathBuf, source: std::io::Error },
}

/// A folder in which a file was written once already.
#[derive(Debug)]
pub(crate) struct ReportFolder {
    path: PathBuf,
}

impl ReportFolder {
    /// Makes the folder, and finds out now whether a report could be written later.
    ///
    /// # Errors
    /// When the folder cannot be made, or a file in it cannot be written.
    pub(crate) fn create(path: &Path) -> Result<Self, FolderError> {
        let unwritable = |source| FolderError::Unwritable { folder: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(unwritable)?;
        let folder = Self { path: path.to_owned() };
        let mut probe = folder.temporary().map_err(unwritable)?;
        probe.write_all(b"probe").map_err(unwritable)?;
        for name in [REPORT, CERTIFICATE, ADVERSARIAL, JOURNAL, STORE] {
            if path.join(name).is_dir() {
                return Err(FolderError::IsFolder { folder: path.to_owned(), name });
            }
        }
        Ok(folder)
    }

    /// The path of a file in the folder.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file as a whole or not at all: a sibling first, then a rename.
    ///
    /// # Errors
    /// When the folder is no longer writable, or the disk is full.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        self.write_with(name, |file| file.write_all(bytes))
    }

    /// Writes a file as [`ReportFolder::write`] does, from a function that fills it; returns what that returns.
    ///
    /// # Errors
    /// Those of the function too.
    pub(crate) fn write_with<T, E: Into<Source>>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut File) -> Result<T, E>,
    ) -> Result<T, FolderError> {
        let path = self.path_of(name);
        let failed = |source: Source| FolderError::Write { path: path.clone(), source };
        let mut file = self.temporary().map_err(|error| failed(error.into()))?;
        let filled = fill(file.as_file_mut()).map_err(|error| failed(error.into()))?;
        file.as_file().sync_all().map_err(|error| failed(error.into()))?;
        file.persist(&path).map_err(|error| failed(error.into()))?;
        Ok(filled)
    }

    /// Removes a file of an earlier run, where there is one.
    ///
    /// # Errors
    /// When it is there and stays.
    pub(crate) fn remove(&self, name: &str) -> Result<(), FolderError> {
        let path = self.path_of(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FolderError::Remove { path, source: error })
            }
            _ => Ok(()),
        }
    }

    fn temporary(&self) -> std::io::Result<NamedTempFile> {
        let mut builder = Builder::new();
        builder.prefix(".mimir-");
        // A report is as readable as any file that a program writes: the user's mask decides.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::with_causes;

    #[test]
    fn files_replace_files_and_nothing_else_stays() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = ReportFolder::create(&path).unwrap();
        folder.write(REPORT, b"first").unwrap();
        folder.write(REPORT, b"second").unwrap();
        assert_eq!(std::fs::read(path.join(REPORT)).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
        let failed = folder.write_with(REPORT, |file| -> Result<(), Source> {
            file.write_all(b"half")?;
            Err("no more".into())
        });
        assert!(with_causes(&failed.unwrap_err()).contains("report.json: no more"));
        assert_eq!(std::fs::read(path.join(REPORT)).unwrap(), b"second");
        folder.remove(REPORT).unwrap();
        folder.remove(REPORT).unwrap();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_found_at_once() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let error = with_causes(&ReportFolder::create(&file.join("below")).unwrap_err());
        assert!(error.contains("cannot be written"), "{error}");
        std::fs::create_dir_all(parent.path().join("out").join(REPORT)).unwrap();
        let error = with_causes(&ReportFolder::create(&parent.path().join("out")).unwrap_err());
        assert!(error.contains("report.json is a folder"), "{error}");
    }
}
