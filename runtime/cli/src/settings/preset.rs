//! Settings that belong to a data set, under one name.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::fraction::Fraction;
use super::picture_size::PictureSize;
use super::{InterpolationName, Settings};

/// A data set as models are usually evaluated on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PresetName {
    /// ImageNet: --resize 256 --crop 224 --interpolation bilinear, and its mean and standard deviation
    Imagenet,
}

impl PresetName {
    /// The settings that it stands for, where no flag and no file says otherwise.
    pub(super) fn settings(self) -> Settings {
        match self {
            // torchvision's ImageClassification preset.
            Self::Imagenet => Settings {
                resize: Some(PictureSize::Side(256)),
                crop: Some(PictureSize::Side(224)),
                interpolation: Some(InterpolationName::Bilinear),
                mean: Some([0.485, 0.456, 0.406].map(Fraction::decimal).into()),
                std: Some([0.229, 0.224, 0.225].map(Fraction::decimal).into()),
                ..Settings::default()
            },
        }
    }
}
