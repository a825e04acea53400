//! `mimir-train split` and `join`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::args::{JoinArguments, SplitArguments};
use crate::checkpoint::parts;

pub(super) fn split(arguments: &SplitArguments) -> Result<ExitCode> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let index = parts::split(&arguments.state, &arguments.folder, arguments.mib << 20)?;
    println!("{}", index.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn join(arguments: &JoinArguments) -> Result<ExitCode> {
    parts::join(&arguments.index, &arguments.out)?;
    println!("{}", arguments.out.display());
    Ok(ExitCode::SUCCESS)
}
