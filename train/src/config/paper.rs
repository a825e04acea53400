//! `[[paper]]`: what the paper reached with an experiment.

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// A row of the paper, or of its authors' README. No stage reads it; `mimir-train report` sets it beside what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperResult {
    /// Where it stands, for example `table 11`.
    pub source: String,
    /// Accuracy on clean images, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub natural: Option<f64>,
    /// Accuracy under `attack`, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attacked: Option<f64>,
    /// The attack, for example `AutoAttack` or `PGD-20`, at the radius of `evaluate.epsilon`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack: Option<String>,
}

impl PaperResult {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (name, value) in [("natural", self.natural), ("attacked", self.attacked)] {
            let value = value.unwrap_or(0.0);
            let fits = (0.0..=100.0).contains(&value);
            ConfigError::range(&format!("paper.{name}"), value, fits, "a percentage, 0 to 100")?;
        }
        match (self.attacked, &self.attack) {
            (Some(_), None) => Err(ConfigError::missing("paper.attack", "by paper.attacked")),
            (None, Some(_)) => Err(ConfigError::missing("paper.attacked", "by paper.attack")),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}
