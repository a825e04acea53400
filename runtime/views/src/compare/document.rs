//! What `compare --format json` prints: every field of it. Fractions and differences are of the images.

use mimir_bundle::ThreatModel;
use mimir_runtime::report::{Comparison as Compared, Conclusion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;

/// The version of the format that this crate writes.
pub const COMPARISON_VERSION: u32 = 1;

/// What differs between two reports of the same images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// [`COMPARISON_VERSION`].
    pub schema_version: u32,
    /// The answer, where a limit was given.
    pub gate: ComparisonGate,
    /// The old report.
    pub old: Side,
    /// The new report.
    pub new: Side,
    /// Number of images.
    pub images: usize,
    /// What the adversary was allowed to do, in both.
    pub threat_model: ThreatModel,
    /// SHA-256 of the images, in both.
    pub images_digest: String,
    /// SHA-256 of the labels, in both.
    pub labels_digest: String,
    /// Whether both are of one model.
    pub same_model: bool,
    /// Whether both have the same attacks with the same parameters. If not, a difference may be one of the attacks.
    pub same_attacks: bool,
    /// The clean accuracy.
    pub clean: Paired,
    /// The attacked accuracy.
    pub attacked: Paired,
    /// The accuracy after each attack and those before it; empty where the attacks differ.
    pub attacks: Vec<AttackChange>,
    /// The classes with an image that broke or is robust again.
    pub classes: Vec<ClassChange>,
    /// Images that are broken in both, by another attack.
    pub broken_by_another_attack: usize,
    /// The images whose outcome changed, in their order.
    pub changes: Vec<Change>,
}

/// The answer of a comparison that is a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComparisonGate {
    /// The answer.
    pub conclusion: Conclusion,
    /// By how much either accuracy may be lower, where a limit was given.
    pub max_regression: Option<f64>,
    /// What was held against it: the difference, or the lower end of its interval too.
    pub compared: Compared,
    /// The exit code of the program.
    pub exit_code: u8,
}

/// One of the two reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// As the user named it.
    pub file: String,
    /// When its run ended, RFC 3339 in UTC.
    pub created_at: String,
    /// Name of the model's file.
    pub model: String,
    /// What `sha256sum` prints for it; of a model with data files beside it, for the file itself.
    pub model_sha256: String,
    /// The model with all its files, as a certificate has it.
    pub model_digest: String,
    /// Its clean accuracy.
    pub clean_accuracy: f64,
    /// Its attacked accuracy.
    pub attacked_accuracy: f64,
    /// Names of its attacks.
    pub attacks: Vec<String>,
}

/// How many images have a property then and now, and what that says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paired {
    /// Share of the images that had it.
    pub old: f64,
    /// Share that have it now.
    pub new: f64,
    /// Images that lost it.
    pub worse: usize,
    /// Images that gained it.
    pub better: usize,
    /// `new - old`: negative where it became worse.
    pub difference: f64,
    /// What the difference says about the population that the images are a random sample of.
    pub interval: DifferenceInterval,
    /// Two-sided p-value of McNemar's exact test: the chance of changes at least as uneven, if an image is as likely to
    /// change for the worse as for the better.
    pub p_value: f64,
}

/// A confidence interval of a difference of two proportions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DifferenceInterval {
    /// Lower end, in `[-1, 1]`.
    pub lower: f64,
    /// Upper end, in `[-1, 1]`.
    pub upper: f64,
    /// Probability, over random samples, that it covers the population's difference: approximately this.
    pub confidence: f64,
    /// How it was computed.
    pub method: IntervalName,
}

/// How the interval of a difference was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IntervalName {
    /// Method 10 of Newcombe (1998) for paired data.
    #[serde(rename = "Newcombe 1998, method 10")]
    Newcombe,
}

/// The accuracy after one attack and those before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackChange {
    /// Its name.
    pub name: String,
    /// Images that were robust after it.
    pub robust: Paired,
}

/// Images of one class that broke, or are robust again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassChange {
    /// The class.
    pub label: usize,
    /// Its name, where the source names them.
    pub class: Option<String>,
    /// Its images.
    pub images: usize,
    /// Of them, those that were robust and no longer are.
    pub worse: usize,
    /// Those that were not robust and now are.
    pub better: usize,
}

impl Paired {
    /// Whether McNemar's test finds a change at 5 %.
    pub fn is_significant(&self) -> bool {
        self.p_value < 0.05
    }
}
