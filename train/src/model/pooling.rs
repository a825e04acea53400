//! Pooling in front of the head of a classifier.

use serde::{Deserialize, Serialize};

/// Pooling in front of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean of the patch tokens, then `fc_norm`; the encoder's own final `norm` is not used.
    Mean,
    /// The class token after the encoder's final `norm`.
    ClassToken,
}
