//! The whole file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::layers::{self, Layered};
use crate::config::{
    ConfigError, DataConfig, EvaluateConfig, EvaluatedSet, FinetuneConfig, ModelConfig, PaperResult,
    PretrainConfig,
};

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
    /// What the paper reached with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paper: Vec<PaperResult>,
}

impl Experiment {
    /// Reads and checks a file with its bases, and one of its variants where it has some.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key, what was found and what was wanted.
    pub fn read(path: &Path, variant: Option<&str>) -> Result<Self, ConfigError> {
        let Layered { table, alone } = layers::read(path, variant)?;
        let parsed = match alone {
            Some(text) => toml::from_str(&text),
            None => table.try_into(),
        };
        let experiment: Self =
            parsed.map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })?;
        experiment.check()?;
        Ok(experiment)
    }

    /// The variants of a file, in the order of their names.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn variants(path: &Path) -> Result<Vec<String>, ConfigError> {
        layers::variants(path)
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
        self.evaluate.check()?;
        self.paper.iter().try_for_each(PaperResult::check)?;
        if self.evaluate.on == EvaluatedSet::HeldOut && self.data.held_out == 0 {
            let because = "by evaluate.on = \"held_out\": with 0 no image is held out";
            return Err(ConfigError::missing("data.held_out", because));
        }
        Ok(())
    }

    /// The effective configuration, every default filled in.
    pub fn to_toml(&self) -> String {
        // Serialising plain structs of numbers, strings and tables cannot fail.
        toml::to_string_pretty(self).unwrap_or_else(|error| format!("# {error}\n"))
    }
}
