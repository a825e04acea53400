//! From the process's arguments to its output and exit code.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mimir_bundle::{printable, printable_json};
use serde::Serialize;

use crate::args::{Cli, Command, DiffArgs, ShowArgs};
use crate::bundle::bundle;
use crate::export::export;
use crate::failure::{EXIT_CODE, Failure};
use crate::pages::{completions, write_manual};
use crate::source::Source;

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
    let answer = match Cli::parse().into_command() {
        Command::Export(args) => export(&args).map(|summary| Answer::new(summary, 0)),
        Command::Bundle(args) => bundle(&args).map(|summary| Answer::new(summary, 0)),
        Command::Show(args) => show(&args),
        Command::Diff(args) => diff(&args),
        Command::Completions(args) => Ok(Answer::new(completions(args.shell), 0)),
        Command::Man(args) => manual(&args.folder),
    };
    match answer {
        Ok(Answer { text, exit_code }) => {
            // Whoever closed standard output still wants the exit code.
            let _ = std::io::stdout().lock().write_all(&printable(text));
            ExitCode::from(exit_code)
        }
        Err(failure) => {
            let text = printable(format!("error: {failure}\n").into_bytes());
            let _ = std::io::stderr().lock().write_all(&text);
            ExitCode::from(EXIT_CODE)
        }
    }
}

fn show(args: &ShowArgs) -> Result<Answer, Failure> {
    let source = Source::read(&args.model)?;
    Ok(Answer::new(if args.json { json(&source)? } else { source.text().into() }, 0))
}

fn diff(args: &DiffArgs) -> Result<Answer, Failure> {
    let (before, after) = (Source::read(&args.before)?, Source::read(&args.after)?);
    if before.is_bundle() != after.is_bundle() {
        let note = "note: only one of the two is a bundle: the models were compared, and no description";
        let _ = writeln!(std::io::stderr().lock(), "{note}");
    }
    let difference = before.compare(&after, args.tolerance)?;
    let text = if args.json { json(&difference)? } else { difference.to_string().into() };
    Ok(Answer::new(text, u8::from(!difference.equal)))
}

fn manual(folder: &Path) -> Result<Answer, Failure> {
    write_manual(folder).with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
    Ok(Answer::new(format!("written to {}\n", folder.display()), 0))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(printable_json(text))
}
