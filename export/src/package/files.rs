//! The files of a graph.

use bytes::Bytes;
use mimir_bundle::bundle::BundleManifest;

use super::gradients::gradient_graphs;
use super::options::{MOST_INSIDE, PackageOptions, WeightPlace};
use crate::error::Result;
use crate::graph::Graph;
use crate::onnx::{WeightFile, write_model};

/// The model, its weights where they are beside it, and the gradient graphs.
///
/// # Errors
/// As [`package`](super::package).
pub(super) fn files(
    graph: Graph,
    manifest: &BundleManifest,
    options: &PackageOptions,
) -> Result<Vec<(String, Bytes)>> {
    let name = options.file_name.clone();
    let beside = options.weights == WeightPlace::Beside
        || !options.gradients.is_empty()
        || constant_bytes(&graph) > MOST_INSIDE;
    if !beside {
        return Ok(vec![(name, write_model(&graph)?.into())]);
    }
    let mut weights = WeightFile::new(format!("{name}.data"));
    let model = weights.write_model(&graph)?;
    let mut files = vec![(name, model.into())];
    for (name, gradient) in gradient_graphs(graph, manifest, &options.gradients)? {
        let mut own = WeightFile::new(format!("{name}.data"));
        let model = weights.write_sharing_model(&gradient, &mut own, MOST_INSIDE)?;
        files.extend([(name, Bytes::from(model))].into_iter().chain(data_file(own)));
    }
    files.extend(data_file(weights));
    Ok(files)
}

/// Name and content of a file of weights; nothing where it is empty.
fn data_file(weights: WeightFile) -> Option<(String, Bytes)> {
    let name = weights.location().to_owned();
    (weights.bytes() > 0).then(|| (name, weights.into_bytes()))
}

/// Bytes of all constants.
fn constant_bytes(graph: &Graph) -> usize {
    graph.constants().map(|(_, tensor)| tensor.data().len()).sum()
}
