//! Two reports of the same images, compared image by image.
//!
//! An image is one pair: what became of it then, and what now. How many pairs changed for the worse and how many for the
//! better decides McNemar's exact test; the difference of the accuracies has Newcombe's interval for paired data.

mod change;
mod document;
mod markdown;
mod text;

use mimir_bundle::AttackSpec;
use mimir_bundle::statistics::{CONFIDENCE, fraction};
use mimir_runtime::evaluate::{Ending, ImageOutcome};
use mimir_runtime::report::{Comparison as Compared, Conclusion, Contradiction, Report, differing_attacks};
use mimir_runtime::statistics::{PairedDifference, mcnemar, paired_difference};

pub use change::{Change, Direction, Fate, Outcome};
pub use document::{
    AttackChange, COMPARISON_VERSION, ClassChange, Comparison, ComparisonGate, DifferenceInterval,
    IntervalName, Paired, Side,
};

/// Slack of the comparison with a limit, for fractions that are not binary numbers.
const ROUNDING: f64 = 1e-9;

/// A report, and what its file is called.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// As the user named it.
    pub file: &'a str,
    /// What stands in it.
    pub report: &'a Report,
}

/// By how much an accuracy may be lower than before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxRegression {
    most: f64,
    compared: Compared,
}

impl MaxRegression {
    /// A limit for both accuracies, as a fraction of the images in `[0, 1]` (half a point is `0.005`); `None` where it is
    /// none. `compared` says what is held against it: the difference on these images, or the upper end of its interval too.
    pub fn new(most: f64, compared: Compared) -> Option<Self> {
        (0.0..=1.0).contains(&most).then_some(Self { most, compared })
    }
}

/// Why two reports cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A report whose fields cannot all be true.
    #[error("{file}: {error}")]
    Contradiction {
        /// The report.
        file: String,
        /// What disagrees.
        error: Contradiction,
    },
    /// Not every image was attacked to the end.
    #[error(
        "{file}: the report is not complete ({unfinished} images are unfinished): evaluate with every attack to its end (--full, or --resume)"
    )]
    Unfinished {
        /// The report.
        file: String,
        /// Images that were not done with.
        unfinished: usize,
    },
    /// They are about different things.
    #[error("the reports have different {field}: {old} in {old_file}, {new} in {new_file}. {reason}")]
    Different {
        /// What differs.
        field: &'static str,
        /// In the old one.
        old: Box<str>,
        /// The old report.
        old_file: Box<str>,
        /// In the new one.
        new: Box<str>,
        /// The new report.
        new_file: Box<str>,
        /// Why that cannot be compared.
        reason: &'static str,
    },
}

/// Compares two reports; `limit` makes it a gate.
///
/// # Errors
/// When a report contradicts itself or is not complete; when they are about different images, labels, numbers of classes or
/// threat models; with a limit, when their attacks differ too.
pub fn compare(
    old: Named<'_>,
    new: Named<'_>,
    limit: Option<MaxRegression>,
) -> Result<Comparison, CompareError> {
    for side in [old, new] {
        expect_complete(side)?;
    }
    expect_same(old, new, limit.is_some())?;
    let pairs: Vec<Pair<'_>> = old.report.outcomes.iter().zip(&new.report.outcomes).collect();
    let clean = paired(&pairs, ImageOutcome::is_clean_correct);
    let attacked = paired(&pairs, is_robust);
    Ok(Comparison {
        schema_version: COMPARISON_VERSION,
        gate: gate(limit, &clean, &attacked),
        old: side(old),
        new: side(new),
        images: pairs.len(),
        threat_model: new.report.threat_model,
        images_digest: new.report.data.images_digest.clone(),
        labels_digest: new.report.data.labels_digest.clone(),
        same_model: model_digest(old) == model_digest(new),
        same_attacks: specs(old.report) == specs(new.report),
        clean,
        attacked,
        attacks: attack_changes(old.report, new.report, &pairs),
        classes: class_changes(new.report, &pairs),
        broken_by_another_attack: pairs
            .iter()
            .filter(|(old, new)| change::is_by_another_attack(old, new))
            .count(),
        changes: pairs.iter().filter_map(|pair| change::change(*pair, &new.report.data)).collect(),
    })
}

/// An image then and now.
type Pair<'a> = (&'a ImageOutcome, &'a ImageOutcome);

fn is_robust(outcome: &ImageOutcome) -> bool {
    matches!(change::outcome(outcome), Outcome::Robust)
}

fn expect_complete(side: Named<'_>) -> Result<(), CompareError> {
    let Named { file, report } = side;
    report.check().map_err(|error| CompareError::Contradiction { file: file.to_owned(), error })?;
    let unfinished = report.counts.unfinished;
    match unfinished > 0 || report.ending == Ending::Interrupted {
        true => Err(CompareError::Unfinished { file: file.to_owned(), unfinished }),
        false => Ok(()),
    }
}

fn expect_same(old: Named<'_>, new: Named<'_>, is_gate: bool) -> Result<(), CompareError> {
    type Field = fn(&Report) -> String;
    const PAIRS: &str = "Only reports of the same images can be compared image by image";
    const STRENGTH: &str =
        "A limit would hold weaker attacks against stronger ones: evaluate both models with the same";
    let fields: [(&str, Field, &str); 3] = [
        ("images (SHA-256)", |report| report.data.images_digest.clone(), PAIRS),
        ("labels (SHA-256)", |report| report.data.labels_digest.clone(), PAIRS),
        (
            "threat models",
            |report| report.threat_model.to_string(),
            "Only the same threat model asks the same of both",
        ),
    ];
    let different = |field: &'static str, was: String, is: String, reason: &'static str| {
        let (old_file, new_file) = (old.file.into(), new.file.into());
        Err(CompareError::Different { field, old: was.into(), old_file, new: is.into(), new_file, reason })
    };
    for (field, of, reason) in &fields {
        let (was, is) = (of(old.report), of(new.report));
        if was != is {
            return different(field, was, is, reason);
        }
    }
    match differing_attacks(&specs(old.report), &specs(new.report)).filter(|_| is_gate) {
        Some((was, is)) => different("attacks", was, is, STRENGTH),
        None => Ok(()),
    }
}

fn specs(report: &Report) -> Vec<&AttackSpec> {
    report.attacks.iter().map(|attack| &attack.parameters).collect()
}

fn model_digest(side: Named<'_>) -> &str {
    &side.report.model.manifest.model_digest
}

fn side(side: Named<'_>) -> Side {
    let Report { model, created_at, clean_accuracy, attacked_accuracy, attacks, .. } = side.report;
    Side {
        file: side.file.to_owned(),
        created_at: created_at.clone(),
        model: model.file.clone(),
        model_sha256: model.sha256().to_owned(),
        model_digest: model.manifest.model_digest.clone(),
        clean_accuracy: *clean_accuracy,
        attacked_accuracy: *attacked_accuracy,
        attacks: attacks.iter().map(|attack| attack.name.clone()).collect(),
    }
}

/// How a property of the images changed.
fn paired(pairs: &[Pair<'_>], holds: impl Fn(&ImageOutcome) -> bool) -> Paired {
    let count = |then: bool, now: bool| {
        pairs.iter().filter(|(old, new)| (holds(old), holds(new)) == (then, now)).count()
    };
    let (both, worse, better, neither) =
        (count(true, true), count(true, false), count(false, true), count(false, false));
    let PairedDifference { lost, lower, upper } = paired_difference(both, worse, better, neither);
    Paired {
        old: fraction(both + worse, pairs.len()),
        new: fraction(both + better, pairs.len()),
        worse,
        better,
        difference: 0.0 - lost,
        interval: DifferenceInterval {
            lower: 0.0 - upper,
            upper: 0.0 - lower,
            confidence: CONFIDENCE,
            method: IntervalName::Newcombe,
        },
        p_value: mcnemar(worse, better),
    }
}

/// After each attack, where both reports have the same.
fn attack_changes(old: &Report, new: &Report, pairs: &[Pair<'_>]) -> Vec<AttackChange> {
    if specs(old) != specs(new) {
        return Vec::new();
    }
    let names: Vec<&str> = new.attacks.iter().map(|attack| attack.name.as_str()).collect();
    let after = |position: usize| {
        let holds = |outcome: &ImageOutcome| change::is_robust_after(outcome, &names, position);
        AttackChange { name: names[position].to_owned(), robust: paired(pairs, holds) }
    };
    (0..names.len()).map(after).collect()
}

/// The classes of which an image changed, in their order.
fn class_changes(report: &Report, pairs: &[Pair<'_>]) -> Vec<ClassChange> {
    let mut classes: Vec<ClassChange> = (0..report.model.manifest.classes.min(1 << 20))
        .map(|label| ClassChange { label, class: None, images: 0, worse: 0, better: 0 })
        .collect();
    for (old, new) in pairs {
        let Some(class) = classes.get_mut(new.label) else { continue };
        class.images += 1;
        match (is_robust(old), is_robust(new)) {
            (true, false) => class.worse += 1,
            (false, true) => class.better += 1,
            _ => {}
        }
    }
    classes.retain(|class| class.worse + class.better > 0);
    for class in &mut classes {
        class.class = change::class_name(&report.data, class.label);
    }
    classes
}

fn gate(limit: Option<MaxRegression>, clean: &Paired, attacked: &Paired) -> ComparisonGate {
    let conclusion = match limit {
        None => Conclusion::NoRequirement,
        Some(MaxRegression { most, compared }) => {
            let is_beyond = |change: f64| change < -(most + ROUNDING);
            let both = [clean, attacked];
            if both.iter().any(|paired| is_beyond(paired.difference)) {
                Conclusion::DoesNotHold
            } else if compared == Compared::LowerLimit
                && both.iter().any(|paired| is_beyond(paired.interval.lower))
            {
                Conclusion::Inconclusive
            } else {
                Conclusion::Holds
            }
        }
    };
    ComparisonGate {
        conclusion,
        max_regression: limit.map(|limit| limit.most),
        compared: limit.map(|limit| limit.compared).unwrap_or_default(),
        exit_code: conclusion.exit_code(),
    }
}

#[cfg(test)]
mod tests;
