//! `report.json`: every field of it. Fractions are in `[0, 1]`, lengths in pixels of `[0, 1]`.

use mimir_bundle::certificate::{Counts, EvaluationData, Execution, Tool};
use mimir_bundle::{Manifest, ThreatModel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GateReport, Warning};
use crate::evaluate::{AttackResult, ImageOutcome};
use crate::statistics::{Interval, fraction};

/// The version of the format that this crate writes.
pub const REPORT_VERSION: u32 = 1;

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub schema_version: u32,
    /// Share of images that the model classifies correctly as they are.
    pub clean_accuracy: f64,
    /// Share of images that it still classifies correctly after all attacks: an upper bound of robust accuracy.
    pub attacked_accuracy: f64,
    /// What the attacked accuracy says about the population that the images are a random sample of.
    pub attacked_accuracy_interval: Interval,
    /// Number of images.
    pub images: usize,
    /// What became of them.
    pub counts: Counts,
    /// The gate's answer.
    pub gate: GateReport,
    /// The attacks in the order in which they ran.
    pub attacks: Vec<AttackSummary>,
    /// What the numbers mean, in words.
    pub meaning: String,
    /// What a reader must know beside the numbers.
    pub warnings: Vec<Notice>,
    /// What the adversary was allowed to do.
    pub threat_model: ThreatModel,
    /// The model.
    pub model: ModelSummary,
    /// The images and labels.
    pub data: EvaluationData,
    /// Key of all randomness.
    pub seed: u64,
    /// How the model was executed.
    pub execution: Execution,
    /// Wall time of the evaluation, verification included, in seconds.
    pub seconds: f64,
    /// When it ended, RFC 3339 in UTC.
    pub created_at: String,
    /// The program that evaluated.
    pub tool: Tool,
    /// One entry for each image, in the order of the data.
    pub outcomes: Vec<ImageOutcome>,
}

/// One attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackSummary {
    /// Its name.
    pub name: String,
    /// Share of all images still robust after this attack and those before it.
    pub robust_accuracy: f64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Forward passes, counted in images.
    pub forwards: u64,
    /// Backward passes, counted in images.
    pub backwards: u64,
    /// Images that it was run on.
    pub attacked: usize,
    /// Images of those that it broke.
    pub broken: usize,
    /// Images of those that stayed robust.
    pub still_robust: usize,
}

impl AttackSummary {
    /// The summary of an attack in an evaluation of `images` images.
    pub(super) fn new(attack: &AttackResult, images: usize) -> Self {
        Self {
            name: attack.name.clone(),
            robust_accuracy: fraction(attack.still_robust, images),
            seconds: attack.seconds,
            forwards: attack.forwards,
            backwards: attack.backwards,
            attacked: attack.attacked,
            broken: attack.broken,
            still_robust: attack.still_robust,
        }
    }
}

/// The model, and the name of its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSummary {
    /// Name of the file, without its folder.
    pub file: String,
    /// The facts, with the digest.
    pub manifest: Manifest,
}

/// A warning and its sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// For programs.
    pub warning: Warning,
    /// For people.
    pub message: String,
}

impl From<Warning> for Notice {
    fn from(warning: Warning) -> Self {
        Self { message: warning.to_string(), warning }
    }
}
