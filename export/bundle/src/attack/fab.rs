//! Parameters of the fast adaptive boundary attack.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of FAB (Croce and Hein, "Minimally distorted adversarial examples with a fast adaptive boundary attack",
/// ICML 2020).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FabSpec {
    /// Iterations of one run.
    pub steps: usize,
    /// Runs: the first from the clean image, the others from random points around it.
    pub restarts: usize,
    /// Largest weight of the step from the clean image, `α_max`, in `[0, 1]`.
    pub alpha_max: f64,
    /// Overshoot beyond the hyperplane, `η ≥ 1` in practice.
    pub overshoot: f64,
    /// How far an adversarial point is pulled back towards the clean image, `β`, in `[0, 1]`.
    pub backward: f64,
}

impl Default for FabSpec {
    fn default() -> Self {
        Self { steps: 100, restarts: 1, alpha_max: 0.1, overshoot: 1.05, backward: 0.9 }
    }
}

impl Parameters for FabSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { steps, restarts, alpha_max, overshoot, backward } = self;
        vec![
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
            Parameter::fraction("alpha_max", alpha_max),
            Parameter::positive("overshoot", overshoot),
            Parameter::fraction("backward", backward),
        ]
    }
}

/// Parameters of FAB with target classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TargetedFabSpec {
    /// Target classes: the wrong classes of highest clean logit. A model of `K` classes has at most `K - 1`.
    pub targets: usize,
    /// The run for each target.
    pub fab: FabSpec,
}

impl Default for TargetedFabSpec {
    fn default() -> Self {
        Self { targets: 9, fab: FabSpec::default() }
    }
}

impl Parameters for TargetedFabSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { targets, fab } = self;
        let mut parameters = vec![Parameter::count("targets", targets)];
        parameters.extend(fab.parameters());
        parameters
    }
}
