//! `mimir-train bounds`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::args::BoundsArguments;
use crate::bounds;

/// Points of the printed table: p_e = 0, 0.1, …, 1.
const POINTS: usize = 11;

pub(super) fn run(arguments: &BoundsArguments) -> Result<ExitCode> {
    print!("{}", bounds::table(arguments.classes, POINTS)?);
    if let Some(out) = &arguments.out {
        std::fs::write(out, bounds::chart(arguments.classes)?.svg()?)
            .with_context(|| format!("cannot write {}", out.display()))?;
        println!("{}", out.display());
    }
    Ok(ExitCode::SUCCESS)
}
