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
    /// Decay factor μ of the momentum of gradients, in `[0, 1]` (Dong et al., "Boosting adversarial attacks with momentum",
    /// CVPR 2018, where it is 1): a step follows the sum of all gradients so far, each over the mean size of its entries and
    /// weighted by μ for each step since. 0 is PGD as it was published.
    pub momentum_decay: f64,
    /// Which iterates may break an image.
    pub point: PgdPoint,
    /// Gradients averaged at each iterate (expectation over transformation), for models with random operators.
    pub eot: usize,
}

impl Default for PgdSpec {
    fn default() -> Self {
        Self { steps: 20, restarts: 1, step_size: 0.25, momentum_decay: 0.0, point: PgdPoint::Best, eot: 1 }
    }
}

impl Parameters for PgdSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { steps, restarts, step_size, momentum_decay, point, eot } = self;
        vec![
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
            Parameter::positive("step_size", step_size),
            Parameter::fraction("momentum_decay", momentum_decay),
            Parameter::point("point", point),
            Parameter::count("eot", eot),
        ]
    }
}
