//! Parameters of PGD.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};
use super::point::PgdPoint;

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

impl Default for PgdSpec {
    fn default() -> Self {
        Self { steps: 20, restarts: 1, step_size: 0.25, point: PgdPoint::Best, eot: 1 }
    }
}

impl Parameters for PgdSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { steps, restarts, step_size, point, eot } = self;
        vec![
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
            Parameter::positive("step_size", step_size),
            Parameter::point("point", point),
            Parameter::count("eot", eot),
        ]
    }
}
