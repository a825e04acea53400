//! From a checkpoint to the files of a bundle: the model, its weights beside it, gradient graphs, and the description; and
//! from an ONNX file of any origin, which stays as it is.
//!
//! [`package`] and [`package_onnx`] make everything in memory; whoever calls it writes it. Equal checkpoints and options
//! give equal bytes.

mod description;
mod files;
mod gradients;
mod onnx_file;
mod options;

pub use onnx_file::{OnnxDescription, package_onnx};
pub use options::{NormalisationPlace, PackageOptions, Precision, WeightPlace};

#[cfg(test)]
mod tests;

use bytes::Bytes;
use mimir_bundle::bundle::BundleManifest;

use crate::error::Result;
use crate::float16::to_float16;
use crate::network::{self, BuildOptions, Checkpoint, Network};

/// The files of a model, and what describes them.
#[derive(Debug)]
pub struct Package {
    /// The description; its list of files is empty until they are written.
    pub manifest: BundleManifest,
    /// Name and content of each file.
    pub files: Vec<(String, Bytes)>,
    /// Number of weights of the network, or of elements of all constants of an ONNX file.
    pub parameters: usize,
}

/// Builds the files of the network with the weights of the checkpoint.
///
/// # Errors
/// As [`build`](network::build), [`to_float16`] and [`gradient_onnx`](crate::ImageClassifier::gradient_onnx); a file of
/// more than 2 GiB.
pub fn package(checkpoint: Checkpoint, network: &Network, options: &PackageOptions) -> Result<Package> {
    let in_graph =
        (options.normalisation_place == NormalisationPlace::Graph).then(|| options.normalisation.clone());
    let build = BuildOptions { opset: options.opset, normalisation: in_graph.flatten() };
    let mut manifest = description::describe(&checkpoint, network, options);
    let mut graph = network::build(checkpoint, network, &build)?;
    if options.features {
        manifest.features = vec![description::add_features(&mut graph)?];
    }
    let parameters = network.parameters().iter().map(|(_, dims)| dims.iter().product::<usize>()).sum();
    let files = match options.precision {
        Precision::Float32 => files::files(graph, &manifest, options)?,
        Precision::Float16 => files::files(to_float16(graph)?, &manifest, options)?,
    };
    Ok(Package { manifest, files, parameters })
}
