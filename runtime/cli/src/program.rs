//! From the process's arguments to its output and exit code.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mimir_certify::report_folder::{ADVERSARIAL, CERTIFICATE, REPORT};
use mimir_certify::{ErrorKind, StoreCounterexamples, certify, check, replay};
use mimir_runtime::evaluate::Ending;
use serde::Serialize;

use crate::args::{CheckArgs, Cli, Command, ReplayArgs, RunArgs, mistyped_command};
use crate::failure::{Failure, OrKind, exit_code, failure};
use crate::gates::{gates_of, run_gates};
use crate::options::{Options, Verbosity, attacks, check_options, norm, replay_options};
use crate::pages::{completions, write_manual};
use crate::progress::ProgressDisplay;
use crate::settings::{Settings, load_settings};
use crate::signals;

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
    if let Some(mistyped) = mistyped_command(std::env::args_os()) {
        let _ = writeln!(std::io::stderr().lock(), "error: {mistyped}");
        return ExitCode::from(exit_code(ErrorKind::Options));
    }
    let answer = match Cli::parse().into_command() {
        Command::Run(args) => answer_run(*args),
        Command::Replay(args) => answer_replay(args),
        Command::Check(args) => answer_check(*args),
        Command::Completions(args) => Ok(Answer::new(completions(args.shell), 0)),
        Command::Man(args) => answer_man(&args.folder),
    };
    match answer {
        Ok(Answer { text, exit_code }) => {
            // Whoever closed standard output still wants the exit code.
            let _ = std::io::stdout().lock().write_all(&text);
            ExitCode::from(exit_code)
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {failure}");
            ExitCode::from(exit_code(failure.kind))
        }
    }
}

fn answer_run(args: RunArgs) -> Result<Answer, Failure> {
    let Some(model) = args.model else {
        return Err(failure(ErrorKind::Options, "no model: give an ONNX file"));
    };
    let settings =
        load_settings(&model, args.config.as_deref(), args.settings).or_kind(ErrorKind::Options)?;
    if args.print_config {
        return Ok(Answer::new(effective_settings(&settings)?, 0));
    }
    let verbosity = Verbosity::new(settings.quiet == Some(true), args.verbose)?;
    let interrupted = signals::watch().or_kind(ErrorKind::Internal)?;
    if let Some(limit) = settings.time_limit {
        signals::limit(&interrupted, limit.0);
    }
    let gates = gates_of(&settings)?;
    if !gates.is_empty() {
        let (answers, text) = run_gates(&model, gates, settings.report.as_deref(), verbosity, &interrupted)?;
        let exit_code = answers.exit_code;
        return Ok(Answer::new(if args.json { json(&answers)? } else { text.into() }, exit_code));
    }
    let options = Options::new(&model, settings)?;
    let display = ProgressDisplay::new(verbosity);
    let certified = certify(&options.certify, &display, &interrupted);
    display.finish();
    let report = certified?.report;
    let text = match args.json {
        true => json(&report)?,
        false => format!("{report}{}", written(&options, report.ending)).into(),
    };
    Ok(Answer::new(text, report.gate.exit_code))
}

fn answer_check(args: CheckArgs) -> Result<Answer, Failure> {
    let settings =
        load_settings(&args.model, args.config.as_deref(), args.settings).or_kind(ErrorKind::Options)?;
    let checked = check(&check_options(&args.model, settings)?)?;
    let text = if args.json { json(&checked)? } else { checked.to_string().into() };
    Ok(Answer::new(text, 0))
}

fn answer_man(folder: &Path) -> Result<Answer, Failure> {
    write_manual(folder)
        .with_context(|| format!("cannot write manual pages to {}", folder.display()))
        .or_kind(ErrorKind::Storage)?;
    Ok(Answer::new(format!("written to {}\n", folder.display()), 0))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut text = serde_json::to_vec_pretty(value).or_kind(ErrorKind::Internal)?;
    text.push(b'\n');
    Ok(text)
}

/// The settings as a settings file, and each parameter of each attack in its comments.
fn effective_settings(settings: &Settings) -> Result<String, Failure> {
    let text = toml::to_string(settings).or_kind(ErrorKind::Internal)?;
    let attacks = attacks(settings, norm(settings))?;
    let table = BTreeMap::from([("parameters", attacks)]);
    let table = toml::to_string(&table).or_kind(ErrorKind::Internal)?;
    let comment = |line: &str| format!("# {line}").trim_end().to_owned() + "\n";
    let parameters: String = table.lines().map(comment).collect();
    Ok(format!("{text}\n# The attacks with all parameters:\n{parameters}"))
}

/// Where the report is now; nothing where none was asked for.
fn written(options: &Options, ending: Ending) -> String {
    let Some(report) = &options.certify.report else { return String::new() };
    let folder = display_path(&report.folder);
    let files = match (ending, report.counterexamples) {
        (Ending::Interrupted, _) => {
            let (folder, go_on) = (folder.display(), "run the same command with --resume to continue");
            return format!("\ninterrupted: {REPORT} in {folder} is partial; {go_on}\n");
        }
        (_, StoreCounterexamples::Yes) => [REPORT, CERTIFICATE, ADVERSARIAL].join(", "),
        (_, StoreCounterexamples::No) => [REPORT, CERTIFICATE].join(", "),
    };
    format!("\nwritten to {}: {files}\n", folder.display())
}

/// A folder as a person would name it: without `..`, and relative where it is inside the current folder.
fn display_path(folder: &Path) -> PathBuf {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    here.ok().and_then(|here| real.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or(real)
}

fn answer_replay(args: ReplayArgs) -> Result<Answer, Failure> {
    let replay = replay(&replay_options(args)?)?;
    Ok(Answer::new(replay.to_string(), replay.conclusion().exit_code()))
}
