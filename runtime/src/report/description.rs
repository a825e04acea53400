//! What was evaluated and how.

use mimir_bundle::certificate::{
    AcceptedDifference, Counterexamples, CrossCheck, EvaluationData, Execution, MajorityTest, RunSettings,
    Tool,
};
use mimir_bundle::{Manifest, Scan, ThreatModel};

use super::{Baseline, Requirements, Warning};
use crate::experiments::{Experiments, FirstOrder};
use crate::landscape::Landscapes;

/// What was evaluated and how: all that an evaluation itself does not know.
#[derive(Debug, Clone)]
pub struct RunDescription {
    /// Name of the model file, without its folder.
    pub model_file: String,
    /// The model.
    pub manifest: Manifest,
    /// What its operators show without running it.
    pub scan: Scan,
    /// The images and labels.
    pub data: EvaluationData,
    /// What the adversary was allowed to do.
    pub threat_model: ThreatModel,
    /// Key of all randomness.
    pub seed: u64,
    /// What was set, and where.
    pub settings: RunSettings,
    /// How the model was executed.
    pub execution: Execution,
    /// How predictions were decided, where the model has random operators.
    pub majority_test: Option<MajorityTest>,
    /// What another engine says about the counterexamples, where it was asked.
    pub cross_check: Option<CrossCheck>,
    /// Where the searched graphs are not the function of the file, which was accepted.
    pub accepted_differences: Vec<AcceptedDifference>,
    /// Whether the curve over radii is reported.
    pub curve: bool,
    /// What is required.
    pub gate: Requirements,
    /// The least preset of attacks, where one was required.
    pub min_preset: Option<String>,
    /// An earlier report that this evaluation is compared with.
    pub baseline: Option<Baseline>,
    /// Names of attacks that were asked for and not run, because the model has no gradient.
    pub skipped_attacks: Vec<String>,
    /// What was unusual about the model.
    pub warnings: Vec<Warning>,
    /// What other scalings of the pixels did, where that was looked at.
    pub scaling: Option<ScalingProbe>,
    /// What gradients promise and steps keep, or why nobody looked.
    pub first_order: Result<FirstOrder, String>,
    /// What extra passes found, where they were made.
    pub experiments: Option<Experiments>,
    /// Why they were not made although they were asked for.
    pub without_experiments: Option<String>,
    /// Pictures of the loss, where they were asked for.
    pub landscapes: Option<Landscapes>,
    /// Wall time of the evaluation, in seconds.
    pub seconds: f64,
    /// When it ended, RFC 3339 in UTC.
    pub created_at: String,
    /// The program.
    pub tool: Tool,
    /// The stored counterexamples, where they are stored.
    pub counterexamples: Option<Counterexamples>,
}

/// What other customary scalings and orders of colours do to the clean accuracy, on some images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingProbe {
    /// Images that were classified.
    pub images: usize,
    /// Of them, correctly, as the input was given.
    pub given: usize,
    /// Other scalings that were tried: none where the model is right often enough as it is.
    pub tried: usize,
    /// The best of them, where it is better by more than chance.
    pub better: Option<BetterScaling>,
}

/// A scaling or an order of colours under which the model is right far more often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BetterScaling {
    /// What it is, in words.
    pub name: String,
    /// The flags that ask for it.
    pub flags: String,
    /// Images classified correctly.
    pub correct: usize,
    /// Others with which as many are, as far as so few images can tell, in words.
    pub tied: Vec<String>,
}
