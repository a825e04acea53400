//! FGSM, which has no parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// FGSM (Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015) has no parameter:
/// one step of length ε from the clean image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FgsmSpec {}

impl Parameters for FgsmSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self {} = self;
        Vec::new()
    }
}
