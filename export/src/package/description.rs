//! The description of a model that was built from a checkpoint.

use mimir_bundle::bundle::{
    BUNDLE_FORMAT, BUNDLE_VERSION, BundleManifest, Classes, FeatureTensor, InputFacts, Provenance,
};
use mimir_bundle::{ChannelOrder, ImageShape, Layout, PixelType, tensor_names};

use super::options::{NormalisationPlace, PackageOptions};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::network::{Checkpoint, Network};

/// Everything but the features and the files.
pub(super) fn describe(
    checkpoint: &Checkpoint,
    network: &Network,
    options: &PackageOptions,
) -> BundleManifest {
    let header = checkpoint.header.as_ref();
    let side = network.architecture.image_size;
    BundleManifest {
        format: BUNDLE_FORMAT.to_owned(),
        version: BUNDLE_VERSION.to_owned(),
        architecture: Some(network.architecture),
        input: InputFacts {
            image: ImageShape { channels: network.channels, height: side, width: side },
            layout: Layout::Nchw,
            pixel_type: PixelType::Float,
            channel_order: ChannelOrder::Rgb,
            range: [0.0, 1.0],
            normalisation: match options.normalisation_place {
                NormalisationPlace::Manifest => options.normalisation.clone(),
                NormalisationPlace::Graph => None,
            },
        },
        preprocessing: options.preprocessing,
        output: tensor_names::LOGITS.to_owned(),
        classes: Classes { count: network.classes, names: options.class_names.clone() },
        features: Vec::new(),
        provenance: Provenance {
            checkpoint: Some(checkpoint.digest.sha256.clone()),
            experiment: header.and_then(|header| header.experiment.clone()),
            data: header.and_then(|header| header.data.clone()),
            parent: None,
            tool: options.tool.clone(),
            created_at: options.created_at.clone(),
        },
        files: Vec::new(),
    }
}

/// Makes the encoder's tokens an output.
///
/// # Errors
/// When the graph has none.
pub(super) fn add_features(graph: &mut Graph) -> Result<FeatureTensor> {
    let name = tensor_names::FEATURES;
    let id = graph.find(name).ok_or_else(|| Error::shape("is not in the graph").at_tensor(name))?;
    let shape = graph.shape(id)?.0.iter().skip(1).map(|dim| dim.fixed());
    let shape = shape.collect::<Option<Vec<usize>>>();
    graph.add_output(id);
    let shape = shape.ok_or_else(|| Error::shape("has dimensions that are not fixed").at_tensor(name))?;
    Ok(FeatureTensor { name: name.to_owned(), shape })
}
