//! Pictures of the loss: margins on a plane around an image, and losses on a plane around the weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was drawn of the loss.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Landscapes {
    /// Planes around images.
    pub images: Vec<InputLandscape>,
    /// The plane around the weights; none where the model has none, or they could not be moved.
    pub weights: Option<WeightLandscape>,
}

/// Margins of the original model on the plane through an image along an adversarial and a random direction, both as long as
/// the radius in the norm of the threat model. Points outside the box are brought back to it, pixel by pixel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputLandscape {
    /// Position in the evaluation set.
    pub image: usize,
    /// Its true class.
    pub label: usize,
    /// Steps along both directions, in radii: 0 is the image.
    pub axis: Vec<f64>,
    /// `z_y - max of the others`, a row for each step along the random direction, in it one for each step along the adversarial
    /// one; none where it is not finite.
    pub margins: Vec<Vec<Option<f32>>>,
}

/// Mean cross-entropy and accuracy of some images, where the weights are moved along two random directions whose filters are as
/// long as those of the weights (Li et al., "Visualizing the Loss Landscape of Neural Nets", NeurIPS 2018).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightLandscape {
    /// The first images of the set, so many.
    pub images: usize,
    /// Weight tensors that are moved.
    pub tensors: usize,
    /// Steps along both directions, in lengths of the weights: 0 is the model.
    pub axis: Vec<f64>,
    /// Mean cross-entropy, a row for each step along the second direction; none where it is not finite.
    pub losses: Vec<Vec<Option<f64>>>,
    /// Share of the images that are classified correctly.
    pub accuracies: Vec<Vec<f64>>,
}
