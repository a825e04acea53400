//! The folder of a report: known to be writable before the work, written so that a crash leaves no half file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::{Builder, NamedTempFile};

/// Names of the files in the folder.
pub(crate) const REPORT: &str = "report.json";
/// The certificate.
pub(crate) const CERTIFICATE: &str = "certificate.json";
/// The counterexamples, where they were asked for.
pub(crate) const ADVERSARIAL: &str = "adversarial.npz";
/// What is finished, while a run goes on.
pub(crate) const JOURNAL: &str = "journal.bin";
/// Pixels of counterexamples, while a run goes on.
pub(crate) const STORE: &str = "counterexamples.bin";

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
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let unwritable = || format!("report folder {} cannot be written", path.display());
        std::fs::create_dir_all(path).with_context(unwritable)?;
        let folder = Self { path: path.to_owned() };
        let mut probe = folder.temporary().with_context(unwritable)?;
        probe.write_all(b"probe").with_context(unwritable)?;
        for name in [REPORT, CERTIFICATE, ADVERSARIAL, JOURNAL, STORE] {
            anyhow::ensure!(
                !path.join(name).is_dir(),
                "report folder {}: {name} is a folder",
                path.display()
            );
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
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write_with(name, |file| Ok(file.write_all(bytes)?))
    }

    /// Writes a file as [`ReportFolder::write`] does, from a function that fills it; returns what that returns.
    ///
    /// # Errors
    /// Those of the function too.
    pub(crate) fn write_with<T>(&self, name: &str, fill: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
        let path = self.path_of(name);
        let failed = || format!("cannot write {}", path.display());
        let mut file = self.temporary().with_context(failed)?;
        let filled = fill(file.as_file_mut()).with_context(failed)?;
        file.as_file().sync_all().with_context(failed)?;
        file.persist(&path).with_context(failed)?;
        Ok(filled)
    }

    /// Removes a file of an earlier run, where there is one.
    ///
    /// # Errors
    /// When it is there and stays.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let path = self.path_of(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
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

    #[test]
    fn files_replace_files_and_nothing_else_stays() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = ReportFolder::create(&path).unwrap();
        folder.write(REPORT, b"first").unwrap();
        folder.write(REPORT, b"second").unwrap();
        assert_eq!(std::fs::read(path.join(REPORT)).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
        let failed: Result<()> = folder.write_with(REPORT, |file| {
            file.write_all(b"half")?;
            anyhow::bail!("no more")
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("report.json: no more"));
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
        let error = format!("{:#}", ReportFolder::create(&file.join("below")).unwrap_err());
        assert!(error.contains("cannot be written"), "{error}");
        std::fs::create_dir_all(parent.path().join("out").join(REPORT)).unwrap();
        let error = format!("{:#}", ReportFolder::create(&parent.path().join("out")).unwrap_err());
        assert!(error.contains("report.json is a folder"), "{error}");
    }
}
