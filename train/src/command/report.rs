//! `mimir-train report`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::args::ReportArguments;
use crate::report::{Summary, find};

pub(super) fn run(arguments: &ReportArguments) -> Result<ExitCode> {
    write(&arguments.folders, &[], &arguments.out)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the table of the runs below some folders, and writes it and the figure to `out.md` and `out.svg`. Methods named in
/// `order` come first.
pub(super) fn write(folders: &[PathBuf], order: &[String], out: &Path) -> Result<()> {
    let mut runs = Vec::new();
    for folder in folders {
        runs.extend(find(folder)?);
    }
    let summary = Summary::new(&runs, order);
    let table = summary.markdown();
    print!("{table}");
    let title = format!("Accuracy of {} runs", runs.len());
    for (extension, text) in [("md", table), ("svg", summary.svg(&title)?)] {
        let path = out.with_extension(extension);
        mimir_files::write_named(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("{}", path.display());
    }
    Ok(())
}
