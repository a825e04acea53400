//! Parameters of the noise baseline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of the noise baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseSpec {
    /// Random points tried on each image.
    pub samples: usize,
}

impl Default for NoiseSpec {
    fn default() -> Self {
        Self { samples: 100 }
    }
}

impl Parameters for NoiseSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self { samples } = self;
        vec![Parameter::count("samples", samples)]
    }
}
