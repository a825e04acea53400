//! Words for choices that both the flags and a `[[gate]]` have.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Norm of the perturbation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NormName {
    Linf,
    L2,
    L1,
}

/// What is held against the required attacked accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GateOnName {
    /// The attacked accuracy on these images
    Estimate,
    /// The lower end of its interval too
    Lower,
}
