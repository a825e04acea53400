//! `mimir-train pretrain`.

use std::process::ExitCode;

use anyhow::Result;
use mimir_bundle::checkpoint::Stage;

use crate::args::TrainArguments;
use crate::command::{options, stage};
use crate::config::ConfigError;
use crate::device;
use crate::images::TrainingImages;
use crate::stage::Pretraining;

pub(super) fn run(arguments: &TrainArguments) -> Result<ExitCode> {
    let experiment = options::experiment(&arguments.experiment)?;
    let Some(config) = experiment.pretrain.clone() else {
        return Err(
            ConfigError::NoStage { path: arguments.experiment.config.clone(), stage: "pretrain" }.into()
        );
    };
    if arguments.print_config {
        print!("{}", experiment.to_toml());
        return Ok(ExitCode::SUCCESS);
    }
    let architecture = experiment.model.architecture()?;
    let device = device::open(arguments.experiment.device, config.training.precision)?;
    let images = TrainingImages::open(&experiment, &config.augmentation, config.training.batch)?;
    let runs = options::runs_folder(&arguments.experiment, &experiment);
    let task = Pretraining::new(&experiment, architecture, config.clone(), device)?;
    let folder =
        stage::folder(arguments, &stage::stage_folder(&runs, "pretrain"), &experiment, Stage::Pretrain)?;
    let section = stage::StageConfig {
        training: &config.training,
        optimizer: &config.optimizer,
        schedule: &config.schedule,
        layer_decay: None,
        ema_decay: None,
    };
    stage::run(arguments, &experiment, &task, section, &images, &folder)
}
