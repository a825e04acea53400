//! From the process's arguments to its output and exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command, ReplayArgs, RunArgs};
use crate::failure::{Blame, Failure, OrBlame, failure};
use crate::options::Options;
use crate::replay::replay;
use crate::run::run;
use crate::settings;

/// What the program prints on standard output, and its exit code.
struct Answer {
    text: String,
    exit_code: u8,
}

/// The program: arguments of the process to exit code.
///
/// Usage errors of the command line itself end the process with 2, `--help` and `--version` with 0.
pub fn main() -> ExitCode {
    let answer = match Cli::parse().into_command() {
        Command::Run(args) => answer_run(*args),
        Command::Replay(args) => answer_replay(&args),
    };
    match answer {
        Ok(Answer { text, exit_code }) => {
            // Whoever closed standard output still wants the exit code.
            let _ = write!(std::io::stdout().lock(), "{text}");
            ExitCode::from(exit_code)
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {failure}");
            ExitCode::from(failure.blame.exit_code())
        }
    }
}

fn answer_run(args: RunArgs) -> Result<Answer, Failure> {
    let Some(model) = args.model else { return Err(failure(Blame::Usage, "no model: name an ONNX file")) };
    let settings = settings::of_run(&model, args.config.as_deref(), args.settings).or_blame(Blame::Usage)?;
    if args.print_config {
        let text = toml::to_string(&settings).or_blame(Blame::Internal)?;
        return Ok(Answer { text, exit_code: 0 });
    }
    let report = run(&Options::new(&model, settings)?)?;
    Ok(Answer { text: report.to_string(), exit_code: report.gate.exit_code })
}

fn answer_replay(args: &ReplayArgs) -> Result<Answer, Failure> {
    let replay = replay(args)?;
    Ok(Answer { text: replay.to_string(), exit_code: replay.conclusion().exit_code() })
}
