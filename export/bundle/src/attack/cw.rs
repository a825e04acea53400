//! Parameters of the attack of Carlini and Wagner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of the L2 attack of Carlini and Wagner ("Towards evaluating the robustness of neural networks", IEEE S&P 2017).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CwSpec {
    /// Values of the constant `c` that are tried, one after the other: a binary search.
    pub searches: usize,
    /// Steps of Adam for each of them, at most; a search that makes no progress ends earlier.
    pub steps: usize,
    /// Learning rate of Adam, in the unbounded variable.
    pub learning_rate: f64,
    /// By how much the logit of the wrong class must exceed that of the label for `c` to count as large enough, `κ`.
    pub confidence: f64,
    /// The first `c`, in units of the one that would just reach the boundary of a linear model.
    pub initial_constant: f64,
}

impl Default for CwSpec {
    fn default() -> Self {
        Self { searches: 9, steps: 200, learning_rate: 0.01, confidence: 0.0, initial_constant: 1.0 }
    }
}

impl Parameters for CwSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { searches, steps, learning_rate, confidence, initial_constant } = self;
        vec![
            Parameter::count("searches", searches),
            Parameter::count("steps", steps),
            Parameter::positive("learning_rate", learning_rate),
            Parameter::not_negative("confidence", confidence),
            Parameter::positive("initial_constant", initial_constant),
        ]
    }
}
