//! `report.json`: every field of it. Fractions are in `[0, 1]`, lengths in pixels of `[0, 1]`.

use mimir_bundle::certificate::{
    AcceptedDifference, Counts, CrossCheck, EvaluationData, Execution, MajorityTest, SettingsFile, Tool,
};
use mimir_bundle::{AttackSpec, Manifest, Scan, ThreatModel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GateReport, RuleAnswer, Severity, Warning};
use crate::evaluate::{AttackResult, Ending, ImageOutcome, PassCounts, TracePoint};
use crate::landscape::Landscapes;
use crate::statistics::{Interval, fraction};

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`REPORT_VERSION`](super::REPORT_VERSION).
    pub schema_version: u32,
    /// Share of images that the model classifies correctly as they are.
    pub clean_accuracy: f64,
    /// Share of images that no attack broke, those included that it was not done with: an upper bound of robust
    /// accuracy.
    pub attacked_accuracy: f64,
    /// Where attacks were added after those of the standard evaluation: share of images that those left, which is what
    /// published numbers mean. The attacked accuracy is after all attacks.
    pub standard_accuracy: Option<f64>,
    /// What the attacked accuracy says about the population that the images are a random sample of.
    pub attacked_accuracy_interval: Interval,
    /// Number of images.
    pub images: usize,
    /// What became of them.
    pub counts: Counts,
    /// How the evaluation ended. Unless it is complete, the attacked accuracy is an upper bound of what all attacks would
    /// leave.
    pub ending: Ending,
    /// The gate's answer.
    pub gate: GateReport,
    /// The preset whose attacks these are, with all their parameters; none where they are of no preset.
    pub preset: Option<String>,
    /// The attacks in the order in which they ran.
    pub attacks: Vec<AttackSummary>,
    /// Names of attacks that were asked for and not run, because no gradient of the model reaches the images.
    pub skipped_attacks: Vec<String>,
    /// Attacked accuracy over radii, where it was asked for.
    pub curve: Option<Vec<CurvePoint>>,
    /// What the numbers mean, in words.
    pub meaning: String,
    /// What a reader must know beside the numbers.
    pub warnings: Vec<Notice>,
    /// Whether the result can be believed, rule by rule; empty in reports of earlier versions of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<RuleAnswer>,
    /// Pictures of the loss, where they were asked for; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landscapes: Option<Landscapes>,
    /// What the adversary was allowed to do.
    pub threat_model: ThreatModel,
    /// The model.
    pub model: ModelSummary,
    /// The images and labels.
    pub data: EvaluationData,
    /// Key of all randomness.
    pub seed: u64,
    /// The settings files that were read; those before have precedence.
    pub settings_files: Vec<SettingsFile>,
    /// How the model was executed.
    pub execution: Execution,
    /// How predictions were decided, where the model has random operators.
    pub majority_test: Option<MajorityTest>,
    /// What another engine says about the counterexamples, where it was asked. It changes no verdict.
    pub cross_check: Option<CrossCheck>,
    /// Where the graphs that were searched are not the function of the file, which was accepted; absent where they agree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_differences: Vec<AcceptedDifference>,
    /// Wall time of the evaluation, verification included, in seconds.
    pub seconds: f64,
    /// When it ended, RFC 3339 in UTC.
    pub created_at: String,
    /// The program that evaluated.
    pub tool: Tool,
    /// One entry for each image, in the order of the data.
    pub outcomes: Vec<ImageOutcome>,
}

/// A point of the accuracy-versus-epsilon curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Radius, in pixels of `[0, 1]`.
    pub epsilon: f64,
    /// Share of images for which no misclassified point within that radius is known: an upper bound of robust accuracy.
    pub attacked_accuracy: f64,
}

/// One attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackSummary {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub parameters: AttackSpec,
    /// Whether it used the difference of two logits in place of the ratio, which needs more classes.
    pub uses_margin: bool,
    /// Share of all images still robust after this attack and those before it.
    pub robust_accuracy: f64,
    /// Images that were left for it: with the parameter `subset` it was run on that share of them.
    pub attacked: usize,
    /// Images of those that it broke.
    pub broken: usize,
    /// Images of those for which the model's logits were not finite.
    pub non_finite: usize,
    /// Images of those that stayed robust.
    pub still_robust: usize,
    /// Images of those that it was not done with.
    pub unfinished: usize,
    /// Images whose first gradient was zero in every entry.
    pub zero_gradients: usize,
    /// Images for which some gradient held an entry that was not finite: such entries counted as zero.
    pub non_finite_gradients: usize,
    /// Forward passes, counted in images, those that ask the original model included.
    pub forwards: u64,
    /// Backward passes, counted in images.
    pub backwards: u64,
    /// Forward passes for each image that it was run on, on average.
    pub forwards_per_image: f64,
    /// Backward passes for each image that it was run on, on average.
    pub backwards_per_image: f64,
    /// How far its searches were by certain iterates; absent where that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TracePoint>,
    /// Wall time of this run in seconds.
    pub seconds: f64,
    /// Time inside the models in this run, in seconds, summed over the workers.
    pub model_seconds: f64,
}

impl AttackSummary {
    /// The summary of an attack in an evaluation of `images` images.
    pub(super) fn new(attack: &AttackResult, images: usize) -> Self {
        let each = |passes: u64| passes as f64 / attack.attacked.max(1) as f64;
        let PassCounts { forwards, backwards } = attack.passes;
        Self {
            name: attack.name.clone(),
            parameters: attack.spec.clone(),
            uses_margin: attack.uses_margin,
            robust_accuracy: fraction(attack.still_robust, images),
            attacked: attack.attacked,
            broken: attack.broken,
            non_finite: attack.non_finite,
            still_robust: attack.still_robust,
            unfinished: attack.unfinished,
            zero_gradients: attack.zero_gradients,
            non_finite_gradients: attack.non_finite_gradients,
            forwards,
            backwards,
            forwards_per_image: each(forwards),
            backwards_per_image: each(backwards),
            trace: attack.trace.clone(),
            seconds: attack.seconds,
            model_seconds: attack.model_seconds,
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
    /// What its operators show without running it.
    pub scan: Scan,
}

impl ModelSummary {
    /// What `sha256sum` prints for the model; of one with data files beside it, for the file itself. Empty where it has none.
    pub fn sha256(&self) -> &str {
        self.manifest.files.first().map_or("", |file| &file.sha256)
    }
}

/// A warning and its sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Whether it weakens the verdict.
    pub severity: Severity,
    /// For programs.
    pub warning: Warning,
    /// For people.
    pub message: String,
}

impl From<Warning> for Notice {
    fn from(warning: Warning) -> Self {
        Self { severity: warning.severity(), message: warning.to_string(), warning }
    }
}
