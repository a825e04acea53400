//! `mimir-train experiment`: a grid of methods and seeds, from pre-training to a table.
//!
//! Each step is a process of its own: a crash of one loses nothing of the others, and its memory is given back. A step that is
//! finished is not done again, so that the same command continues a grid that was interrupted.

mod programs;
mod step;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::programs::Programs;
use self::step::{Outcome, Step};
use crate::args::GridArguments;
use crate::command::error::Usage;
use crate::command::report;
use crate::config::{Experiment, Grid, GridMethod};
use crate::run::{EXIT_STOPPED, StopSignal};

/// Less time than this is not enough to begin a step.
const LEAST_TIME: Duration = Duration::from_secs(60);

pub(super) fn run(arguments: &GridArguments) -> Result<ExitCode> {
    let grid = Grid::read(&arguments.grid)?;
    let runs = runs_folder(arguments);
    let programs = Programs::find(grid.certify.is_some())?;
    // Ctrl-C reaches the step too, which saves its state and ends with 75: this program outlives it.
    let stop = StopSignal::watch(None, Duration::ZERO)?;
    let deadline = arguments.time_limit.and_then(|limit| Instant::now().checked_add(limit));
    let steps = steps(&grid, arguments, &runs)?;
    for (place, step) in steps.iter().enumerate() {
        if step.is_done()? {
            continue;
        }
        if let Some(reason) = stop.requested() {
            return Ok(stopped(&reason.to_string()));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left < LEAST_TIME) {
            return Ok(stopped("the time limit is near"));
        }
        eprintln!("[{}/{}] {step}", place + 1, steps.len());
        match step.run(&programs, left)? {
            Outcome::Done => {}
            Outcome::Stopped => return Ok(stopped("a step was interrupted")),
            Outcome::Failed(code) => {
                return Err(Usage(format!(
                    "{step} failed ({code}); its messages are above. What is finished is kept: \
                                          the same command goes on from here"
                ))
                .into());
            }
        }
    }
    let order: Vec<String> = grid.methods.iter().map(|method| method.name.clone()).collect();
    report::write(std::slice::from_ref(&runs), &order, &runs.join("report"))?;
    Ok(ExitCode::SUCCESS)
}

fn stopped(why: &str) -> ExitCode {
    eprintln!("stopped ({why}); the same command continues, and `mimir-train report` shows what is finished");
    ExitCode::from(EXIT_STOPPED)
}

/// `runs/NAME`, or what `--run` says.
fn runs_folder(arguments: &GridArguments) -> PathBuf {
    arguments.run.clone().unwrap_or_else(|| {
        let name = arguments.grid.file_stem().unwrap_or_default();
        Path::new("runs").join(name)
    })
}

/// All steps in their order: a seed of all methods before the next seed, so that a comparison is complete early. Every
/// experiment is read and checked before anything runs.
fn steps<'a>(grid: &'a Grid, arguments: &'a GridArguments, runs: &Path) -> Result<Vec<Step<'a>>> {
    let mut steps = Vec::new();
    for &seed in &grid.seeds {
        for method in &grid.methods {
            let experiment = experiment(method, seed, arguments)?;
            let folder = runs.join(&method.name).join(format!("seed-{seed}"));
            steps.extend(Step::of(method, &experiment, grid.certify.as_ref(), arguments, &folder)?);
        }
    }
    Ok(steps)
}

fn experiment(method: &GridMethod, seed: u64, arguments: &GridArguments) -> Result<Experiment> {
    let place = || format!("method {}", method.name);
    let mut experiment = method.experiment(seed).with_context(place)?;
    if let Some(data) = &arguments.data {
        experiment.data.source.clone_from(data);
    }
    if let Some(test) = &arguments.test {
        experiment.data.test = Some(test.clone());
    }
    experiment.check().with_context(place)?;
    // Before hours of training, not after them.
    if experiment.evaluate.on == crate::config::EvaluatedSet::Test {
        experiment.data.test_source().with_context(place)?;
    }
    Ok(experiment)
}
