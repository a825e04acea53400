//! `mimir-train convert`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::args::ConvertArguments;
use crate::convert::Conversion;

pub(super) fn run(arguments: &ConvertArguments) -> Result<ExitCode> {
    let conversion = Conversion::read(&arguments.checkpoint, arguments.take.as_deref())?;
    print!("{}", conversion.report);
    let (tensors, elements) = conversion.counts();
    if tensors == 0 {
        bail!("no tensor of a known name; nothing written");
    }
    let unknown = conversion.report.unknown.len();
    if unknown > 0 && !arguments.allow {
        bail!("{unknown} unknown keys; nothing written (--allow leaves them out)");
    }
    conversion.write(&arguments.output)?;
    println!("wrote {}: {tensors} tensors, {elements} elements", arguments.output.display());
    Ok(ExitCode::SUCCESS)
}
