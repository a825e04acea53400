//! Parameters of the Square attack.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of Square (Andriushchenko, Croce, Flammarion and Hein, "Square Attack: a query-efficient black-box
/// adversarial attack via random search", ECCV 2020), as AutoAttack runs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SquareSpec {
    /// Proposals of one run, after the one that it starts with.
    pub queries: usize,
    /// Independent runs.
    pub restarts: usize,
    /// Share of the pixels that the first windows cover, `p`, in `[0, 1]`.
    pub p_init: f64,
}

impl Default for SquareSpec {
    fn default() -> Self {
        Self { queries: 5000, restarts: 1, p_init: 0.8 }
    }
}

impl Parameters for SquareSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { queries, restarts, p_init } = self;
        vec![
            Parameter::count("queries", queries),
            Parameter::count("restarts", restarts),
            Parameter::fraction("p_init", p_init),
        ]
    }
}
