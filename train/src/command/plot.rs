//! `mimir-train plot`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::args::PlotArguments;
use crate::plot;

pub(super) fn run(arguments: &PlotArguments) -> Result<ExitCode> {
    let picture = plot::runs::draw(&arguments.runs)?;
    let out = &arguments.out;
    std::fs::write(out, picture).with_context(|| format!("cannot write {}", out.display()))?;
    println!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}
