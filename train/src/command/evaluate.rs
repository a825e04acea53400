//! `mimir-train evaluate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use mimir_bundle::checkpoint::CheckpointHeader;
use mimir_bundle::digest::digest_bytes;
use serde_json::json;

use crate::accuracy::{self, Accuracy, PgdAttack};
use crate::args::EvaluateArguments;
use crate::checkpoint::{self, FloatTypes, LoadMode};
use crate::command::error::Usage;
use crate::command::{finetune, options, stage};
use crate::config::{
    ConfigError, EvaluateConfig, EvaluatedPart, EvaluatedSet, Experiment, FinetuneConfig, Precision,
};
use crate::device;
use crate::images::EvaluationSet;
use crate::stage::{Finetuning, Task};

/// A classifier with the weights that are evaluated.
pub(super) struct Loaded {
    pub(super) task: Finetuning,
    pub(super) weights: PathBuf,
    pub(super) experiment: Experiment,
}

pub(super) fn run(arguments: &EvaluateArguments) -> Result<ExitCode> {
    let (Loaded { task, weights, experiment }, images) = load(arguments, arguments.images)?;
    let evaluate = &experiment.evaluate;
    let attack =
        PgdAttack { epsilon: evaluate.epsilon.0, step_size: evaluate.step_size.0, steps: evaluate.steps };
    let batches = images.batches(task.parameters().device());
    let accuracy = accuracy::measure(|x| task.classify(x), batches, Some(&attack))?;
    print(&weights, evaluate, &accuracy);
    write(&weights, &experiment, &accuracy)?;
    Ok(ExitCode::SUCCESS)
}

/// The classifier of an experiment and the images that it is evaluated on; `part` of them, or what the file says.
pub(super) fn load(
    arguments: &EvaluateArguments,
    part: Option<EvaluatedPart>,
) -> Result<(Loaded, EvaluationSet)> {
    let mut experiment = options::experiment(&arguments.experiment)?;
    experiment.evaluate.images = part.or(experiment.evaluate.images);
    let Some(mut config) = experiment.finetune.clone() else {
        let path = arguments.experiment.config.clone();
        return Err(ConfigError::NoStage { path, stage: "finetune" }.into());
    };
    // In float32, whatever precision was used for training.
    config.training.precision = Precision::Float32;
    let weights = weights(arguments, &experiment, &config)?;
    let device = device::open(arguments.experiment.device, Precision::Float32)?;
    let task = Finetuning::new(&experiment, experiment.model.architecture()?, config, device);
    checkpoint::load(&weights, task.parameters(), LoadMode::Strict, FloatTypes::WithHalf)?;
    let images = EvaluationSet::open(&experiment)?;
    if experiment.evaluate.on == EvaluatedSet::Test {
        refuse_training_images(&weights, &images)?;
    }
    Ok((Loaded { task, weights, experiment }, images))
}

fn weights(
    arguments: &EvaluateArguments,
    experiment: &Experiment,
    config: &FinetuneConfig,
) -> Result<PathBuf> {
    if let Some(weights) = &arguments.weights {
        return stage::require_file(weights.clone(), "give --weights a file that exists");
    }
    let runs = options::runs_folder(&arguments.experiment, experiment);
    let folder = stage::stage_folder(&runs, finetune::folder_name(config));
    let best = folder.join("best.safetensors");
    if best.is_file() {
        return Ok(best);
    }
    stage::require_file(
        folder.join("last.safetensors"),
        "run `mimir-train finetune` with this configuration and seed first, or name a checkpoint with --weights",
    )
}

/// A test set that is the training set of the checkpoint, under whatever path, says nothing.
fn refuse_training_images(weights: &std::path::Path, images: &EvaluationSet) -> Result<()> {
    let Some(sha256) = stage::header(weights)?.and_then(|header: CheckpointHeader| header.data) else {
        return Ok(());
    };
    if images.is_training_set(&sha256)? {
        let found = format!("the test set is the set that {} was trained on", weights.display());
        return Err(Usage(format!("{found}; give other images with data.test or --test")).into());
    }
    Ok(())
}

fn print(weights: &std::path::Path, config: &EvaluateConfig, accuracy: &Accuracy) {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    println!("checkpoint       {}", weights.display());
    println!("images           {}", accuracy.images());
    println!("clean accuracy   {}", percent(accuracy.clean()));
    if let Some(robust) = accuracy.robust() {
        println!(
            "after PGD-{}     {}  (ε {}, step {}; an upper bound of robust accuracy)",
            config.steps,
            percent(robust),
            config.epsilon,
            config.step_size
        );
    }
}

/// Writes `evaluation.json` next to the checkpoint.
fn write(weights: &std::path::Path, experiment: &Experiment, accuracy: &Accuracy) -> Result<()> {
    let path = weights.with_file_name("evaluation.json");
    let value = json!({
        "weights": weights.file_name().map(|name| name.to_string_lossy()),
        "weights_sha256": digest_bytes(&mimir_files::read(weights, 1 << 36)?),
        "seed": experiment.seed,
        "attack": experiment.evaluate,
        "images": accuracy.images(),
        "clean_accuracy": accuracy.clean(),
        "attacked_accuracy": accuracy.robust(),
        "outcomes": accuracy.outcomes,
    });
    let written = mimir_files::replace(&path, format!("{value:#}\n").as_bytes());
    written.with_context(|| format!("cannot write {}", path.display()))
}
