//! What an evaluation found, image by image and attack by attack.

use mimir_bundle::AttackSpec;
use mimir_bundle::certificate::Counts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Images that models were asked about. Padding is not counted; confirmations are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassCounts {
    /// Forward passes, those of gradients included.
    pub forwards: u64,
    /// Backward passes.
    pub backwards: u64,
}

impl std::ops::Add for PassCounts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl std::ops::AddAssign for PassCounts {
    fn add_assign(&mut self, other: Self) {
        self.forwards += other.forwards;
        self.backwards += other.backwards;
    }
}

/// What became of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verdict {
    /// The clean image is misclassified: it is not attacked, and counts as not robust.
    Misclassified,
    /// An attack found a misclassified image inside the threat model, and the original model confirmed it.
    Broken {
        /// Name of the attack.
        attack: String,
        /// Target class of a targeted attack.
        target: Option<usize>,
        /// Restart, from 0.
        restart: usize,
        /// Iterate of that search, counted from 0, its start.
        step: usize,
        /// Class that the original model predicts there.
        prediction: usize,
        /// Distance from the clean image, in the norm of the threat model.
        distance: f64,
        /// `z_y - max of the others` there, from the file's float32 logits: not positive.
        margin: f32,
        /// The same in float64, of the file's own numbers: positive where only rounding misclassifies the point. None where
        /// the engine lacks an operator in float64, or the model has random operators.
        margin_float64: Option<f32>,
        /// Whether `margin` is no more than the rounding of the logits, and no attack found more: another engine or
        /// processor may classify the point correctly.
        fragile: bool,
    },
    /// No attack broke it. That is no proof: a stronger attack might.
    StillRobust,
    /// The original model's logits hold NaN or +∞ at a point inside the threat model, so that they mean no class: the
    /// image counts as not robust. Numbers that are not finite elsewhere, or in a search's gradient, are no verdict.
    NonFinite {
        /// Name of the attack; none where the clean image does it.
        attack: Option<String>,
    },
    /// Nothing broke it before the evaluation stopped, and not every attack was done with it.
    Unfinished,
}

/// One image of the evaluation set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageOutcome {
    /// Position in the evaluation set.
    pub image: usize,
    /// True class.
    pub label: usize,
    /// Class that the original model predicts for the clean image; none where its logits mean none.
    pub clean_prediction: Option<usize>,
    /// `z_y - max of the others` of the clean image, from the file's float32 logits; none where they are not finite.
    pub clean_margin: Option<f32>,
    /// The same in float64, as `margin_float64` of a counterexample; none for an evaluation that was interrupted.
    pub clean_margin_float64: Option<f32>,
    /// What became of it.
    pub verdict: Verdict,
    /// The smallest distance at which a misclassified point was found and confirmed, where one was.
    pub closest: Option<f64>,
    /// Passes that the attacks spent on it.
    pub passes: PassCounts,
}

/// One attack of the plan. `attacked = broken + non_finite + still_robust`.
#[derive(Debug, Clone, PartialEq)]
pub struct AttackResult {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub spec: AttackSpec,
    /// Whether it used the difference of two logits in place of the ratio, which needs more classes.
    pub uses_margin: bool,
    /// Images that were still robust before it.
    pub attacked: usize,
    /// Images that it broke.
    pub broken: usize,
    /// Images for which the original model's logits mean no class at a point inside the threat model.
    pub non_finite: usize,
    /// Images that are still robust after it.
    pub still_robust: usize,
    /// Of those, images that it was not done with when the evaluation stopped.
    pub unfinished: usize,
    /// Images whose first gradient was zero in every entry.
    pub zero_gradients: usize,
    /// Images for which some gradient held an entry that was not finite: such entries counted as zero.
    pub non_finite_gradients: usize,
    /// What its searches showed besides.
    pub signs: AttackSigns,
    /// How far its searches were by certain iterates; empty of models with random operators.
    pub trace: Vec<TracePoint>,
    /// Wall time of this run.
    pub seconds: f64,
    /// Time inside the models in this run, summed over the workers.
    pub model_seconds: f64,
    /// Passes of all searches that count, those of an earlier run included: the units of an image up to the one that
    /// broke it. Confirmations by the original model are forward passes too.
    pub passes: PassCounts,
}

/// Images whose searches by one attack showed something, in the order of the set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttackSigns {
    /// The first gradient of each search with gradients was zero in every entry.
    pub without_gradient: Vec<usize>,
    /// Some gradient held an entry that was not finite.
    pub non_finite_gradient: Vec<usize>,
    /// Nothing broke them, and the loss of each search with gradients still rose at its end.
    pub incomplete: Vec<usize>,
    /// The searched graph clearly misclassified a point, and the original model did not.
    pub rejected: Vec<usize>,
}

/// How far the searches of an attack were by an iterate. A search that ended before counts with what it ended with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TracePoint {
    /// The iterate, counted from 0, the start of a search.
    pub iterate: usize,
    /// Mean, over the images that the attack was run on, of the lowest margin `z_y - max of the others` that the searched graph
    /// had by then at a point of the ball; those left out for which it is not finite.
    pub mean_margin: f64,
    /// Images that it had broken by then.
    pub broken: usize,
}

/// How an evaluation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Every attack was done with every image.
    Complete,
    /// The rest could not change the gate's answer.
    GateDecided,
    /// A signal.
    Interrupted,
}

/// Everything that an evaluation found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// One entry an image, in the order of the set.
    pub outcomes: Vec<ImageOutcome>,
    /// One entry an attack that was begun, in the order of the plan.
    pub attacks: Vec<AttackResult>,
    /// How it ended.
    pub ending: Ending,
    /// Passes spent on the clean images.
    pub clean: PassCounts,
    /// Clean images of a model with random operators whose class no test could decide: they count as classified
    /// correctly, and were attacked.
    pub undecided: usize,
    /// One entry an image: where its counterexample is in the archive's store, for broken images whose pixels are kept.
    pub slots: Vec<Option<u64>>,
}

impl Evaluation {
    /// Images whose clean version is classified correctly.
    pub fn clean_correct(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.is_clean_correct()).count()
    }

    /// Images that every attack left alone, of those classified correctly.
    pub fn still_robust(&self) -> usize {
        self.count(|verdict| *verdict == Verdict::StillRobust)
    }

    /// How many images there are, and what became of them.
    pub fn counts(&self) -> Counts {
        counts_of(&self.outcomes)
    }

    /// Images with such a verdict.
    pub fn count(&self, holds: impl Fn(&Verdict) -> bool) -> usize {
        count_of(&self.outcomes, holds)
    }
}

/// How many images there are, and what became of them.
pub(crate) fn counts_of(outcomes: &[ImageOutcome]) -> Counts {
    let count = |holds: fn(&Verdict) -> bool| count_of(outcomes, holds);
    Counts {
        images: outcomes.len(),
        clean_correct: outcomes.iter().filter(|outcome| outcome.is_clean_correct()).count(),
        broken: count(|verdict| matches!(verdict, Verdict::Broken { .. })),
        fragile: count(|verdict| matches!(verdict, Verdict::Broken { fragile: true, .. })),
        still_robust: count(|verdict| *verdict == Verdict::StillRobust),
        non_finite: count(|verdict| matches!(verdict, Verdict::NonFinite { .. })),
        unfinished: count(|verdict| *verdict == Verdict::Unfinished),
    }
}

fn count_of(outcomes: &[ImageOutcome], holds: impl Fn(&Verdict) -> bool) -> usize {
    outcomes.iter().filter(|outcome| holds(&outcome.verdict)).count()
}

impl ImageOutcome {
    /// Whether the clean image is classified correctly.
    pub fn is_clean_correct(&self) -> bool {
        self.clean_prediction == Some(self.label)
    }
}
