//! `manifest.json`: what the model of a bundle is, how images become its input, where it came from, and its files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::certificate::{Preprocessing, Tool};
use crate::digest::FileDigest;
use crate::manifest::{ChannelOrder, ImageShape, Layout, Normalisation, PixelType};

/// What every manifest says of itself.
pub const BUNDLE_FORMAT: &str = "mimir-bundle";

/// The version of the format that this crate writes.
pub const BUNDLE_VERSION: &str = "1.0";

/// The description of the model in a bundle.
///
/// The facts are the maker's: a bundle describes its model, and never how it is to be attacked or judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleManifest {
    /// [`BUNDLE_FORMAT`].
    pub format: String,
    /// `MAJOR.MINOR`, such as [`BUNDLE_VERSION`].
    pub version: String,
    /// The architecture of the network, where it is one that the exporter built.
    pub architecture: Option<Architecture>,
    /// What the model file takes.
    pub input: InputFacts,
    /// How a picture of another size becomes the input; none where only images of the input's size are taken.
    pub preprocessing: Option<Preprocessing>,
    /// Name of the model's output with the scores of the classes.
    pub output: String,
    /// The classes.
    pub classes: Classes,
    /// Outputs of the model besides the scores.
    pub features: Vec<FeatureTensor>,
    /// Where the model came from.
    pub provenance: Provenance,
    /// Every file but this one, the certificates and the signature, in ascending order of their names.
    pub files: Vec<FileDigest>,
}

/// What the model file takes. Attacks and threat models are in pixels of `range`, before the normalisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputFacts {
    /// The shape of one image.
    pub image: ImageShape,
    /// Layout of the file's own input.
    pub layout: Layout,
    /// Element type of the file's own input.
    pub pixel_type: PixelType,
    /// Order of the colours in the file's own input.
    pub channel_order: ChannelOrder,
    /// Least and largest value of a pixel before the normalisation: always 0 and 1.
    pub range: [f64; 2],
    /// What is put in front of the file; none where the file takes pixels of `range`.
    pub normalisation: Option<Normalisation>,
}

/// The classes of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    /// How many there are.
    pub count: usize,
    /// Their names in the order of the scores, each once.
    pub names: Option<Vec<String>>,
}

/// An output of the model besides the scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureTensor {
    /// Its name in the graph.
    pub name: String,
    /// Its shape for one image, without the batch, which is the first dimension of the output.
    pub shape: Vec<usize>,
}

/// Where a model came from. The digests are SHA-256, in lowercase hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The file with the weights.
    pub checkpoint: Option<String>,
    /// The description of the experiment that trained them.
    pub experiment: Option<String>,
    /// The training data.
    pub data: Option<String>,
    /// `manifest.json` of the bundle that this one was made from.
    pub parent: Option<String>,
    /// The program that wrote the bundle.
    pub tool: Tool,
    /// When, RFC 3339 in UTC.
    pub created_at: Option<String>,
}
