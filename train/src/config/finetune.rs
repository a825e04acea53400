//! `[finetune]`: adversarial training of a classifier, from pre-trained or random weights.

use std::path::PathBuf;

use mimir_data::augment::Augmentation;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, OptimizerConfig, PixelDistance, ScheduleConfig, TrainingConfig};
use crate::model::Pooling;

/// The fine-tuning stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Where the encoder's weights come from.
    #[serde(default)]
    pub initial_weights: InitialWeights,
    /// The file, for `initial_weights = "file"`; `{seed}` in it stands for the seed of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Pooling in front of the head; by default mean pooling for ViT, the class token for ConViT and CaiT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Standard deviation of the initial weights of the head.
    #[serde(default = "default_head_std")]
    pub head_std: f64,
    /// Batches and duration.
    pub training: TrainingConfig,
    /// AdamW.
    pub optimizer: OptimizerConfig,
    /// Learning rate.
    pub schedule: ScheduleConfig,
    /// Layer-wise learning-rate decay d, from one layer to the one below it; 1 disables it. For weights that were
    /// pre-trained: random ones learn at one rate.
    #[serde(default = "default_layer_decay")]
    pub layer_decay: f64,
    /// Rate of stochastic depth in the last block.
    #[serde(default)]
    pub drop_path: f64,
    /// Label smoothing: share of the target that is spread evenly over all classes.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Decay of the exponential moving average of the weights; the average is evaluated and saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema_decay: Option<f64>,
    /// Epochs over which ε (and the step size with it) grows from 0.
    #[serde(default)]
    pub epsilon_warmup_epochs: f64,
    /// Data augmentation.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Mixup and cutmix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix: Option<MixConfig>,
    /// The attack that is trained against.
    pub attack: FinetuneAttack,
    /// How the best checkpoint is selected on the held-out images.
    #[serde(default)]
    pub selection: SelectionConfig,
}

fn default_head_std() -> f64 {
    0.02
}

fn default_layer_decay() -> f64 {
    1.0
}

/// Source of the initial weights of the encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum InitialWeights {
    /// The last checkpoint of this experiment's own `pretrain` stage and seed.
    #[default]
    Pretrained,
    /// The file that `weights` names: a checkpoint of ours, or what `mimir-train convert` wrote.
    File,
    /// Random.
    Scratch,
}

/// Adversarial training, by the attack inside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FinetuneAttack {
    /// Clean images (table 7).
    None {},
    /// One signed step from a uniform start (FastAT).
    Fgsm {
        /// Radius ε.
        epsilon: PixelDistance,
        /// Step size α; FastAT takes 1.25 ε.
        step_size: PixelDistance,
    },
    /// Signed steps from a uniform start.
    Pgd {
        /// Radius ε.
        epsilon: PixelDistance,
        /// Step size α.
        step_size: PixelDistance,
        /// Number of steps.
        steps: usize,
    },
    /// Auto-PGD from the image itself with a first step of 2ε; keeps the worst point of each image.
    Apgd {
        /// Radius ε.
        epsilon: PixelDistance,
        /// Number of steps; 2 in the paper.
        steps: usize,
    },
    /// TRADES: the attack raises KL(clean ‖ adversarial), the loss is cross-entropy plus β times it.
    Trades {
        /// Radius ε.
        epsilon: PixelDistance,
        /// Step size α.
        step_size: PixelDistance,
        /// Number of steps.
        steps: usize,
        /// Weight β of the robust term.
        beta: f64,
    },
}

/// Mixup and cutmix, as in timm's batch mode: image i is mixed with image N − 1 − i.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixConfig {
    /// α of the Beta distribution of mixup; 0 is off.
    #[serde(default)]
    pub mixup: f64,
    /// α of the Beta distribution of cutmix; 0 is off.
    #[serde(default)]
    pub cutmix: f64,
    /// Probability that a batch is mixed.
    #[serde(default = "always")]
    pub probability: f64,
    /// Probability of cutmix where both are on.
    #[serde(default = "half")]
    pub switch: f64,
}

fn always() -> f64 {
    1.0
}

fn half() -> f64 {
    0.5
}

/// PGD on held-out images after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelectionConfig {
    /// Epochs between two evaluations; the last epoch is always evaluated.
    pub every_epochs: u64,
    /// Steps of the attack; 0 selects by clean accuracy.
    pub steps: usize,
}

impl Default for SelectionConfig {
    fn default() -> Self {
        Self { every_epochs: 1, steps: 10 }
    }
}

impl FinetuneConfig {
    /// The same from other initial weights, without the keys that then have no effect.
    #[must_use]
    pub fn starting_from(self, initial_weights: InitialWeights) -> Self {
        let weights = self.weights.filter(|_| initial_weights == InitialWeights::File);
        let layer_decay = if initial_weights == InitialWeights::Scratch { 1.0 } else { self.layer_decay };
        Self { initial_weights, weights, layer_decay, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.training.check("finetune")?;
        self.optimizer.check("finetune")?;
        self.schedule.check("finetune", self.training.epochs)?;
        self.check_weights()?;
        self.check_regularisation()?;
        self.augmentation.check()?;
        self.attack.check()?;
        let (warmup, none) = (self.epsilon_warmup_epochs, matches!(self.attack, FinetuneAttack::None {}));
        if none && warmup > 0.0 {
            return Err(ConfigError::no_effect("finetune.epsilon_warmup_epochs", "without an attack"));
        }
        ConfigError::range("finetune.epsilon_warmup_epochs", warmup, warmup >= 0.0, "at least 0")?;
        let every = self.selection.every_epochs;
        ConfigError::range("finetune.selection.every_epochs", every as f64, every >= 1, "at least 1")?;
        self.mix.as_ref().map_or(Ok(()), MixConfig::check)
    }

    fn check_weights(&self) -> Result<(), ConfigError> {
        match (self.initial_weights, &self.weights) {
            (InitialWeights::File, None) => {
                Err(ConfigError::missing("finetune.weights", "by initial_weights = \"file\""))
            }
            (InitialWeights::Pretrained | InitialWeights::Scratch, Some(_)) => {
                Err(ConfigError::no_effect("finetune.weights", "without initial_weights = \"file\""))
            }
            (InitialWeights::Scratch, None) if self.layer_decay < 1.0 => Err(ConfigError::no_effect(
                "finetune.layer_decay",
                "with initial_weights = \"scratch\": layers that start alike learn alike",
            )),
            (InitialWeights::File, Some(_))
            | (InitialWeights::Pretrained | InitialWeights::Scratch, None) => Ok(()),
        }
    }

    fn check_regularisation(&self) -> Result<(), ConfigError> {
        let share = |key: &str, value: f64| {
            ConfigError::range(&format!("finetune.{key}"), value, (0.0..1.0).contains(&value), "in [0, 1)")
        };
        share("drop_path", self.drop_path)?;
        share("label_smoothing", self.label_smoothing)?;
        if matches!(self.attack, FinetuneAttack::Trades { .. }) && self.label_smoothing > 0.0 {
            let because = "with attack.kind = \"trades\", which trains on hard labels";
            return Err(ConfigError::no_effect("finetune.label_smoothing", because));
        }
        share("ema_decay", self.ema_decay.unwrap_or(0.0))?;
        let (decay, std) = (self.layer_decay, self.head_std);
        ConfigError::range("finetune.layer_decay", decay, decay > 0.0 && decay <= 1.0, "in (0, 1]")?;
        ConfigError::range("finetune.head_std", std, std > 0.0, "above 0")
    }
}

impl FinetuneAttack {
    /// The radius of the ball; `None` without an attack.
    pub fn epsilon(&self) -> Option<PixelDistance> {
        match self {
            Self::None {} => None,
            Self::Fgsm { epsilon, .. }
            | Self::Pgd { epsilon, .. }
            | Self::Apgd { epsilon, .. }
            | Self::Trades { epsilon, .. } => Some(*epsilon),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let key = |name: &str| format!("finetune.attack.{name}");
        if let Some(PixelDistance(epsilon)) = self.epsilon() {
            ConfigError::range(&key("epsilon"), epsilon, epsilon > 0.0 && epsilon <= 1.0, "in (0, 1]")?;
        }
        if let Self::Fgsm { step_size, .. } | Self::Pgd { step_size, .. } | Self::Trades { step_size, .. } =
            self
        {
            ConfigError::range(&key("step_size"), step_size.0, step_size.0 > 0.0, "above 0")?;
        }
        if let Self::Pgd { steps, .. } | Self::Apgd { steps, .. } | Self::Trades { steps, .. } = self {
            ConfigError::range(&key("steps"), *steps as f64, *steps >= 1, "at least 1")?;
        }
        if let Self::Trades { beta, .. } = self {
            ConfigError::range(&key("beta"), *beta, *beta > 0.0, "above 0")?;
        }
        Ok(())
    }
}

impl MixConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let key = |name: &str| format!("finetune.mix.{name}");
        for (name, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            ConfigError::range(&key(name), alpha, alpha >= 0.0, "at least 0")?;
        }
        for (name, p) in [("probability", self.probability), ("switch", self.switch)] {
            ConfigError::range(&key(name), p, (0.0..=1.0).contains(&p), "a probability in [0, 1]")?;
        }
        if self.mixup == 0.0 && self.cutmix == 0.0 {
            return Err(ConfigError::no_effect("finetune.mix", "with mixup and cutmix both 0"));
        }
        Ok(())
    }
}
