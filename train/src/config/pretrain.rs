//! `[pretrain]`: masked autoencoding, with or without an adversary and a penalty.

use mimir_data::augment::Augmentation;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, OptimizerConfig, PixelDistance, ScheduleConfig, TrainingConfig};
use crate::model::DecoderShape;
use crate::penalty::PenaltyConfig;

/// The pre-training objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Clean images (MAE).
    Mae,
    /// Adversarial images, clean targets (table 5, "adv MAE").
    AdvMae,
    /// The same with λ · I(x + δ; z) added (eq. 5 and 6).
    Mimir,
}

/// The pre-training stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// MAE, adv-MAE or MIMIR.
    pub method: Method,
    /// Share of the patches that are masked.
    #[serde(default = "default_mask_ratio")]
    pub mask_ratio: f64,
    /// Batches and duration.
    pub training: TrainingConfig,
    /// AdamW.
    pub optimizer: OptimizerConfig,
    /// Learning rate.
    pub schedule: ScheduleConfig,
    /// Crops and flips.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Shape of the decoder.
    #[serde(default)]
    pub decoder: DecoderShape,
    /// The attack on the images; for `adv_mae` and `mimir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adversary: Option<PretrainAdversary>,
    /// The penalty; for `mimir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<PenaltyConfig>,
}

fn default_mask_ratio() -> f64 {
    0.75
}

/// Which form of the attack on the reconstruction loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdversaryVariant {
    /// Eq. 6: the mask of the training pass, the clean target, visible patches only.
    Paper,
    /// The authors' code: a mask of its own, the perturbed image as target, all pixels.
    Authors,
}

/// The attack on the reconstruction loss: signed gradient steps from a random start, inside ε and [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainAdversary {
    /// Eq. 6 or the authors' code.
    pub variant: AdversaryVariant,
    /// Radius ε of the L∞ ball.
    pub epsilon: PixelDistance,
    /// Step size α.
    pub step_size: PixelDistance,
    /// Number of steps; the paper takes 1.
    pub steps: usize,
}

impl PretrainConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.training.check("pretrain")?;
        self.optimizer.check("pretrain")?;
        self.schedule.check("pretrain", self.training.epochs)?;
        let ratio = self.mask_ratio;
        ConfigError::range(
            "pretrain.mask_ratio",
            ratio,
            (0.0..1.0).contains(&ratio) && ratio > 0.0,
            "in (0, 1)",
        )?;
        self.augmentation.check()?;
        self.check_decoder()?;
        self.check_method()
    }

    fn check_decoder(&self) -> Result<(), ConfigError> {
        let DecoderShape { width, depth, heads } = self.decoder;
        ConfigError::range("pretrain.decoder.depth", depth as f64, depth >= 1, "at least 1")?;
        ConfigError::range(
            "pretrain.decoder.width",
            width as f64,
            width >= 4 && width % 4 == 0,
            "a multiple of 4",
        )?;
        ConfigError::range(
            "pretrain.decoder.heads",
            heads as f64,
            heads >= 1 && width % heads == 0,
            &format!("a divisor of the decoder's width, {width}"),
        )
    }

    fn check_penalty_batch(&self, penalty: &PenaltyConfig) -> Result<(), ConfigError> {
        let Some(batch) = penalty.batch else { return Ok(()) };
        let rows = self.training.batch / self.training.accumulate;
        let least = usize::try_from(penalty.estimator.min_samples()).unwrap_or(2);
        ConfigError::range(
            "pretrain.penalty.batch",
            batch as f64,
            batch >= least && rows.is_multiple_of(batch),
            &format!("a divisor of the {rows} images that are computed at once, and at least {least}"),
        )
    }

    fn check_method(&self) -> Result<(), ConfigError> {
        match (self.method, &self.adversary) {
            (Method::Mae, Some(_)) => {
                return Err(ConfigError::no_effect("pretrain.adversary", "with method mae"));
            }
            (Method::Mae, None) => {}
            (_, None) => return Err(ConfigError::missing("pretrain.adversary", "by this method")),
            (_, Some(adversary)) => adversary.check()?,
        }
        match (self.method, &self.penalty) {
            (Method::Mimir, None) => Err(ConfigError::missing("pretrain.penalty", "by method mimir")),
            (Method::Mimir, Some(penalty)) => {
                penalty.check()?;
                self.check_penalty_batch(penalty)
            }
            (_, Some(_)) => Err(ConfigError::no_effect("pretrain.penalty", "with a method other than mimir")),
            (_, None) => Ok(()),
        }
    }
}

impl PretrainAdversary {
    fn check(&self) -> Result<(), ConfigError> {
        let key = |name: &str| format!("pretrain.adversary.{name}");
        let (epsilon, step) = (self.epsilon.0, self.step_size.0);
        ConfigError::range(&key("epsilon"), epsilon, epsilon > 0.0 && epsilon <= 1.0, "in (0, 1]")?;
        ConfigError::range(&key("step_size"), step, step > 0.0, "above 0")?;
        ConfigError::range(&key("steps"), self.steps as f64, self.steps >= 1, "at least 1")
    }
}
