//! Parameters of Auto-PGD on the cross entropy and a distance of features.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of Auto-PGD on the cross entropy and, beside it, the distance of the features from those of the clean image in
/// units of their length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureCeSpec {
    /// Steps of one run.
    pub steps: usize,
    /// Runs from independent random starts.
    pub restarts: usize,
    /// Weight of the relative distance of the features beside the cross entropy.
    pub distance_weight: f64,
    /// The tensor of the model file whose values are the features. Where none is named, the program chooses, and what it chose
    /// stands here in the record of a run.
    pub feature: Option<String>,
}

impl Default for FeatureCeSpec {
    fn default() -> Self {
        Self { steps: 100, restarts: 1, distance_weight: 1.0, feature: None }
    }
}

impl Parameters for FeatureCeSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        // A name has no range; it is set for all attacks of a run at once.
        let Self { steps, restarts, distance_weight, feature: _ } = self;
        vec![
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
            Parameter::positive("distance_weight", distance_weight),
        ]
    }
}
