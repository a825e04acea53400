//! Gradient graphs of a model, under the names that a bundle has for them.

use mimir_bundle::Loss;
use mimir_bundle::bundle::BundleManifest;

use crate::classifier::{ImageClassifier, InputSpec};
use crate::error::Result;
use crate::graph::Graph;
use crate::onnx::ModelFile;

/// Name and graph for each loss: from pixels in `[0, 1]`, the normalisation that the description names included, of the
/// model's own weights.
///
/// # Errors
/// As [`ImageClassifier::gradient_graph_keeping_weights`].
pub(super) fn gradient_graphs(
    graph: Graph,
    manifest: &BundleManifest,
    losses: &[Loss],
) -> Result<Vec<(String, Graph)>> {
    if losses.is_empty() {
        return Ok(Vec::new());
    }
    let file = ModelFile {
        graph,
        open_inputs: Vec::new(),
        ir_version: 0,
        producer: String::new(),
        files: Vec::new(),
    };
    let spec = InputSpec {
        normalisation: manifest.input.normalisation.clone(),
        output: Some(manifest.output.clone()),
        ..InputSpec::default()
    };
    let classifier = ImageClassifier::new(file, &spec)?;
    let graphs =
        losses.iter().map(|loss| Ok((file_name(*loss), classifier.gradient_graph_keeping_weights(*loss)?)));
    graphs.collect()
}

/// `gradient-targeted-dlr.onnx`
fn file_name(loss: Loss) -> String {
    format!("gradient-{}.onnx", loss.name())
}
