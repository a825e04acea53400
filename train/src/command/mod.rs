//! Runs the commands, and turns errors into exit codes.

mod bounds;
mod convert;
mod doctor;
mod efficiency;
mod error;
mod evaluate;
mod experiment;
mod finetune;
mod landscape;
mod options;
mod plot;
mod prepare;
mod pretrain;
mod report;
mod stage;
mod state;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::allocator;
use crate::args::{Arguments, Command};

/// Parses the command line, runs the command, and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    allocator::keep_freed_memory();
    match std::panic::catch_unwind(|| run(arguments)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => error::print(&error),
        Err(_) => error::panicked(),
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Pretrain(arguments) => pretrain::run(&arguments),
        Command::Finetune(arguments) => finetune::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Experiment(arguments) => experiment::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Plot(arguments) => plot::run(&arguments),
        Command::Landscape(arguments) => landscape::run(&arguments),
        Command::Bounds(arguments) => bounds::run(&arguments),
        Command::Split(arguments) => state::split(&arguments),
        Command::Join(arguments) => state::join(&arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Prepare(arguments) => prepare::run(&arguments),
        Command::Efficiency(arguments) => efficiency::run(&arguments),
        Command::Doctor => doctor::run(),
    }
}
