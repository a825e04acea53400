//! From the process's arguments to its output and exit code.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mimir_export::difference::compare;
use mimir_export::onnx::Limits;
use mimir_export::onnx::listing::{Listing, read_listing};
use serde::Serialize;

use crate::args::{Cli, Command, DiffArgs, ShowArgs};
use crate::failure::{EXIT_CODE, Failure};
use crate::pages::{completions, write_manual};

/// What the program prints on standard output, and its exit code.
struct Answer {
    text: Vec<u8>,
    exit_code: u8,
}

impl Answer {
    fn new(text: impl Into<Vec<u8>>, exit_code: u8) -> Self {
        Self { text: text.into(), exit_code }
    }
}

/// The program: arguments of the process to exit code.
///
/// Usage errors of the command line itself end the process with 2, `--help` and `--version` with 0.
pub fn main() -> ExitCode {
    let answer = match Cli::parse().command {
        Command::Show(args) => show(&args),
        Command::Diff(args) => diff(&args),
        Command::Completions(args) => Ok(Answer::new(completions(args.shell), 0)),
        Command::Man(args) => manual(&args.folder),
    };
    match answer {
        Ok(Answer { text, exit_code }) => {
            // Whoever closed standard output still wants the exit code.
            let _ = std::io::stdout().lock().write_all(&text);
            ExitCode::from(exit_code)
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {failure}");
            ExitCode::from(EXIT_CODE)
        }
    }
}

fn show(args: &ShowArgs) -> Result<Answer, Failure> {
    let listing = read(&args.model)?;
    Ok(Answer::new(if args.json { json(&listing)? } else { listing.to_string().into() }, 0))
}

fn diff(args: &DiffArgs) -> Result<Answer, Failure> {
    let difference = compare(&read(&args.before)?, &read(&args.after)?, args.tolerance);
    let text = if args.json { json(&difference)? } else { difference.to_string().into() };
    Ok(Answer::new(text, u8::from(!difference.equal)))
}

fn read(model: &Path) -> Result<Listing, Failure> {
    Ok(read_listing(model, &Limits::default())?)
}

fn manual(folder: &Path) -> Result<Answer, Failure> {
    write_manual(folder).with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
    Ok(Answer::new(format!("written to {}\n", folder.display()), 0))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}
