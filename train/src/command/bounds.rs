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
        mimir_files::write_named(out, bounds::chart(arguments.classes)?.svg()?.as_bytes())
            .with_context(|| format!("cannot write {}", out.display()))?;
        println!("{}", out.display());
    }
    Ok(ExitCode::SUCCESS)
}
