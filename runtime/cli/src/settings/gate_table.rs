//! One gate of several in a settings file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::epsilon::Epsilon;
use super::names::{GateOnName, NormName};

/// A `[[gate]]` of a settings file: a threat model, and what is required within it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct GateTable {
    /// Its name, and that of its folder below the report folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) norm: NormName,
    pub(crate) epsilon: Epsilon,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_attacked_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gate_on: Option<GateOnName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_clean_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) baseline: Option<PathBuf>,
}

impl GateTable {
    /// `linf-2-255` for Linf and 2/255.
    pub(crate) fn default_name(&self) -> String {
        let norm = match self.norm {
            NormName::Linf => "linf",
            NormName::L2 => "l2",
            NormName::L1 => "l1",
        };
        format!("{norm}-{}", self.epsilon.to_string().replace(' ', "").replace('/', "-"))
    }
}
