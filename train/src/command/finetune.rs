//! `mimir-train finetune`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use mimir_bundle::checkpoint::{CheckpointHeader, Stage};

use crate::args::FinetuneArguments;
use crate::checkpoint::{self, FloatTypes, LoadMode};
use crate::command::error::Usage;
use crate::command::{options, stage};
use crate::config::{ConfigError, Experiment, FinetuneConfig, InitialWeights};
use crate::device;
use crate::images::TrainingImages;
use crate::model::Architecture;
use crate::optim::LayerDecay;
use crate::stage::{Finetuning, Task};

pub(super) fn run(arguments: &FinetuneArguments) -> Result<ExitCode> {
    let typed = &arguments.train.experiment;
    let experiment = experiment(arguments)?;
    let Some(config) = experiment.finetune.clone() else {
        return Err(ConfigError::NoStage { path: typed.config.clone(), stage: "finetune" }.into());
    };
    if arguments.train.print_config {
        print!("{}", experiment.to_toml());
        return Ok(ExitCode::SUCCESS);
    }
    let architecture = experiment.model.architecture()?;
    let device = device::open(typed.device, config.training.precision)?;
    let images = TrainingImages::open(&experiment, &config.augmentation, config.training.batch)?;
    let runs = options::runs_folder(typed, &experiment);
    let task = Finetuning::new(&experiment, architecture, config.clone(), device);
    let path = stage::stage_folder(&runs, folder_name(&config));
    if !stage::can_resume(&arguments.train, &path) {
        load_initial_weights(&task, &experiment, &config, &runs, arguments.unfinished)?;
    }
    let folder = stage::folder(&arguments.train, &path, &experiment, Stage::Finetune)?;
    let section = stage::StageConfig {
        training: &config.training,
        optimizer: &config.optimizer,
        schedule: &config.schedule,
        layer_decay: layer_decay(&config, architecture),
        ema_decay: config.ema_decay,
    };
    stage::run(&arguments.train, &experiment, &task, section, &images, &folder)
}

/// The experiment with `--initial-weights` applied.
fn experiment(arguments: &FinetuneArguments) -> Result<Experiment> {
    let mut experiment = options::experiment(&arguments.train.experiment)?;
    if let Some(initial) = arguments.initial_weights {
        experiment.finetune = experiment.finetune.map(|finetune| finetune.starting_from(initial));
        experiment.check()?;
    }
    Ok(experiment)
}

/// A run from random weights has a folder of its own, so that both can be compared.
pub(super) fn folder_name(config: &FinetuneConfig) -> &'static str {
    match config.initial_weights {
        InitialWeights::Pretrained | InitialWeights::File => "finetune",
        InitialWeights::Scratch => "finetune-scratch",
    }
}

fn load_initial_weights(
    task: &Finetuning,
    experiment: &Experiment,
    config: &FinetuneConfig,
    runs: &Path,
    unfinished: bool,
) -> Result<()> {
    let seed = experiment.seed;
    let path = match (config.initial_weights, &config.weights) {
        (InitialWeights::Scratch, _) => return Ok(()),
        (InitialWeights::File, Some(path)) => {
            stage::require_file(with_seed(path, seed), "give finetune.weights a file that exists")?
        }
        (InitialWeights::File, None) => {
            // The configuration was checked when it was read.
            return Err(ConfigError::missing("finetune.weights", "by initial_weights = \"file\"").into());
        }
        (InitialWeights::Pretrained, _) => stage::require_file(
            stage::stage_folder(runs, "pretrain").join("last.safetensors"),
            "run `mimir-train pretrain` with this configuration and seed first, or give --initial-weights scratch",
        )?,
    };
    let header = stage::header(&path)?;
    let progress = header.as_ref().and_then(|header| pretraining_progress(&path, header));
    if let Some(progress) = progress.filter(|progress| progress.epoch < progress.epochs && !unfinished) {
        let Progress { epoch, epochs } = progress;
        return Err(Usage(format!(
            "{} is from a pre-training that has done {epoch} of its {epochs} epochs; finish it with `mimir-train pretrain` \
             and --resume, or start from it all the same with --unfinished",
            path.display()
        ))
        .into());
    }
    let report = checkpoint::load(&path, task.parameters(), LoadMode::EncoderOnly, FloatTypes::WithHalf)?;
    let epochs = progress.map(|at| format!(" (epoch {} of {})", at.epoch, at.epochs)).unwrap_or_default();
    eprintln!("initial weights from {}{epochs}\n{report}", path.display());
    Ok(())
}

/// Epochs done, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    epoch: u64,
    epochs: u64,
}

/// How far the pre-training that wrote a checkpoint was; `None` for files of others, and where nobody knows. Headers of
/// version 1 do not say of how many epochs; the configuration of the run, which lies beside the file, does.
fn pretraining_progress(path: &Path, header: &CheckpointHeader) -> Option<Progress> {
    if header.stage != Stage::Pretrain {
        return None;
    }
    let from_config = || {
        let text = mimir_files::read_text(&path.with_file_name("config.toml"), 1 << 20).ok()?;
        let config: toml::Table = text.parse().ok()?;
        config.get("pretrain")?.get("training")?.get("epochs")?.as_integer()?.try_into().ok()
    };
    Some(Progress { epoch: header.epoch?, epochs: header.epochs.or_else(from_config)? })
}

/// Replaces `{seed}` in a path by the seed of the run: seed 1 starts from seed 1 of another experiment.
fn with_seed(path: &Path, seed: u64) -> PathBuf {
    PathBuf::from(path.to_string_lossy().replace("{seed}", &seed.to_string()))
}

/// Random weights have none: the configuration was checked.
fn layer_decay(config: &FinetuneConfig, architecture: Architecture) -> Option<LayerDecay> {
    (config.layer_decay < 1.0).then_some(LayerDecay { decay: config.layer_decay, architecture })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn header(epoch: u64, epochs: Option<u64>) -> CheckpointHeader {
        let architecture = Preset::VitTiny.architecture(32, 4).into();
        CheckpointHeader {
            epoch: Some(epoch),
            epochs,
            ..CheckpointHeader::new(Stage::Pretrain, architecture)
        }
    }

    #[test]
    fn progress_is_in_the_header_or_in_the_configuration_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        let found = |header: &CheckpointHeader| pretraining_progress(&path, header);
        assert_eq!(found(&header(3, Some(8))), Some(Progress { epoch: 3, epochs: 8 }));
        assert_eq!(found(&header(3, None)), None);
        std::fs::write(folder.path().join("config.toml"), "[pretrain.training]\nepochs = 9\n").unwrap();
        assert_eq!(found(&header(3, None)), Some(Progress { epoch: 3, epochs: 9 }));
        assert_eq!(found(&header(3, Some(8))), Some(Progress { epoch: 3, epochs: 8 }));
        assert_eq!(found(&CheckpointHeader { stage: Stage::Finetune, ..header(3, Some(8)) }), None);
    }

    #[test]
    fn a_seed_starts_from_the_same_seed_of_another_experiment() {
        let path = Path::new("runs/mae/seed-{seed}/pretrain/last.safetensors");
        assert_eq!(with_seed(path, 3), Path::new("runs/mae/seed-3/pretrain/last.safetensors"));
    }
}
