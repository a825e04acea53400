//! What a reader must know beside the numbers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something unusual about the model or the run. `Display` is a sentence for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Warning {
    /// The model returns probabilities: gradients were taken of their logarithm.
    ProbabilityOutput,
    /// The file takes one image a call; we changed its batch dimension and its logits stayed the same.
    Rebatched,
    /// The file takes one image a call and was evaluated so.
    BatchOfOne,
    /// The file takes one image a call, could be changed, but its logits did not stay the same.
    RebatchingChangesLogits,
    /// The model classifies no image correctly: there was nothing to attack.
    NothingToAttack,
    /// The model is hardly better than chance on the images as they are.
    NearChance {
        /// Share of images classified correctly.
        clean_accuracy: f64,
        /// Number of classes.
        classes: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProbabilityOutput => f.write_str(
                "the model returns probabilities (softmax output): gradients were taken of their logarithm, \
                 without which cross entropy saturates; a probability that rounded to 0 or 1 still has none. \
                 Export the model without its last softmax",
            ),
            Self::Rebatched => f.write_str(
                "the file takes one image a call: its batch dimension was changed for speed, and the logits were \
                 checked to stay the same",
            ),
            Self::BatchOfOne => f.write_str(
                "the file takes one image a call and its batch dimension could not be changed: evaluated one image \
                 at a time, which is slow. Export the model with a dynamic batch",
            ),
            Self::RebatchingChangesLogits => f.write_str(
                "the file takes one image a call, and with another batch dimension it gives other logits: evaluated \
                 one image at a time, which is slow. Export the model with a dynamic batch",
            ),
            Self::NothingToAttack => f.write_str(
                "the model classifies no image correctly, so there was nothing to attack. Check normalisation \
                 (--mean, --std), --layout and the labels",
            ),
            Self::NearChance { clean_accuracy, classes } => write!(
                f,
                "the clean accuracy of {:.1} % is hardly above chance for {classes} classes. Check normalisation \
                 (--mean, --std), --layout and the labels",
                100.0 * clean_accuracy,
            ),
        }
    }
}
