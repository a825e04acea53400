//! What both training stages do around their loop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tch::Device;

use crate::args::TrainArguments;
use crate::checkpoint::state;
use crate::command::error::Usage;
use crate::config::{Experiment, OptimizerConfig, ScheduleConfig, TrainingConfig};
use crate::images::{EvaluationSet, TrainingImages};
use crate::optim::{LayerDecay, ParameterGroups};
use crate::run::{EXIT_STOPPED, RunFolder, StopSignal, config_digest};
use crate::stage::{RunEnd, Task, Trainer, train};

/// Time reserved for saving the state before a time limit ends.
const SAVING: Duration = Duration::from_secs(20);

/// Keys that may change when a run is resumed: they affect speed and logging, never results.
const MAY_DIFFER: [&str; 6] = [
    "data.source",
    "data.threads",
    "pretrain.training.log_every",
    "finetune.training.log_every",
    "pretrain.training.checkpoint_every",
    "finetune.training.checkpoint_every",
];

/// What the training loop needs of the configuration of a stage.
#[derive(Clone, Copy)]
pub(super) struct StageConfig<'a> {
    pub training: &'a TrainingConfig,
    pub optimizer: &'a OptimizerConfig,
    pub schedule: &'a ScheduleConfig,
    pub layer_decay: Option<LayerDecay>,
    pub ema_decay: Option<f64>,
}

/// Opens or resumes the stage's folder.
pub(super) fn folder(arguments: &TrainArguments, path: &Path, experiment: &Experiment) -> Result<RunFolder> {
    let text = experiment.to_toml();
    let folder = if arguments.resume {
        RunFolder::resume(path, &text, &MAY_DIFFER)?
    } else {
        RunFolder::create(path, &text)?
    };
    Ok(folder)
}

/// Whether there is a state to resume from. A run that ended before its first state starts from the beginning.
pub(super) fn can_resume(arguments: &TrainArguments, path: &Path) -> bool {
    arguments.resume && path.join("state.safetensors").is_file()
}

/// Trains, and prints how the run ended.
pub(super) fn run(
    arguments: &TrainArguments,
    experiment: &Experiment,
    task: &dyn Task,
    section: StageConfig<'_>,
    images: &TrainingImages,
    folder: &RunFolder,
) -> Result<ExitCode> {
    log_start(experiment, task, &section, images, folder)?;
    let stop = StopSignal::watch(arguments.time_limit, SAVING)?;
    let precision = if arguments.compact_state { state::Precision::Compact } else { state::Precision::Exact };
    let groups = ParameterGroups {
        weight_decay: section.optimizer.weight_decay,
        no_decay: section.optimizer.no_decay.clone(),
        layer_decay: section.layer_decay,
    };
    let ending = train(
        task,
        Trainer {
            training: section.training,
            optimizer: section.optimizer,
            schedule: section.schedule,
            groups,
            ema_decay: section.ema_decay,
            images,
            folder,
            seed: experiment.seed,
            config_digest: config_digest(&experiment.to_toml(), &MAY_DIFFER)?,
            state_precision: precision,
            resume: arguments.resume && folder.has_state(),
            stop: &stop,
        },
    )?;
    Ok(report_end(&ending, folder))
}

/// Prints the numbers derived from the configuration and writes them to the log.
fn log_start(
    experiment: &Experiment,
    task: &dyn Task,
    section: &StageConfig<'_>,
    images: &TrainingImages,
    folder: &RunFolder,
) -> Result<()> {
    let parameters = task.parameters();
    let trained: usize = parameters.trainable().map(|parameter| parameter.tensor.numel()).sum();
    let peak = section.schedule.peak(section.training.batch);
    eprintln!(
        "{}: {} parameters ({trained} trained), {} steps an epoch, {} epochs, peak learning rate {peak:e}, {}",
        folder.path().display(),
        parameters.count(),
        images.steps_per_epoch(),
        section.training.epochs,
        device_name(parameters.device()),
    );
    folder.log()?.write(
        "start",
        &json!({
            "version": env!("CARGO_PKG_VERSION"),
            "torch": crate::device::TORCH_VERSION,
            "device": device_name(parameters.device()),
            "threads": tch::get_num_threads(),
            "seed": experiment.seed,
            "parameters": parameters.count(),
            "trained_parameters": trained,
            "steps_per_epoch": images.steps_per_epoch(),
            "peak_learning_rate": peak,
            "held_out": images.held_out().map_or(0, EvaluationSet::count),
        }),
    )?;
    Ok(())
}

fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".into(),
    }
}

fn report_end(ending: &RunEnd, folder: &RunFolder) -> ExitCode {
    match ending {
        RunEnd::Done { best } => {
            let last = folder.last();
            match best {
                Some(best) => eprintln!(
                    "done: {}; best after epoch {}: {}",
                    last.display(),
                    best.epoch + 1,
                    folder.best().display()
                ),
                None => eprintln!("done: {}", last.display()),
            }
            ExitCode::SUCCESS
        }
        RunEnd::Stopped { reason, step } => {
            eprintln!("stopped after step {step} ({reason}); continue with --resume");
            ExitCode::from(EXIT_STOPPED)
        }
    }
}

/// The folder of a stage.
pub(super) fn stage_folder(runs: &Path, stage: &str) -> PathBuf {
    runs.join(stage)
}

/// A file of weights that must exist.
pub(super) fn require_file(path: PathBuf, way_out: &str) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path);
    }
    Err(Usage(format!("{} does not exist; {way_out}", path.display()))).context("no weights to start from")
}
