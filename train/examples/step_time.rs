//! Seconds of one training step of MAE, MIMIR and PGD-3 on made-up images, for scripts/compare-train:
//!
//! ```sh
//! cargo run --release -p mimir-train --example step_time -- quick 128 10 2
//! ```
//!
//! The arguments are the network (`quick` or `vit_tiny`), images in a batch, repeats, threads, and where wanted the precision
//! (`float32`, the default, or `bfloat16`). One JSON object a line, with the times of all repeats. Each step is loss, gradient and AdamW,
//! as the trainer takes it, without loader and log (`mimir_train::efficiency`).

use anyhow::{Context, Result, bail};
use mimir_train::config::{Experiment, Precision};
use mimir_train::efficiency::{Work, step_times};
use mimir_train::model::DecoderShape;
use tch::Device;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (network, batch, repeats, threads, precision) = match &arguments[..] {
        [network, batch, repeats, threads] => (network, batch, repeats, threads, "float32"),
        [network, batch, repeats, threads, precision] => {
            (network, batch, repeats, threads, precision.as_str())
        }
        _ => bail!("wanted NETWORK BATCH REPEATS THREADS [PRECISION]"),
    };
    mimir_train::allocator::keep_freed_memory();
    tch::set_num_threads(threads.parse().context("THREADS")?);
    let (batch, repeats) = (batch.parse().context("BATCH")?, repeats.parse().context("REPEATS")?);
    for (step, work) in [("mae", Work::Mae), ("mimir", Work::Mimir), ("pgd-3", Work::Pgd3)] {
        let experiment = experiment(network, work, batch, precision)?;
        let seconds = step_times(&experiment, repeats, Device::Cpu)?;
        println!("{}", serde_json::json!({ "network": network, "step": step, "seconds": seconds }));
    }
    Ok(())
}

fn experiment(network: &str, work: Work, batch: usize, precision: &str) -> Result<Experiment> {
    let (sizes, decoder) = match network {
        "quick" => (
            "family = \"vit\"\nwidth = 96\ndepth = 4\nheads = 3",
            DecoderShape { width: 64, depth: 1, heads: 4 },
        ),
        "vit_tiny" => ("name = \"vit_tiny\"", DecoderShape { width: 128, depth: 2, heads: 16 }),
        _ => bail!("`{network}` is no network; wanted quick or vit_tiny"),
    };
    let precision = match precision {
        "float32" => Precision::Float32,
        "bfloat16" => Precision::Bfloat16,
        _ => bail!("`{precision}` is no precision; wanted float32 or bfloat16"),
    };
    let model = format!("{sizes}\npatch_size = 4\nimage_size = 32\n");
    let mut experiment = work.experiment(&model, 10, batch, precision)?;
    if let Some(pretrain) = &mut experiment.pretrain {
        pretrain.decoder = decoder;
    }
    // The other side has no stochastic depth.
    if let Some(finetune) = &mut experiment.finetune {
        finetune.drop_path = 0.0;
    }
    Ok(experiment)
}
