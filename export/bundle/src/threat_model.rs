//! What the adversary may do: move an image within a ball, inside the box of valid pixels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The norm that measures a perturbation, over all pixels and channels of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Largest absolute change of any pixel value.
    Linf,
    /// Euclidean length of the change.
    L2,
}

/// A ball around each image, intersected with the box `[0, 1]` of valid pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThreatModel {
    /// How distance is measured.
    pub norm: Norm,
    /// Radius of the ball, in pixels of `[0, 1]` (`8/255`, not `8`).
    pub epsilon: f64,
}
