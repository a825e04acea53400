//! `[evaluate]`: accuracy on the test set, clean and under PGD.

use std::fmt;
use std::str::FromStr;

use mimir_data::augment::Evaluation;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{ConfigError, PixelDistance};

/// PGD from a uniform start, cross-entropy, the last point of each image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    /// Radius ε of the L∞ ball.
    pub epsilon: PixelDistance,
    /// Step size α.
    pub step_size: PixelDistance,
    /// Number of steps.
    pub steps: usize,
    /// The images of the test set, or those that are held out of the training set.
    pub on: EvaluatedSet,
    /// A part of them; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<EvaluatedPart>,
    /// Batch size; it affects results only by the rounding of logits.
    pub batch: usize,
    /// Resizing and cropping, for images of another size than the input of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<Evaluation>,
}

/// Which images are evaluated on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatedSet {
    /// The test set.
    #[default]
    Test,
    /// The images that `data.held_out` takes from the training set. They select the best checkpoint, so its accuracy on
    /// them is too high by a little.
    HeldOut,
}

/// A part of the images: a number such as `1000`, or `"robustbench"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluatedPart {
    /// So many, drawn with the classes in the shares of the whole, the same for every seed: those that
    /// `mimir-certify --sample` draws.
    Sample(usize),
    /// The 5,000 images of ImageNet's validation set that RobustBench evaluates on, by name.
    RobustBench,
}

const ROBUSTBENCH: &str = "robustbench";

impl FromStr for EvaluatedPart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is no part of a set of images; wanted a number of at least 1, or {ROBUSTBENCH}")
        };
        match text.parse() {
            Ok(count) if count >= 1 => Ok(Self::Sample(count)),
            _ if text == ROBUSTBENCH => Ok(Self::RobustBench),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for EvaluatedPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sample(count) => serializer.serialize_u64(*count as u64),
            Self::RobustBench => serializer.serialize_str(ROBUSTBENCH),
        }
    }
}

impl<'de> Deserialize<'de> for EvaluatedPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl Visitor<'_> for PartVisitor {
    type Value = EvaluatedPart;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number of at least 1, or \"{ROBUSTBENCH}\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<EvaluatedPart, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<EvaluatedPart, E> {
        let count = usize::try_from(value).ok().filter(|&count| count >= 1);
        count.map(EvaluatedPart::Sample).ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<EvaluatedPart, E> {
        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self {
            epsilon: PixelDistance::from_255ths(8.0),
            step_size: PixelDistance::from_255ths(2.0),
            steps: 20,
            on: EvaluatedSet::default(),
            images: None,
            batch: 128,
            transform: None,
        }
    }
}

impl EvaluateConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let (epsilon, step) = (self.epsilon.0, self.step_size.0);
        ConfigError::range("evaluate.epsilon", epsilon, epsilon > 0.0 && epsilon <= 1.0, "in (0, 1]")?;
        ConfigError::range("evaluate.step_size", step, step > 0.0, "above 0")?;
        ConfigError::range("evaluate.steps", self.steps as f64, self.steps >= 1, "at least 1")?;
        ConfigError::range("evaluate.batch", self.batch as f64, self.batch >= 1, "at least 1")?;
        match &self.transform {
            Some(transform) => Ok(transform.check()?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_number_or_a_name() {
        let read = |text: &str| toml::from_str::<EvaluateConfig>(text).map_err(|error| error.to_string());
        for (text, wanted) in [
            ("images = 1000", EvaluatedPart::Sample(1000)),
            ("images = \"1000\"", EvaluatedPart::Sample(1000)),
            ("images = \"robustbench\"", EvaluatedPart::RobustBench),
        ] {
            let config = read(text).unwrap();
            assert_eq!(config.images, Some(wanted), "{text}");
            assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config);
        }
        for text in ["images = 0", "images = -1", "images = \"all\"", "images = 0.5"] {
            let error = read(text).unwrap_err();
            assert!(error.contains("at least 1") && error.contains("robustbench"), "{text}: {error}");
        }
    }
}
