//! What reading a model, without running it, shows of how far gradients can be trusted.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One node of a model file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScannedNode {
    /// Its name; of a node that we wrote out, the name of the file's node with something behind it.
    pub name: String,
    /// Its operator.
    pub operator: String,
}

impl fmt::Display for ScannedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node \"{}\" ({})", self.name, self.operator)
    }
}

/// Findings of the static scan of a model, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// Operators whose derivative is zero almost everywhere and that stand between the images and the output: gradients
    /// see only what goes around them.
    pub gradient_cuts: Vec<ScannedNode>,
    /// Operators whose gradient is a stand-in, passed straight through (backward pass differentiable approximation).
    pub straight_through: Vec<ScannedNode>,
    /// Operators that draw random numbers.
    pub random: Vec<ScannedNode>,
    /// Operators that let the images of a batch influence each other: the model is evaluated one image at a time.
    pub mixes_images: Vec<ScannedNode>,
    /// The Softmax over the classes that makes the output probabilities, where there is one.
    pub softmax_outputs: Vec<ScannedNode>,
    /// Other floating-point types than float32 that the file computes in: searches run in float32 copies, and the file
    /// itself decides.
    pub float32_copy_of: Vec<String>,
}
