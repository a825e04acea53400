//! The whole file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, DataConfig, EvaluateConfig, FinetuneConfig, ModelConfig, PretrainConfig};

/// One experiment: a network, its data, and what each stage does with them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// The network.
    pub model: ModelConfig,
    /// The images.
    pub data: DataConfig,
    /// `mimir-train pretrain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrain: Option<PretrainConfig>,
    /// `mimir-train finetune`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finetune: Option<FinetuneConfig>,
    /// `mimir-train evaluate`.
    #[serde(default)]
    pub evaluate: EvaluateConfig,
}

/// The most bytes of an experiment's file.
const MOST_BYTES: u64 = 1 << 20;

impl Experiment {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key, what was found and what was wanted.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = mimir_files::read_text(path, MOST_BYTES)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let experiment: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })?;
        experiment.check()?;
        Ok(experiment)
    }

    /// Checks the values and their combination.
    ///
    /// # Errors
    /// The first key that is out of range, without effect, or missing.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.model.architecture()?.check()?;
        self.data.check()?;
        if let Some(pretrain) = &self.pretrain {
            pretrain.check()?;
        }
        if let Some(finetune) = &self.finetune {
            finetune.check()?;
        }
        self.evaluate.check()
    }

    /// The effective configuration, every default filled in.
    pub fn to_toml(&self) -> String {
        // Serialising plain structs of numbers, strings and tables cannot fail.
        toml::to_string_pretty(self).unwrap_or_else(|error| format!("# {error}\n"))
    }
}
