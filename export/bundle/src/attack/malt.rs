//! Parameters of MALT.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apgd::ApgdSpec;
use super::parameter::{Parameter, Parameters};

/// Parameters of MALT (Melamed, Yehudai and Vardi, "MALT powers up adversarial attacks", NeurIPS 2024): targeted APGD on
/// the classes that are nearest by the slopes at the clean image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MaltSpec {
    /// Classes that are measured: the wrong classes of highest clean logit, one gradient each. A model of `K` classes has
    /// at most `K - 1`.
    pub candidates: usize,
    /// Target classes: the nearest of those that are measured.
    pub targets: usize,
    /// The run for each target.
    pub apgd: ApgdSpec,
}

impl Default for MaltSpec {
    fn default() -> Self {
        Self { candidates: 100, targets: 9, apgd: ApgdSpec::default() }
    }
}

impl Parameters for MaltSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { candidates, targets, apgd } = self;
        let mut parameters =
            vec![Parameter::count("candidates", candidates), Parameter::count("targets", targets)];
        parameters.extend(apgd.parameters());
        parameters
    }
}
