//! Settings that belong to a data set, under one name.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A data set as models are usually evaluated on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PresetName {
    /// ImageNet: --resize 256 --crop 224 --interpolation bilinear, and its mean and standard deviation
    Imagenet,
}
