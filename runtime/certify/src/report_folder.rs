//! The folder of a report: claimed before the work, and written so that a crash leaves no half file.
//!
//! What an earlier run left is out of the way before this one reads anything: a run that fails, however it fails, leaves
//! nothing that could be read as its result. A complete earlier result is moved into `previous`.
//!
//! | file | what | when |
//! | --- | --- | --- |
//! | `report.json` | [`ReportFile`](mimir_runtime::report::ReportFile): the results, or the error | after every run |
//! | `certificate.json` | [`Certificate`](mimir_bundle::Certificate) | after a run that was not interrupted |
//! | `report.html` | a page of all of it, by `mimir-views` | by the command, after the others |
//! | `adversarial.npz` | [counterexamples](crate::counterexamples) | with the certificate, where they are asked for |
//! | `journal.bin`, `counterexamples.bin` | `docs/journal.md` | while a run goes on |
//! | `previous/` | the first four of the last run with a certificate | until the next such run |

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use mimir_bundle::bundle::{MANIFEST, MODEL};

use crate::error::Source;
use crate::folder_lock::FolderLock;

/// The report.
pub const REPORT: &str = "report.json";
/// The certificate.
pub const CERTIFICATE: &str = "certificate.json";
/// The page of the report.
pub const PAGE: &str = "report.html";
/// The counterexamples, where they were asked for.
pub const ADVERSARIAL: &str = "adversarial.npz";
/// The answers of several gates, each with a report folder below this one.
pub const GATES: &str = "gates.json";
/// What is finished, while a run goes on.
pub const JOURNAL: &str = "journal.bin";
/// Pixels of counterexamples, while a run goes on.
pub const STORE: &str = "counterexamples.bin";
/// The results of the last run before this one that had a certificate.
pub const PREVIOUS: &str = "previous";

/// The beginning of the names of files that are being written.
const TEMPORARY: &str = ".mimir-";

/// Why the folder or a file in it cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    #[error("report folder {} cannot be written", folder.display())]
    Unwritable { folder: PathBuf, source: std::io::Error },
    #[error("report folder {}: {name} is a folder", folder.display())]
    IsFolder { folder: PathBuf, name: &'static str },
    #[error("report folder {}: another run is using it; wait until it has finished, or use another folder", folder.display())]
    InUse { folder: PathBuf },
    #[error(
        "report folder {}: it is in the bundle {}, whose files a report would move or add to; name a folder elsewhere",
        folder.display(),
        bundle.display()
    )]
    InBundle { folder: PathBuf, bundle: PathBuf },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: Source },
    #[error("cannot remove {}", path.display())]
    Remove { path: PathBuf, source: std::io::Error },
}

/// The bundle that a path is in, or is; the path itself may be missing.
fn bundle_around(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let existing = absolute.ancestors().find_map(|folder| folder.canonicalize().ok())?;
    let is_bundle = |folder: &&Path| [MANIFEST, MODEL].iter().all(|name| folder.join(name).is_file());
    existing.ancestors().find(is_bundle).map(Path::to_owned)
}

/// A folder that belongs to this run until the value is dropped, in which a file was written once already.
#[derive(Debug)]
pub(crate) struct ReportFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl ReportFolder {
    /// Makes the folder, locks it, finds out now whether a report could be written later, and puts what an earlier run
    /// left out of the way.
    ///
    /// # Errors
    /// When the folder cannot be made, another run has it, or a file in it cannot be written. Nothing was changed then.
    pub(crate) fn claim(path: &Path) -> Result<Self, FolderError> {
        let unwritable = |source| FolderError::Unwritable { folder: path.to_owned(), source };
        if let Some(bundle) = bundle_around(path) {
            return Err(FolderError::InBundle { folder: path.to_owned(), bundle });
        }
        std::fs::create_dir_all(path).map_err(unwritable)?;
        let lock = FolderLock::take(path).map_err(unwritable)?;
        let lock = lock.ok_or_else(|| FolderError::InUse { folder: path.to_owned() })?;
        let folder = Self { path: path.to_owned(), _lock: lock };
        let mut probe = mimir_files::temporary_in(path, TEMPORARY).map_err(unwritable)?;
        probe.write_all(b"probe").map_err(unwritable)?;
        for name in [REPORT, PAGE, CERTIFICATE, ADVERSARIAL, JOURNAL, STORE] {
            if path.join(name).is_dir() {
                return Err(FolderError::IsFolder { folder: path.to_owned(), name });
            }
        }
        folder.set_aside()?;
        Ok(folder)
    }

    /// Puts the results of an earlier run out of the way: into `previous` where there is a certificate, else away.
    fn set_aside(&self) -> Result<(), FolderError> {
        let previous = self.path.join(PREVIOUS);
        let is_kept = self.path_of(CERTIFICATE).exists() && std::fs::create_dir_all(&previous).is_ok();
        // What programs look at goes first: whatever ends this in between leaves no result.
        for name in [GATES, REPORT, PAGE, CERTIFICATE, ADVERSARIAL] {
            if is_kept {
                // Those of two runs do not belong together.
                let _ = std::fs::remove_file(previous.join(name));
                let _ = std::fs::rename(self.path_of(name), previous.join(name));
            }
            self.remove(name)?;
        }
        Ok(())
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
        mimir_files::replace_with(&path, TEMPORARY, |file| fill(file).map_err(Into::into)).map_err(failed)
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::with_causes;

    #[test]
    fn files_replace_files_and_nothing_else_stays() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = ReportFolder::claim(&path).unwrap();
        folder.write(REPORT, b"first").unwrap();
        folder.write(REPORT, b"second").unwrap();
        assert_eq!(std::fs::read(path.join(REPORT)).unwrap(), b"second");
        let names = || {
            let files = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
            files.filter(|name| name != ".mimir-lock").collect::<Vec<_>>()
        };
        assert_eq!(names(), [REPORT]);
        let failed = folder.write_with(REPORT, |file| -> Result<(), Source> {
            file.write_all(b"half")?;
            Err("no more".into())
        });
        assert!(with_causes(&failed.unwrap_err()).contains("report.json: no more"));
        assert_eq!(std::fs::read(path.join(REPORT)).unwrap(), b"second");
        folder.remove(REPORT).unwrap();
        folder.remove(REPORT).unwrap();
        assert_eq!(names().len(), 0);
        drop(folder);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    /// A complete result is kept, and what has no certificate is not; a journal stays where it is.
    #[test]
    fn what_an_earlier_run_left_is_out_of_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let read = |name: &str| std::fs::read_to_string(path(name)).ok();
        let claim = |files: &[(&str, &str)]| {
            files.iter().for_each(|(name, text)| std::fs::write(path(name), text).unwrap());
            ReportFolder::claim(folder.path()).unwrap();
            for name in [REPORT, CERTIFICATE, ADVERSARIAL] {
                assert_eq!(read(name), None, "{name} is of an earlier run");
            }
        };
        claim(&[(REPORT, "1"), (CERTIFICATE, "1"), (ADVERSARIAL, "1"), (JOURNAL, "1"), (STORE, "1")]);
        let previous = || [REPORT, CERTIFICATE, ADVERSARIAL].map(|name| read(&format!("{PREVIOUS}/{name}")));
        assert_eq!(previous(), [Some("1".into()), Some("1".into()), Some("1".into())]);
        claim(&[(REPORT, "an error")]);
        claim(&[(ADVERSARIAL, "half")]);
        assert_eq!(previous(), [Some("1".into()), Some("1".into()), Some("1".into())]);
        claim(&[(REPORT, "2"), (CERTIFICATE, "2")]);
        assert_eq!(previous(), [Some("2".into()), Some("2".into()), None]);
        assert_eq!([read(JOURNAL), read(STORE)], [Some("1".into()), Some("1".into())]);
    }

    #[test]
    fn a_folder_in_use_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = ReportFolder::claim(parent.path()).unwrap();
        folder.write(REPORT, b"of the run that goes on").unwrap();
        let error = ReportFolder::claim(parent.path()).unwrap_err().to_string();
        assert!(error.contains("another run is using it"), "{error}");
        assert!(folder.path_of(REPORT).exists());
    }

    #[test]
    fn what_cannot_be_written_is_found_at_once() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let error = with_causes(&ReportFolder::claim(&file.join("below")).unwrap_err());
        assert!(error.contains("cannot be written"), "{error}");
        std::fs::create_dir_all(parent.path().join("out").join(REPORT)).unwrap();
        let error = with_causes(&ReportFolder::claim(&parent.path().join("out")).unwrap_err());
        assert!(error.contains("report.json is a folder"), "{error}");
    }
}
