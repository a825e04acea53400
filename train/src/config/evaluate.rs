//! `[evaluate]`: accuracy on the test set, clean and under PGD.

use mimir_data::augment::Evaluation;
use serde::{Deserialize, Serialize};

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
    /// Only the first images of the test set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// Batch size; it affects results only by the rounding of logits.
    pub batch: usize,
    /// Resizing and cropping, for images of another size than the input of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<Evaluation>,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self {
            epsilon: PixelDistance::from_255ths(8.0),
            step_size: PixelDistance::from_255ths(2.0),
            steps: 20,
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
        if let Some(transform) = &self.transform {
            transform.check()?;
        }
        match self.images {
            Some(images) => ConfigError::range("evaluate.images", images as f64, images >= 1, "at least 1"),
            None => Ok(()),
        }
    }
}
