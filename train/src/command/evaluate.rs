//! `mimir-train evaluate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;

use crate::args::EvaluateArguments;
use crate::checkpoint::{self, Floats, Load};
use crate::command::{finetune, options, stage};
use crate::config::{ConfigError, EvaluateConfig, Experiment, FinetuneConfig, Precision};
use crate::device;
use crate::images::Evaluated;
use crate::measure::{self, Accuracy, PgdAttack};
use crate::model::Classifier;
use crate::parameters::Parameters;

pub(super) fn run(arguments: &EvaluateArguments) -> Result<ExitCode> {
    let mut experiment = options::experiment(&arguments.experiment)?;
    experiment.evaluate.images = arguments.images.or(experiment.evaluate.images);
    let Some(config) = experiment.finetune.clone() else {
        let path = arguments.experiment.config.clone();
        return Err(ConfigError::NoStage { path, stage: "finetune" }.into());
    };
    let weights = weights(arguments, &experiment, &config)?;
    let device = device::open(arguments.experiment.device, Precision::Float32)?;
    let (parameters, model) = classifier(&experiment, &config, device)?;
    checkpoint::load(&weights, &parameters, Load::Strict, Floats::AlsoHalf)?;

    let evaluate = &experiment.evaluate;
    let images = Evaluated::test_set(&experiment)?;
    let attack =
        PgdAttack { epsilon: evaluate.epsilon.0, step_size: evaluate.step_size.0, steps: evaluate.steps };
    let batches = images.batches(device);
    let accuracy = measure::accuracy(|x| model.logits(x, None), batches, Some(&attack))?;
    print(&weights, evaluate, &accuracy);
    write(&weights, &experiment, &accuracy)?;
    Ok(ExitCode::SUCCESS)
}

/// In float32, whatever the training ran in.
fn classifier(
    experiment: &Experiment,
    config: &FinetuneConfig,
    device: tch::Device,
) -> Result<(Parameters, Classifier)> {
    let architecture = experiment.model.architecture()?;
    let mut parameters = Parameters::new(experiment.seed, device);
    let pooling = config.pooling.unwrap_or(architecture.family.pooling());
    let classes = experiment.data.classes;
    let model = Classifier::new(
        &mut parameters.root(),
        &architecture,
        pooling,
        classes,
        config.head_std,
        tch::Kind::Float,
    );
    Ok((parameters, model))
}

fn weights(
    arguments: &EvaluateArguments,
    experiment: &Experiment,
    config: &FinetuneConfig,
) -> Result<PathBuf> {
    if let Some(weights) = &arguments.weights {
        return stage::needed(weights.clone(), "give --weights a file that exists");
    }
    let runs = options::runs_folder(&arguments.experiment, experiment);
    let folder = stage::stage_folder(&runs, finetune::folder_name(config));
    let best = folder.join("best.safetensors");
    if best.is_file() {
        return Ok(best);
    }
    stage::needed(
        folder.join("last.safetensors"),
        "run `mimir-train finetune` with this configuration and seed first, or name a checkpoint with --weights",
    )
}

fn print(weights: &std::path::Path, config: &EvaluateConfig, accuracy: &Accuracy) {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    println!("checkpoint       {}", weights.display());
    println!("images           {}", accuracy.images);
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

/// Beside the checkpoint: `evaluation.json`.
fn write(weights: &std::path::Path, experiment: &Experiment, accuracy: &Accuracy) -> Result<()> {
    let path = weights.with_file_name("evaluation.json");
    let value = json!({
        "weights": weights.file_name().map(|name| name.to_string_lossy()),
        "seed": experiment.seed,
        "attack": experiment.evaluate,
        "images": accuracy.images,
        "clean_accuracy": accuracy.clean(),
        "attacked_accuracy": accuracy.robust(),
    });
    std::fs::write(&path, format!("{value:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}
