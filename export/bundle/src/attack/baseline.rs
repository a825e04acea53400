//! Parameters of the attacks that others are compared with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::range::{InvalidParameter, count, first_invalid, positive};

/// Parameters of PGD (Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PgdSpec {
    /// Steps of one run.
    pub steps: usize,
    /// Runs from independent random starts.
    pub restarts: usize,
    /// Length of a step in units of ε. The default is the customary 2/255 at ε = 8/255.
    pub step_size: f64,
    /// Which iterates may break an image.
    pub point: PgdPoint,
    /// Gradients averaged at each iterate (expectation over transformation), for models with random operators.
    pub eot: usize,
}

/// Which iterates of PGD may break an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PgdPoint {
    /// Any of them: the attack ends with the first.
    Best,
    /// Only the last of a run, as in evaluations that return the last iterate.
    Last,
}

impl Default for PgdSpec {
    fn default() -> Self {
        Self { steps: 20, restarts: 1, step_size: 0.25, point: PgdPoint::Best, eot: 1 }
    }
}

impl PgdSpec {
    pub(super) fn invalid_parameter(&self) -> Option<InvalidParameter> {
        first_invalid([
            count("steps", self.steps),
            count("restarts", self.restarts),
            positive("step_size", self.step_size),
            count("eot", self.eot),
        ])
    }
}

/// FGSM (Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015) has no parameter:
/// one step of length ε from the clean image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FgsmSpec {}

/// Parameters of the noise baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseSpec {
    /// Random points tried on each image.
    pub samples: usize,
}

impl Default for NoiseSpec {
    fn default() -> Self {
        Self { samples: 100 }
    }
}

impl NoiseSpec {
    pub(super) fn invalid_parameter(&self) -> Option<InvalidParameter> {
        first_invalid([count("samples", self.samples)])
    }
}
