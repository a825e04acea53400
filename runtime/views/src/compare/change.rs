//! What became of one image, then and now.

use mimir_bundle::certificate::EvaluationData;
use mimir_runtime::evaluate::{ImageOutcome, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An image whose outcome changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its position in the evaluation set.
    pub image: usize,
    /// Its file, where the source has one for each image.
    pub file: Option<String>,
    /// Its class.
    pub label: usize,
    /// The name of the class, where the source names them.
    pub class: Option<String>,
    /// Whether it became worse or better.
    pub direction: Direction,
    /// What became of it in the old report.
    pub old: Fate,
    /// And in the new one.
    pub new: Fate,
}

/// For the worse or for the better: of misclassified, broken and robust, the last is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It was broken or misclassified since, or is misclassified where it was only broken.
    Worse,
    /// The other way.
    Better,
}

/// What became of an image in one report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fate {
    /// In one word.
    pub outcome: Outcome,
    /// The attack that broke it, where one did.
    pub attack: Option<String>,
    /// The class that the model answered: for the counterexample where there is one, else for the clean image; null where
    /// the logits meant none.
    pub prediction: Option<usize>,
    /// The name of that class, where the source names them.
    pub predicted: Option<String>,
}

/// In one word, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The clean image is misclassified, or the model's logits mean no class there.
    Misclassified,
    /// An attack broke it, or the logits mean no class within the threat model.
    Broken,
    /// No attack broke it.
    Robust,
}

impl Outcome {
    /// As in the document.
    pub fn word(self) -> &'static str {
        match self {
            Self::Misclassified => "misclassified",
            Self::Broken => "broken",
            Self::Robust => "robust",
        }
    }
}

/// In one word. Reports that are compared have no unfinished images; one would count as not robust.
pub(super) fn outcome(outcome: &ImageOutcome) -> Outcome {
    match outcome.verdict {
        _ if !outcome.is_clean_correct() => Outcome::Misclassified,
        Verdict::StillRobust => Outcome::Robust,
        _ => Outcome::Broken,
    }
}

/// The attack that is to blame, where one is.
fn attack(outcome: &ImageOutcome) -> Option<&str> {
    match &outcome.verdict {
        Verdict::Broken { attack, .. } => Some(attack),
        Verdict::NonFinite { attack } => attack.as_deref(),
        Verdict::Misclassified | Verdict::StillRobust | Verdict::Unfinished => None,
    }
}

/// Whether an image was robust after the attack at that position of the list and those before it. One that only rounding
/// breaks counts as robust there, as in the report.
pub(super) fn is_robust_after(image: &ImageOutcome, attacks: &[&str], position: usize) -> bool {
    let is_fragile = matches!(image.verdict, Verdict::Broken { fragile: true, .. });
    match outcome(image) {
        Outcome::Misclassified => false,
        Outcome::Robust => true,
        Outcome::Broken if is_fragile => true,
        Outcome::Broken => {
            let broken_at = attacks.iter().position(|name| Some(*name) == attack(image));
            broken_at.is_some_and(|broken_at| broken_at > position)
        }
    }
}

/// Whether another attack broke it.
pub(super) fn is_by_another_attack(old: &ImageOutcome, new: &ImageOutcome) -> bool {
    let is_broken = |image: &ImageOutcome| outcome(image) == Outcome::Broken;
    is_broken(old) && is_broken(new) && attack(old) != attack(new)
}

/// What changed of an image, where something did.
pub(super) fn change((old, new): (&ImageOutcome, &ImageOutcome), data: &EvaluationData) -> Option<Change> {
    let direction = match outcome(new).cmp(&outcome(old)) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Less => Direction::Worse,
        std::cmp::Ordering::Greater => Direction::Better,
    };
    Some(Change {
        image: new.image,
        file: data.image_files.as_ref().and_then(|files| files.get(new.image).cloned()),
        label: new.label,
        class: class_name(data, new.label),
        direction,
        old: fate(old, data),
        new: fate(new, data),
    })
}

fn fate(image: &ImageOutcome, data: &EvaluationData) -> Fate {
    let prediction = match image.verdict {
        Verdict::Broken { prediction, .. } => Some(prediction),
        Verdict::NonFinite { attack: Some(_) } => None,
        _ => image.clean_prediction,
    };
    Fate {
        outcome: outcome(image),
        attack: attack(image).map(str::to_owned),
        prediction,
        predicted: prediction.and_then(|class| class_name(data, class)),
    }
}

/// The name of a class, where the source names them.
pub(super) fn class_name(data: &EvaluationData, class: usize) -> Option<String> {
    data.class_names.as_ref()?.get(class).cloned()
}
