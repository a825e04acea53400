//! Parameters of DDN.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of DDN (Rony et al., "Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and
/// defenses", CVPR 2019). The length of a step falls along half a cosine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DdnSpec {
    /// Steps of one run, `K`.
    pub steps: usize,
    /// Distance from the clean image after the first step, `ε₀`, in pixels of `[0, 1]`.
    pub initial_radius: f64,
    /// Share by which that distance changes with each step, `γ`, in `[0, 1]`.
    pub change: f64,
    /// Euclidean length of the first step, `α`, in pixels of `[0, 1]`.
    pub first_length: f64,
    /// That of the last.
    pub last_length: f64,
}

impl Default for DdnSpec {
    fn default() -> Self {
        Self { steps: 100, initial_radius: 1.0, change: 0.05, first_length: 1.0, last_length: 0.01 }
    }
}

impl Parameters for DdnSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { steps, initial_radius, change, first_length, last_length } = self;
        vec![
            Parameter::count("steps", steps),
            Parameter::positive("initial_radius", initial_radius),
            Parameter::fraction("change", change),
            Parameter::positive("first_length", first_length),
            Parameter::positive("last_length", last_length),
        ]
    }
}
