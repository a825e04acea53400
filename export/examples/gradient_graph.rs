//! Writes the graphs that are made from a model, for inspection or profiling:
//!
//! ```sh
//! cargo run --release -p mimir-export --example gradient_graph -- model.onnx out/
//! ```
//!
//! leaves `original.onnx`, `forward.onnx` and `gradient.onnx` (cross-entropy) in the folder.

use std::path::Path;

use mimir_bundle::Loss;
use mimir_export::onnx::{Limits, read_model};
use mimir_export::{ImageClassifier, InputSpec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder] = &arguments[..] else { return Err("wanted MODEL FOLDER".into()) };
    let classifier =
        ImageClassifier::new(read_model(Path::new(model), &Limits::default())?, &InputSpec::default())?;
    std::fs::create_dir_all(folder)?;
    for (name, bytes) in [
        ("original.onnx", classifier.original_onnx()?),
        ("forward.onnx", classifier.forward_onnx()?),
        ("gradient.onnx", classifier.gradient_onnx(Loss::CrossEntropy)?),
    ] {
        std::fs::write(Path::new(folder).join(name), bytes)?;
    }
    Ok(())
}
