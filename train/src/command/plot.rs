//! `mimir-train plot`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::args::PlotArguments;
use crate::plot;

pub(super) fn run(arguments: &PlotArguments) -> Result<ExitCode> {
    let picture = plot::runs::draw(&arguments.runs)?;
    let out = &arguments.out;
    mimir_files::write_named(out, picture.as_bytes())
        .with_context(|| format!("cannot write {}", out.display()))?;
    println!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}
