//! One folder for each run, used by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use mimir_bundle::digest::digest_bytes;
use mimir_files::OursWhere;

use super::config::config_differences;
use super::{Log, RunError};
use crate::checkpoint::write_atomically;

const CONFIG: &str = "config.toml";
const LOCK: &str = "lock";

/// The most bytes of a configuration.
const MOST_CONFIG: u64 = 1 << 20;

/// The folder of a run, locked until this value is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    // Never read: the lock ends when the file is closed or the process ends.
    _lock: File,
}

impl RunFolder {
    /// The folder of a new run, made if it is not there, with its effective configuration as `config.toml`.
    ///
    /// # Errors
    /// [`RunError::NotEmpty`], [`RunError::Locked`], [`RunError::Io`].
    pub fn create(path: &Path, config: &str) -> Result<Self, RunError> {
        fs::create_dir_all(path).map_err(RunError::io(path))?;
        // Checked before locking, so that no lock file is left in a foreign folder, and again under the lock.
        expect_empty(path)?;
        let folder = Self { path: path.to_owned(), _lock: lock(path)? };
        expect_empty(path)?;
        let file = path.join(CONFIG);
        write_atomically(&file, RunError::io(&file), |sink| {
            sink.write_all(config.as_bytes()).map_err(RunError::io(&file))
        })?;
        Ok(folder)
    }

    /// The folder of a run that was started before. Its configuration must be the same but for the dotted keys of
    /// `may_differ`, which are where the run is, not what it is: paths, device, threads.
    ///
    /// A run that died before it saved anything has a folder and no state ([`has_state`](Self::has_state)); it begins
    /// anew there.
    ///
    /// # Errors
    /// [`RunError::NothingToResume`], [`RunError::Different`] with the keys that differ, [`RunError::Locked`],
    /// [`RunError::Config`], [`RunError::Io`].
    pub fn resume(path: &Path, config: &str, may_differ: &[&str]) -> Result<Self, RunError> {
        let file = path.join(CONFIG);
        let before = match mimir_files::read_text(&file, MOST_CONFIG) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RunError::NothingToResume { path: path.to_owned() });
            }
            Err(error) => return Err(RunError::io(&file)(error)),
        };
        let differences = config_differences(&before, config, may_differ)?;
        if !differences.is_empty() {
            return Err(RunError::Different { path: path.to_owned(), differences });
        }
        Ok(Self { path: path.to_owned(), _lock: lock(path)? })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration in the folder, with which the run was started.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn config(&self) -> Result<String, RunError> {
        let file = self.path.join(CONFIG);
        mimir_files::read_text(&file, MOST_CONFIG).map_err(RunError::io(&file))
    }

    /// SHA-256 of the configuration in the folder, in lowercase hexadecimal.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn config_sha256(&self) -> Result<String, RunError> {
        let file = self.path.join(CONFIG);
        Ok(digest_bytes(&mimir_files::read(&file, MOST_CONFIG).map_err(RunError::io(&file))?))
    }

    /// Where the resumable state is.
    pub fn state(&self) -> PathBuf {
        self.path.join("state.safetensors")
    }

    /// Whether a state has been saved.
    pub fn has_state(&self) -> bool {
        self.state().exists()
    }

    /// Where the weights after the last epoch are.
    pub fn last(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// Where the weights of the best epoch by the held-out split are.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// The log, to be appended to.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn log(&self) -> Result<Log, RunError> {
        Log::open(self.path.join(super::log::FILE))
    }
}

fn expect_empty(path: &Path) -> Result<(), RunError> {
    for entry in fs::read_dir(path).map_err(RunError::io(path))? {
        if entry.map_err(RunError::io(path))?.file_name() != LOCK {
            return Err(RunError::NotEmpty { path: path.to_owned() });
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, RunError> {
    let name = path.join(LOCK);
    let file = mimir_files::open_ours(&name, OursWhere::Wanted).map_err(RunError::io(&name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(RunError::io(&name)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG_TEXT: &str = "epochs = 50\n[data]\npath = \"a\"\n";

    #[test]
    fn a_new_run_needs_a_folder_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs").join("first");
        let run = RunFolder::create(&path, CONFIG_TEXT).unwrap();
        assert_eq!(fs::read_to_string(path.join("config.toml")).unwrap(), CONFIG_TEXT);
        assert!(!run.has_state());
        drop(run);
        let error = RunFolder::create(&path, CONFIG_TEXT).unwrap_err().to_string();
        assert!(error.contains("is not empty: use --resume"), "{error}");

        let foreign = folder.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.tex"), "").unwrap();
        RunFolder::create(&foreign, CONFIG_TEXT).unwrap_err();
        assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
    }

    #[test]
    fn a_run_goes_on_with_its_own_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let missing = RunFolder::resume(&path, CONFIG_TEXT, &[]).unwrap_err();
        assert!(matches!(missing, RunError::NothingToResume { .. }), "{missing}");
        drop(RunFolder::create(&path, CONFIG_TEXT).unwrap());
        drop(RunFolder::resume(&path, CONFIG_TEXT, &[]).unwrap());
        let elsewhere = "epochs = 50\n[data]\npath = \"b\"\n";
        drop(RunFolder::resume(&path, elsewhere, &["data.path"]).unwrap());
        let error = RunFolder::resume(&path, &elsewhere.replace("50", "60"), &[]).unwrap_err().to_string();
        assert!(error.contains("\n  data.path: \"a\" then, \"b\" now\n  epochs: 50 then, 60 now"), "{error}");
    }

    #[test]
    fn two_processes_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let first = RunFolder::create(&path, CONFIG_TEXT).unwrap();
        let second = RunFolder::resume(&path, CONFIG_TEXT, &[]).unwrap_err();
        assert!(matches!(second, RunError::Locked { .. }), "{second}");
        drop(first);
        RunFolder::resume(&path, CONFIG_TEXT, &[]).unwrap();
    }
}
