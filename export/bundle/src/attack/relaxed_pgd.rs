//! Parameters of PGD along relaxed gradients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of PGD along gradients through secants of activations, which finds units that are off at the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RelaxedPgdSpec {
    /// Target classes: the wrong classes of highest clean logit. A model of `K` classes has at most `K - 1`.
    pub targets: usize,
    /// Steps of one run.
    pub steps: usize,
    /// Runs from independent random starts for each target.
    pub restarts: usize,
    /// Share of the steps that follow relaxed gradients, over boxes that shrink to nothing; the others follow the
    /// gradient.
    pub relaxed_share: f64,
    /// Length of the first step in units of ε; the length falls to zero linearly.
    pub initial_step: f64,
}

impl Default for RelaxedPgdSpec {
    fn default() -> Self {
        Self { targets: 9, steps: 100, restarts: 1, relaxed_share: 0.75, initial_step: 2.0 }
    }
}

impl Parameters for RelaxedPgdSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { targets, steps, restarts, relaxed_share, initial_step } = self;
        vec![
            Parameter::count("targets", targets),
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
            Parameter::fraction("relaxed_share", relaxed_share),
            Parameter::positive("initial_step", initial_step),
        ]
    }
}
