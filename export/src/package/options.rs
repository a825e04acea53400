//! How a model is packaged.

use mimir_bundle::certificate::{Preprocessing, Tool};
use mimir_bundle::{Loss, Normalisation};

/// Weights of more bytes go beside the file by default.
pub(super) const MOST_INSIDE: usize = 100_000_000;

/// The type of weights and arithmetic. Images and logits are float32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32 bits.
    #[default]
    Float32,
    /// 16 bits, 11 of them significant: half the size.
    Float16,
}

/// Where weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightPlace {
    /// Inside up to 100 MB, else beside; beside where gradient graphs share them.
    #[default]
    BySize,
    /// In `NAME.onnx.data` beside the file.
    Beside,
}

/// Where pixels are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NormalisationPlace {
    /// Named in the description: whoever runs the model normalises.
    #[default]
    Manifest,
    /// By nodes of the graph: the model takes pixels in `[0, 1]`.
    Graph,
}

/// How a model is packaged.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageOptions {
    /// Name of the model's file.
    pub file_name: String,
    /// Opset, 17 to 23.
    pub opset: u32,
    /// Type of weights and arithmetic.
    pub precision: Precision,
    /// Where weights are stored.
    pub weights: WeightPlace,
    /// What the network was trained to see in place of pixels in `[0, 1]`.
    pub normalisation: Option<Normalisation>,
    /// Where that happens.
    pub normalisation_place: NormalisationPlace,
    /// How a picture of another size becomes the input.
    pub preprocessing: Option<Preprocessing>,
    /// Names of the classes in the order of the logits.
    pub class_names: Option<Vec<String>>,
    /// Whether the encoder's tokens are an output, `features`.
    pub features: bool,
    /// Losses that gradient graphs are added for.
    pub gradients: Vec<Loss>,
    /// The program that packages.
    pub tool: Tool,
    /// When, RFC 3339 in UTC.
    pub created_at: Option<String>,
}
