//! The programs that a grid calls.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::error::Usage;

/// This program, and those that export and certify.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) train: PathBuf,
    /// Where the grid certifies.
    pub(super) others: Option<[PathBuf; 2]>,
}

const OTHERS: [&str; 2] = ["mimir-export", "mimir-certify"];

impl Programs {
    /// Beside this program, or on the search path.
    pub(super) fn find(certifies: bool) -> Result<Self> {
        let train = std::env::current_exe().context("where this program is")?;
        let others = match certifies {
            true => Some([find(&train, OTHERS[0])?, find(&train, OTHERS[1])?]),
            false => None,
        };
        Ok(Self { train, others })
    }
}

fn find(train: &Path, name: &str) -> Result<PathBuf> {
    let beside = train.with_file_name(name);
    if beside.is_file() {
        return Ok(beside);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    let missing = || {
        Usage(format!(
            "[certify] needs {name}, which is neither beside {} nor on the search path; build it with `make build`, or remove \
             [certify]",
            train.display()
        ))
    };
    Ok(found.ok_or_else(missing)?)
}
