//! Seconds of one training step of MAE, MIMIR and PGD-3 on made-up images, for scripts/compare-train:
//!
//! ```sh
//! cargo run --release -p mimir-train --example step_time -- quick 128 10 2
//! ```
//!
//! The arguments are the network (`quick` or `vit_tiny`), images in a batch, repeats and threads. One JSON object a
//! line, with the least time of the repeats. Each step is loss, gradient and AdamW, as the trainer takes it, without
//! loader and log.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use mimir_train::config::Experiment;
use mimir_train::optim::{AdamW, AdamWOptions, FlatParameters, ParameterGroups, clip};
use mimir_train::random::BatchRng;
use mimir_train::stage::{Finetuning, MicroBatch, Pretraining, Task};
use tch::{Device, Tensor};

const PRETRAIN: &str = r#"
[pretrain]
method = "METHOD"
[pretrain.training]
batch = 128
epochs = 1
[pretrain.optimizer]
betas = [0.9, 0.95]
weight_decay = 0.05
[pretrain.schedule]
base_learning_rate = 1e-4
[pretrain.decoder]
DECODER
"#;

const ADVERSARY: &str = r#"
[pretrain.adversary]
variant = "paper"
epsilon = "8/255"
step_size = "10/255"
steps = 1
[pretrain.penalty]
"#;

const FINETUNE: &str = r#"
[finetune]
label_smoothing = 0.1
[finetune.training]
batch = 128
epochs = 1
[finetune.optimizer]
betas = [0.9, 0.999]
weight_decay = 0.05
[finetune.schedule]
base_learning_rate = 1e-4
[finetune.attack]
kind = "pgd"
epsilon = "8/255"
step_size = "2/255"
steps = 3
"#;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, batch, repeats, threads] = &arguments[..] else {
        bail!("wanted NETWORK BATCH REPEATS THREADS");
    };
    tch::set_num_threads(threads.parse().context("THREADS")?);
    let (batch, repeats) = (batch.parse().context("BATCH")?, repeats.parse().context("REPEATS")?);
    for step in ["mae", "mimir", "pgd-3"] {
        let seconds = least_seconds(task(network, step)?.as_ref(), batch, repeats)?;
        println!("{}", serde_json::json!({ "network": network, "step": step, "seconds": seconds }));
    }
    Ok(())
}

fn task(network: &str, step: &str) -> Result<Box<dyn Task>> {
    let (sizes, decoder) = match network {
        "quick" => ("family = \"vit\"\nwidth = 96\ndepth = 4\nheads = 3", "width = 64\ndepth = 1\nheads = 4"),
        "vit_tiny" => ("name = \"vit_tiny\"", "width = 128\ndepth = 2\nheads = 16"),
        _ => bail!("`{network}` is no network; wanted quick or vit_tiny"),
    };
    let model = format!("[model]\n{sizes}\npatch_size = 4\nimage_size = 32\n");
    let data = "[data]\nsource = \"cifar10:none\"\nclasses = 10\n";
    let pretrain = PRETRAIN.replace("METHOD", step).replace("DECODER", decoder);
    let stage = match step {
        "mae" => pretrain,
        "mimir" => pretrain + ADVERSARY,
        _ => FINETUNE.to_string(),
    };
    let experiment: Experiment = toml::from_str(&format!("{model}{data}{stage}"))?;
    experiment.check()?;
    let architecture = experiment.model.architecture()?;
    if let Some(config) = experiment.pretrain.clone() {
        return Ok(Box::new(Pretraining::new(&experiment, architecture, config, Device::Cpu)?));
    }
    let config = experiment.finetune.clone().context("no stage")?;
    Ok(Box::new(Finetuning::new(&experiment, architecture, config, Device::Cpu)))
}

fn least_seconds(task: &dyn Task, batch: usize, repeats: usize) -> Result<f64> {
    let groups = ParameterGroups { weight_decay: 0.05, no_decay: Vec::new(), layer_decay: None };
    let flat = FlatParameters::bind(task.parameters(), &groups);
    let mut optimizer = AdamW::new(&flat, AdamWOptions { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 });
    let images = Tensor::rand([batch as i64, 3, 32, 32], (tch::Kind::Float, Device::Cpu));
    let labels = Tensor::arange(batch as i64, (tch::Kind::Int64, Device::Cpu)).remainder(10);
    let ids: Vec<u64> = (0..batch as u64).collect();
    let mut least = f64::INFINITY;
    // The first step warms up and is not counted.
    for repeat in 0..=repeats {
        let start = Instant::now();
        flat.zero_gradients();
        let rng = BatchRng { seed: 0, epoch: repeat as u64, sample_ids: &ids };
        let micro_batch =
            MicroBatch { images: images.shallow_clone(), labels: labels.shallow_clone(), rng, epoch: 0.5 };
        let loss = task.loss(&micro_batch)?.total;
        loss.backward();
        clip::clip_gradients(&flat, None);
        optimizer.step(&flat, 1e-4);
        let _ = loss.double_value(&[]);
        if repeat > 0 {
            least = least.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(least)
}
