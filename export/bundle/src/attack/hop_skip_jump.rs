//! Parameters of HopSkipJump.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of HopSkipJump (Chen, Jordan and Wainwright, "HopSkipJumpAttack: a query-efficient decision-based attack",
/// IEEE S&P 2020), which sees nothing of the model but the class that it predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HopSkipJumpSpec {
    /// Share of the images that it is run on, in `[0, 1]`: those whose random number is below it, which depends on the seed
    /// and on their position alone. The others count as not broken by it.
    pub subset: f64,
    /// Forward passes of one run, at most.
    pub queries: usize,
    /// Runs from independent random starts.
    pub restarts: usize,
    /// Directions that the first gradient is estimated from, `B₀`; their number grows with the square root of the step.
    pub directions: usize,
    /// Random images that are tried for a misclassified one to start from.
    pub starts: usize,
}

impl Default for HopSkipJumpSpec {
    fn default() -> Self {
        Self { subset: 0.1, queries: 5000, restarts: 1, directions: 100, starts: 100 }
    }
}

impl Parameters for HopSkipJumpSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { subset, queries, restarts, directions, starts } = self;
        vec![
            Parameter::fraction("subset", subset),
            Parameter::count("queries", queries),
            Parameter::count("restarts", restarts),
            Parameter::count("directions", directions),
            Parameter::count("starts", starts),
        ]
    }
}
