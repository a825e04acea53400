//! `mimir-train finetune`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::args::FinetuneArguments;
use crate::checkpoint::{self, FloatTypes, LoadMode};
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
        load_initial_weights(&task, &config, &runs, experiment.seed)?;
    }
    let folder = stage::folder(&arguments.train, &path, &experiment)?;
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
    if let (Some(initial), Some(finetune)) = (arguments.initial_weights, &mut experiment.finetune) {
        finetune.initial_weights = initial;
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

fn load_initial_weights(task: &Finetuning, config: &FinetuneConfig, runs: &Path, seed: u64) -> Result<()> {
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
    let report = checkpoint::load(&path, task.parameters(), LoadMode::EncoderOnly, FloatTypes::WithHalf)?;
    eprintln!("initial weights from {}\n{report}", path.display());
    Ok(())
}

/// Replaces `{seed}` in a path by the seed of the run: seed 1 starts from seed 1 of another experiment.
fn with_seed(path: &Path, seed: u64) -> PathBuf {
    PathBuf::from(path.to_string_lossy().replace("{seed}", &seed.to_string()))
}

fn layer_decay(config: &FinetuneConfig, architecture: Architecture) -> Option<LayerDecay> {
    (config.layer_decay < 1.0).then_some(LayerDecay { decay: config.layer_decay, architecture })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_starts_from_the_same_seed_of_another_experiment() {
        let path = Path::new("runs/mae/seed-{seed}/pretrain/last.safetensors");
        assert_eq!(with_seed(path, 3), Path::new("runs/mae/seed-3/pretrain/last.safetensors"));
    }
}
