//! Parameters of PGD on a distance of features.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of PGD-fea (Xu et al., "MIMIR: Masked image modeling for mutual information-based adversarial robustness",
/// equation 19): PGD on the distance of the features from those of the clean image, without the label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PgdFeatureSpec {
    /// Steps of one run.
    pub steps: usize,
    /// Runs from independent random starts.
    pub restarts: usize,
    /// Length of a step in units of ε. The default is the customary 2/255 at ε = 8/255.
    pub step_size: f64,
    /// The tensor of the model file whose values are the features. Where none is named, the program chooses, and what it chose
    /// stands here in the record of a run.
    pub feature: Option<String>,
}

impl Default for PgdFeatureSpec {
    fn default() -> Self {
        Self { steps: 100, restarts: 1, step_size: 0.25, feature: None }
    }
}

impl Parameters for PgdFeatureSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        // A name has no range; it is set for all attacks of a run at once.
        let Self { steps, restarts, step_size, feature: _ } = self;
        vec![
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
            Parameter::positive("step_size", step_size),
        ]
    }
}
