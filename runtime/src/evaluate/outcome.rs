//! What an evaluation found, image by image and attack by attack.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use mimir_bundle::attack::AttackSpec;

/// Images that models were asked about. Padding is not counted; confirmations are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassCounts {
    /// Forward passes, those of gradients included.
    pub forwards: u64,
    /// Backward passes.
    pub backwards: u64,
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
    /// An attack found a misclassified image inside the threat model; it was verified.
    Broken {
        /// Name of the attack.
        attack: String,
        /// Iterate of the attack on this image, counted from 0, its start, on through its restarts.
        step: usize,
        /// Class that the original model predicts there.
        prediction: usize,
        /// Distance from the clean image, in the norm of the threat model.
        distance: f64,
    },
    /// No attack broke it. That is no proof: a stronger attack might.
    StillRobust,
}

/// One image of the evaluation set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageOutcome {
    /// Position in the evaluation set.
    pub image: usize,
    /// True class.
    pub label: usize,
    /// Class that the original model predicts for the clean image.
    pub clean_prediction: usize,
    /// What became of it.
    pub verdict: Verdict,
}

/// One attack of the plan. `attacked = broken + still_robust`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackResult {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub spec: AttackSpec,
    /// Images that were still robust before it.
    pub attacked: usize,
    /// Images that it broke.
    pub broken: usize,
    /// Images that are still robust after it.
    pub still_robust: usize,
    /// Wall time.
    pub seconds: f64,
    /// Images put through a forward pass; confirmations by the original model included.
    pub forwards: u64,
    /// Images put through a backward pass.
    pub backwards: u64,
    /// Iterates that the model was asked about, over all images.
    pub steps: u64,
}

/// Everything that an evaluation found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// One entry an image, in the order of the set.
    pub outcomes: Vec<ImageOutcome>,
    /// One entry an attack, in the order of the plan.
    pub attacks: Vec<AttackResult>,
    /// Passes spent on the clean images.
    pub clean: PassCounts,
    /// One entry an image: the verified counterexample of a broken one, `C·H·W` pixels.
    pub adversarial: Vec<Option<Box<[f32]>>>,
}

impl Evaluation {
    /// Images whose clean version is classified correctly.
    pub fn clean_correct(&self) -> usize {
        self.count(|verdict| *verdict != Verdict::Misclassified)
    }

    /// Images that no attack broke, of those classified correctly.
    pub fn still_robust(&self) -> usize {
        self.count(|verdict| *verdict == Verdict::StillRobust)
    }

    fn count(&self, holds: impl Fn(&Verdict) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| holds(&outcome.verdict)).count()
    }
}
