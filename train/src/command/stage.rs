//! What both training stages do around their loop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use mimir_bundle::checkpoint::{CheckpointHeader, Stage};
use serde_json::json;
use tch::Device;

use crate::args::TrainArguments;
use crate::checkpoint::{self, state};
use crate::command::error::Usage;
use crate::config::{Experiment, OptimizerConfig, ScheduleConfig, TrainingConfig};
use crate::images::{EvaluationSet, TrainingImages};
use crate::optim::{LayerDecay, ParameterGroups};
use crate::run::{EXIT_STOPPED, RunFolder, StopSignal, config_digest};
use crate::stage::{RunEnd, Task, Trainer, train};

/// Time reserved for saving the state before a time limit ends.
const SAVING: Duration = Duration::from_secs(20);

/// Keys of which no result depends: they affect speed and logging. All others are in the digest that ties a state to the
/// configuration in its folder.
const MAY_DIFFER: [&str; 6] = [
    "data.source",
    "data.threads",
    "pretrain.training.log_every",
    "finetune.training.log_every",
    "pretrain.training.checkpoint_every",
    "finetune.training.checkpoint_every",
];

/// Keys that no training stage reads. (`evaluate.transform` is not one: it is applied to held-out images.)
const OF_NO_STAGE: [&str; 8] = [
    "data.test",
    "evaluate.epsilon",
    "evaluate.step_size",
    "evaluate.steps",
    "evaluate.on",
    "evaluate.images",
    "evaluate.batch",
    "paper",
];

/// Keys that may have changed when a stage is resumed: those that it does not read, and those of which no result depends.
pub(super) fn may_differ(stage: Stage) -> Vec<&'static str> {
    let of_the_other = match stage {
        Stage::Pretrain => "finetune",
        Stage::Finetune => "pretrain",
    };
    [&MAY_DIFFER[..], &OF_NO_STAGE[..], &[of_the_other]].concat()
}

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
pub(super) fn folder(
    arguments: &TrainArguments,
    path: &Path,
    experiment: &Experiment,
    stage: Stage,
) -> Result<RunFolder> {
    let text = experiment.to_toml();
    let folder = if arguments.resume {
        RunFolder::resume(path, &text, &may_differ(stage))?
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
            config_digest: config_digest(&folder.config()?, &MAY_DIFFER)?,
            state_precision: precision,
            resume: arguments.resume && folder.has_state(),
            read_late: task.parameters().device().is_cuda(),
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

/// What a checkpoint says of itself; `None` for files of other programs.
pub(super) fn header(path: &Path) -> Result<Option<CheckpointHeader>> {
    let metadata = checkpoint::metadata(path)?;
    if metadata.is_null() {
        return Ok(None);
    }
    let header = CheckpointHeader::parse(&metadata.to_string());
    Ok(Some(header.with_context(|| path.display().to_string())?))
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
