//! A checkpoint of mimir-train or timm as an ONNX file.
//!
//! ```text
//! cargo run --release -p mimir-export --example export_checkpoint -- WEIGHTS.safetensors MODEL.onnx [ARCHITECTURE]
//! ```

use std::path::Path;

use mimir_export::network::{BuildOptions, Checkpoint, Wanted, build, describe};
use mimir_export::onnx::write_model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, model, architecture @ ..] = arguments.as_slice() else {
        return Err("wanted WEIGHTS.safetensors MODEL.onnx [ARCHITECTURE]".into());
    };
    let checkpoint = Checkpoint::read(Path::new(weights))?;
    let wanted = Wanted { architecture: architecture.first().cloned(), ..Wanted::default() };
    let network = describe(&checkpoint, &wanted)?;
    let graph = build(checkpoint, &network, &BuildOptions::default())?;
    std::fs::write(model, write_model(&graph)?)?;
    println!("{network:?}");
    Ok(())
}
