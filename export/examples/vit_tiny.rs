//! Writes a ViT-T for CIFAR-10 with random weights: 12 blocks, width 192, 3 heads, patches of 4, 5.4 million
//! parameters.
//!
//! ```text
//! cargo run --release -p mimir-export --example vit_tiny -- OUT.onnx [SEED]
//! ```
//!
//! With random weights one class wins on every image; `scripts/reference/compare.py` balances the logits before it uses
//! the model.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use mimir_export::onnx::write_model;
use mimir_export::vit::{VitConfig, vit};

fn main() -> ExitCode {
    match arguments().and_then(|(path, seed)| write(&path, seed)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vit_tiny: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The file to write and the seed of the weights, `0` where none is given.
fn arguments() -> Result<(PathBuf, u64), Box<dyn Error>> {
    let mut words = env::args_os().skip(1);
    let path = words.next().ok_or("usage: vit_tiny OUT.onnx [SEED]")?;
    let seed = match words.next() {
        Some(word) => word.to_string_lossy().parse().map_err(|_| "SEED must be a whole number")?,
        None => 0,
    };
    if words.next().is_some() {
        return Err("usage: vit_tiny OUT.onnx [SEED]".into());
    }
    Ok((path.into(), seed))
}

fn write(path: &PathBuf, seed: u64) -> Result<(), Box<dyn Error>> {
    let graph = vit(VitConfig::TINY_CIFAR10, seed)?;
    fs::write(path, write_model(&graph)?).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(())
}
