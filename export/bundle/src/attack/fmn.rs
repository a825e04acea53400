//! Parameters of the fast minimum-norm attack.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of FMN (Pintor, Roli, Brendel and Biggio, "Fast minimum-norm adversarial attacks through adaptive norm
/// constraints", NeurIPS 2021). Both schedules fall along half a cosine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FmnSpec {
    /// Steps of one run, `K`.
    pub steps: usize,
    /// Runs: the first from the clean image, the others from random points around it.
    pub restarts: usize,
    /// Euclidean length of the first step, `α₀`, in pixels of `[0, 1]`.
    pub first_length: f64,
    /// That of the last, `α_K`.
    pub last_length: f64,
    /// Share by which the radius changes at first, `γ₀`, in `[0, 1]`.
    pub first_change: f64,
    /// At last, `γ_K`.
    pub last_change: f64,
}

impl Default for FmnSpec {
    fn default() -> Self {
        let (first_length, last_length) = (1.0, 0.01);
        Self { steps: 100, restarts: 1, first_length, last_length, first_change: 0.05, last_change: 1e-4 }
    }
}

impl Parameters for FmnSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { steps, restarts, first_length, last_length, first_change, last_change } = self;
        vec![
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
            Parameter::positive("first_length", first_length),
            Parameter::positive("last_length", last_length),
            Parameter::fraction("first_change", first_change),
            Parameter::fraction("last_change", last_change),
        ]
    }
}
