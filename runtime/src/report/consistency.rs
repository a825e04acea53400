//! Whether the outcomes and the totals of a report that may come from anyone can all be true.

use mimir_bundle::certificate::Counts;
use serde::Serialize;

use crate::evaluate::{ImageOutcome, Verdict, counts_of};
use crate::statistics::fraction;

/// Slack of comparisons of fractions, for those that are not binary numbers.
pub(super) const ROUNDING: f64 = 1e-9;

/// Fields of a report that cannot all be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the report contradicts itself: {0}")]
pub struct Contradiction(String);

pub(super) type Checked = Result<(), Contradiction>;

/// Whether an outcome counts as robust.
pub(super) fn is_robust(outcome: &ImageOutcome) -> bool {
    outcome.verdict == Verdict::StillRobust
}

/// Whether the clean image counts as classified correctly.
pub(super) fn is_correct(outcome: &ImageOutcome) -> bool {
    outcome.is_clean_correct()
}

/// One outcome an image, in their order, none of which contradicts itself.
pub(super) fn check_outcomes(images: usize, outcomes: &[ImageOutcome]) -> Checked {
    if images == 0 || outcomes.len() != images {
        return contradiction(format!("{} outcomes of {images} images", outcomes.len()));
    }
    if let Some((index, outcome)) = outcomes.iter().enumerate().find(|(index, each)| each.image != *index) {
        return contradiction(format!("outcome {index} is of image {}", outcome.image));
    }
    let is_odd = |outcome: &&ImageOutcome| is_robust(outcome) && !is_correct(outcome);
    match outcomes.iter().find(is_odd) {
        Some(outcome) => contradiction(format!("image {} is robust but misclassified", outcome.image)),
        None => Ok(()),
    }
}

/// What people read of a report follows from the outcomes, which are what is compared.
pub(super) fn check_totals(outcomes: &[ImageOutcome], found: &Counts, clean: f64, attacked: f64) -> Checked {
    let counts = counts_of(outcomes);
    if counts != *found {
        return contradiction(format!("its counts are {}, its outcomes give {}", json(found), json(&counts)));
    }
    let shares = [
        ("clean_accuracy", clean, counts.clean_correct),
        ("attacked_accuracy", attacked, counts.not_broken()),
    ];
    let differs =
        |(_, found, count): &(&str, f64, usize)| (found - fraction(*count, outcomes.len())).abs() > ROUNDING;
    match shares.into_iter().find(differs) {
        None => Ok(()),
        Some((name, found, count)) => contradiction(format!(
            "{name} is {found}, its outcomes give {count} of {} images",
            outcomes.len()
        )),
    }
}

pub(super) fn contradiction(what: String) -> Checked {
    Err(Contradiction(what))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
