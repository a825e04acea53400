//! Batches, optimizer and learning-rate schedule: the sections that both training stages have.

use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::config::ConfigError;

/// The type of matrix products; weights are float32 in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// float32.
    #[default]
    Float32,
    /// float32 with TensorFloat-32 products on CUDA: the same range, 10 bits of mantissa inside products.
    Tf32,
    /// bfloat16 products against float32 master weights.
    Bfloat16,
}

impl Precision {
    /// The kind of tensors inside matrix products.
    pub fn compute(self) -> Kind {
        match self {
            Self::Float32 | Self::Tf32 => Kind::Float,
            Self::Bfloat16 => Kind::BFloat16,
        }
    }
}

/// Batches, duration and precision of a training stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Images in one step of the optimiser.
    pub batch: usize,
    /// Micro-batches per step (gradient accumulation), to save memory. The penalty is computed for each micro-batch, or for
    /// each part of one (`pretrain.penalty.batch`).
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Passes over the training set.
    pub epochs: u64,
    /// Kind of matrix products.
    #[serde(default)]
    pub precision: Precision,
    /// Largest norm of the gradient over all parameters; longer ones are scaled down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Steps between two checkpoints within an epoch; one is written at the end of each epoch anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<u64>,
    /// Steps between two lines of the log.
    #[serde(default = "default_log_every")]
    pub log_every: u64,
}

fn one() -> usize {
    1
}

fn default_log_every() -> u64 {
    50
}

impl TrainingConfig {
    pub(crate) fn check(&self, stage: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{stage}.training.{name}");
        ConfigError::range(&key("batch"), self.batch as f64, self.batch >= 1, "at least 1")?;
        ConfigError::range(&key("epochs"), self.epochs as f64, self.epochs >= 1, "at least 1")?;
        ConfigError::range(&key("log_every"), self.log_every as f64, self.log_every >= 1, "at least 1")?;
        let parts = self.accumulate;
        ConfigError::range(
            &key("accumulate"),
            parts as f64,
            parts >= 1 && self.batch.is_multiple_of(parts),
            &format!("a divisor of the batch, {}", self.batch),
        )?;
        if let Some(norm) = self.clip_norm {
            ConfigError::range(&key("clip_norm"), norm, norm > 0.0, "above 0")?;
        }
        if let Some(steps) = self.checkpoint_every {
            ConfigError::range(&key("checkpoint_every"), steps as f64, steps >= 1, "at least 1")?;
        }
        Ok(())
    }
}

/// AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// β1 and β2.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
    /// Decoupled weight decay; vectors and biases never decay.
    pub weight_decay: f64,
    /// Names that do not decay either.
    #[serde(default)]
    pub no_decay: Vec<String>,
}

fn default_epsilon() -> f64 {
    1e-8
}

impl OptimizerConfig {
    pub(crate) fn check(&self, stage: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{stage}.optimizer.{name}");
        for beta in self.betas {
            ConfigError::range(&key("betas"), beta, (0.0..1.0).contains(&beta), "two numbers in [0, 1)")?;
        }
        ConfigError::range(&key("epsilon"), self.epsilon, self.epsilon > 0.0, "above 0")?;
        ConfigError::range(&key("weight_decay"), self.weight_decay, self.weight_decay >= 0.0, "at least 0")
    }
}

/// Linear warm-up, then half a cosine; changes at every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Learning rate for a batch of 256; the peak is this times batch / 256.
    pub base_learning_rate: f64,
    /// Epochs until the peak.
    #[serde(default)]
    pub warmup_epochs: f64,
    /// Learning rate of the first step.
    #[serde(default)]
    pub start_learning_rate: f64,
    /// Learning rate after the last step.
    #[serde(default)]
    pub min_learning_rate: f64,
}

impl ScheduleConfig {
    /// Peak learning rate for a batch.
    pub fn peak(&self, batch: usize) -> f64 {
        self.base_learning_rate * batch as f64 / 256.0
    }

    pub(crate) fn check(&self, stage: &str, epochs: u64) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{stage}.schedule.{name}");
        let (base, warmup) = (self.base_learning_rate, self.warmup_epochs);
        ConfigError::range(&key("base_learning_rate"), base, base > 0.0, "above 0")?;
        ConfigError::range(
            &key("warmup_epochs"),
            warmup,
            warmup >= 0.0 && warmup <= epochs as f64,
            &format!("between 0 and the {epochs} epochs of the run"),
        )?;
        if self.start_learning_rate > 0.0 && warmup == 0.0 {
            return Err(ConfigError::no_effect(key("start_learning_rate"), "without warm-up"));
        }
        for (name, rate) in
            [("start_learning_rate", self.start_learning_rate), ("min_learning_rate", self.min_learning_rate)]
        {
            ConfigError::range(&key(name), rate, rate >= 0.0, "at least 0")?;
        }
        Ok(())
    }
}
