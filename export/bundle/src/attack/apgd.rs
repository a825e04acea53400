//! Parameters of Auto-PGD.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of APGD (Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
/// parameter-free attacks", ICML 2020, algorithm 1).
///
/// For L1 the step size and the sparsity of the step adapt by another rule (Croce and Hein, "Mind the box", ICML 2021),
/// which `rho`, `momentum`, `initial_step`, `first_period`, `period_decrement` and `shortest_period` do not reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApgdSpec {
    /// Steps of one run, `N ≥ 1`; a run asks for `N + 1` gradients, one of them at its random start.
    pub steps: usize,
    /// Runs from independent random starts, at least 1.
    pub restarts: usize,
    /// Gradients averaged at each iterate (expectation over transformation), for models with random operators.
    pub eot: usize,
    /// Radii of the balls that one run moves through.
    pub radius_schedule: RadiusSchedule,
    /// Share ρ of the steps since the last checkpoint that must have raised the loss, in `[0, 1]`.
    pub rho: f64,
    /// Weight `a` of the gradient step against the last movement, in `[0, 1]`; the very first step has weight 1.
    pub momentum: f64,
    /// First step size in units of ε.
    pub initial_step: f64,
    /// Steps before the first checkpoint, in units of `N`.
    pub first_period: f64,
    /// By how much each period is shorter than the one before, in units of `N`.
    pub period_decrement: f64,
    /// The shortest period, in units of `N`.
    pub shortest_period: f64,
}

/// Radii of the balls that one run of APGD moves through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RadiusSchedule {
    /// The radius of the threat model throughout.
    Fixed,
    /// 3ε, 2ε and ε for 30 %, 30 % and 40 % of the steps, each phase from the best point of the one before.
    Shrinking,
}

impl Default for ApgdSpec {
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            eot: 1,
            radius_schedule: RadiusSchedule::Fixed,
            rho: 0.75,
            momentum: 0.75,
            initial_step: 2.0,
            first_period: 0.22,
            period_decrement: 0.03,
            shortest_period: 0.06,
        }
    }
}

impl Parameters for ApgdSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self {
            steps,
            restarts,
            eot,
            // Has no range, and follows from the preset.
            radius_schedule: _,
            rho,
            momentum,
            initial_step,
            first_period,
            period_decrement,
            shortest_period,
        } = self;
        vec![
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
            Parameter::count("eot", eot),
            Parameter::fraction("rho", rho),
            Parameter::fraction("momentum", momentum),
            Parameter::positive("initial_step", initial_step),
            Parameter::fraction("first_period", first_period),
            Parameter::fraction("period_decrement", period_decrement),
            Parameter::fraction("shortest_period", shortest_period),
        ]
    }
}

/// Parameters of APGD with target classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TargetedApgdSpec {
    /// Target classes: the wrong classes of highest clean logit. A model of `K` classes has at most `K - 1`.
    pub targets: usize,
    /// The run for each target.
    pub apgd: ApgdSpec,
}

impl Default for TargetedApgdSpec {
    fn default() -> Self {
        Self { targets: 9, apgd: ApgdSpec::default() }
    }
}

impl Parameters for TargetedApgdSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { targets, apgd } = self;
        let mut parameters = vec![Parameter::count("targets", targets)];
        parameters.extend(apgd.parameters());
        parameters
    }
}

/// Parameters of APGD on the margin to every other class (Gowal et al., "An alternative surrogate loss for PGD-based
/// adversarial testing", 2019: MultiTargeted).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultiTargetedApgdSpec {
    /// Target classes: the wrong classes of highest clean logit. A model of `K` classes has at most `K - 1`; the default is
    /// all of them for up to 100 classes.
    pub targets: usize,
    /// The run for each target.
    pub apgd: ApgdSpec,
}

impl Default for MultiTargetedApgdSpec {
    fn default() -> Self {
        Self { targets: 99, apgd: ApgdSpec::default() }
    }
}

impl Parameters for MultiTargetedApgdSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { targets, apgd } = self;
        let mut parameters = vec![Parameter::count("targets", targets)];
        parameters.extend(apgd.parameters());
        parameters
    }
}
