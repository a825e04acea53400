//! The `[penalty]` table of a pre-training configuration.

use serde::{Deserialize, Serialize};

use super::tokens::{ImagePart, Latent};

/// λ of the paper.
const LAMBDA: f64 = 1e-5;
/// σ of the authors' code, for both arguments.
pub(super) const SIGMA: f64 = 5.0;
/// ε of the authors' code.
pub(super) const EPSILON: f64 = 1e-5;

/// How dependence is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// The authors' normalised HSIC, between 0 and m − 1.
    #[default]
    Nhsic,
    /// Biased HSIC, equation 25, not negative.
    Hsic,
    /// Matrix-based Rényi information of order 1.01 in bits, equations 21–23.
    Renyi,
    /// Unbiased centred kernel alignment, between −1 and 1.
    CkaUnbiased,
}

impl Estimator {
    /// Fewest samples of a batch that it is defined on.
    pub fn min_samples(self) -> i64 {
        match self {
            Self::Nhsic | Self::Hsic | Self::Renyi => 2,
            Self::CkaUnbiased => 4,
        }
    }

    /// The name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nhsic => "nhsic",
            Self::Hsic => "hsic",
            Self::Renyi => "renyi",
            Self::CkaUnbiased => "cka_unbiased",
        }
    }
}

/// The penalty λ·I(x + δ; z) of equation 5. Defaults are those of the paper and its code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PenaltyConfig {
    /// How dependence is measured.
    pub estimator: Estimator,
    /// λ, above 0. A run without penalty has no table `[penalty]`.
    pub lambda: f64,
    /// Kernel width, above 0. For `nhsic`, `hsic` and `cka_unbiased` a root mean squared difference of coordinates: the
    /// kernel is exp(−‖a − b‖² / (2σ²d)), d columns. For `renyi` a distance: exp(−‖a − b‖² / σ²). Default: 5 for `nhsic`
    /// and `hsic`, the mean distance of the ten nearest samples for `renyi`, the median distance for `cka_unbiased`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
    /// Ridge of `nhsic` for each sample, above 0; 1e-5 by default. No other estimator has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Samples m that it is measured on at once; it is the mean over the parts of so many of a micro-batch. All samples of
    /// the micro-batch by default. The authors have 128 on CIFAR-10 and 512 on ImageNet, the images on one GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Which part of the encoder's output is z.
    pub latent: Latent,
    /// Which part of the adversarial image is x.
    pub image: ImagePart,
}

impl Default for PenaltyConfig {
    fn default() -> Self {
        Self {
            estimator: Estimator::default(),
            lambda: LAMBDA,
            sigma: None,
            epsilon: None,
            batch: None,
            latent: Latent::default(),
            image: ImagePart::default(),
        }
    }
}

/// An invalid `[penalty]` table.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PenaltyConfigError {
    /// A number is out of its range.
    #[error("penalty.{key} = {found}: wanted a finite number above 0{hint}")]
    Range {
        /// Name of the key.
        key: &'static str,
        /// Its value.
        found: f64,
        /// The way out, if there is a special one.
        hint: &'static str,
    },
    /// A key has no effect on this estimator.
    #[error("penalty.{key} has no effect with estimator = \"{estimator}\": remove it")]
    NoEffect {
        /// Name of the key.
        key: &'static str,
        /// Name of the estimator.
        estimator: &'static str,
    },
}

impl PenaltyConfig {
    /// Refuses numbers out of range and keys that the estimator does not read.
    pub fn check(&self) -> Result<(), PenaltyConfigError> {
        above_zero("lambda", Some(self.lambda), "; to train without a penalty, omit the table [penalty]")?;
        above_zero("sigma", self.sigma, "")?;
        above_zero("epsilon", self.epsilon, "")?;
        if self.epsilon.is_some() && self.estimator != Estimator::Nhsic {
            return Err(PenaltyConfigError::NoEffect { key: "epsilon", estimator: self.estimator.name() });
        }
        Ok(())
    }

    /// With the numbers that the estimator fixes filled in; a width that is taken from each batch stays open.
    pub fn effective(&self) -> Self {
        let fixed = matches!(self.estimator, Estimator::Nhsic | Estimator::Hsic).then_some(SIGMA);
        let ridge = (self.estimator == Estimator::Nhsic).then_some(EPSILON);
        Self { sigma: self.sigma.or(fixed), epsilon: self.epsilon.or(ridge), ..self.clone() }
    }
}

fn above_zero(key: &'static str, value: Option<f64>, hint: &'static str) -> Result<(), PenaltyConfigError> {
    match value {
        Some(found) if !(found.is_finite() && found > 0.0) => {
            Err(PenaltyConfigError::Range { key, found, hint })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PenaltyConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_empty_table_is_the_paper() {
        let config = parse("").effective();
        assert_eq!((config.estimator, config.lambda), (Estimator::Nhsic, 1e-5));
        assert_eq!((config.sigma, config.epsilon), (Some(5.0), Some(1e-5)));
        assert_eq!((config.latent, config.image), (Latent::AllTokens, ImagePart::Whole));
    }

    #[test]
    fn the_effective_table_is_read_back_and_passes() {
        for estimator in ["nhsic", "hsic", "renyi", "cka_unbiased"] {
            let config =
                parse(&format!("estimator = '{estimator}'\nlatent = 'mean_pool'\nimage = 'visible'"));
            assert_eq!(config.estimator.name(), estimator);
            let effective = config.effective();
            assert_eq!(effective.check(), Ok(()));
            assert_eq!(parse(&toml::to_string(&effective).unwrap()), effective);
        }
    }

    #[test]
    fn bad_tables_are_refused() {
        for (text, wanted) in [
            (
                "epsilon = 1e-5\nestimator = 'hsic'",
                "penalty.epsilon has no effect with estimator = \"hsic\": remove it",
            ),
            (
                "epsilon = 1e-5\nestimator = 'renyi'",
                "penalty.epsilon has no effect with estimator = \"renyi\"",
            ),
            ("epsilon = 1e-5\nestimator = 'cka_unbiased'", "penalty.epsilon has no effect"),
            (
                "lambda = 0.0",
                "penalty.lambda = 0: wanted a finite number above 0; to train without a penalty, omit",
            ),
            ("lambda = nan", "penalty.lambda = NaN"),
            ("sigma = -1.0", "penalty.sigma = -1: wanted a finite number above 0"),
            ("sigma = inf", "penalty.sigma = inf"),
            ("epsilon = 0.0", "penalty.epsilon = 0"),
        ] {
            let error = parse(text).check().unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn unknown_keys_and_values_are_refused() {
        for text in ["lamda = 1e-5", "estimator = 'mine'", "latent = 'cls'", "image = 'half'"] {
            assert!(toml::from_str::<PenaltyConfig>(text).is_err(), "{text}");
        }
    }
}
