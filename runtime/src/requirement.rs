//! What a gate requires of a model, and the one function that answers whether it holds.
//!
//! The same function stops a run early, fills the report and makes the exit code, so that they cannot disagree.

use mimir_bundle::certificate::Counts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::statistics::{clopper_pearson, fraction};

/// The least accuracy that a gate accepts, a fraction in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinAccuracy(f64);

/// Which number is held against the required attacked accuracy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The attacked accuracy on these images itself.
    #[default]
    PointEstimate,
    /// The lower end of its interval (Clopper–Pearson) too.
    LowerLimit,
}

/// Everything that a gate requires. Without any requirement there is no gate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Requirements {
    /// The least attacked accuracy.
    pub min_attacked_accuracy: Option<MinAccuracy>,
    /// Which number is held against it.
    pub compared: Comparison,
    /// The least accuracy on the images as they are.
    pub min_clean_accuracy: Option<MinAccuracy>,
    /// Whether warnings that weaken the verdict make it inconclusive.
    pub deny_warnings: bool,
}

/// The answer of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Nothing was required.
    NoRequirement,
    /// Every requirement holds.
    Holds,
    /// A requirement does not hold.
    DoesNotHold,
    /// No requirement is missed, but the lower limit is below the required accuracy, or a warning that was denied weakens
    /// the verdict.
    Inconclusive,
    /// The evaluation was interrupted before the answer was certain.
    Open,
}

/// What is known of the images of an evaluation, while it runs or at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Number of images.
    pub images: usize,
    /// Images that are classified correctly as they are.
    pub clean_correct: usize,
    /// Images that are certain to count as robust: every attack has spent its budget on them.
    pub robust: usize,
    /// Images that count as robust or may still turn out so.
    pub possible: usize,
    /// Whether a warning weakens the verdict; `None` where later attacks may still call for one.
    pub weakened: Option<bool>,
    /// Whether it is worse than its baseline; `None` where there is none.
    pub regressed: Option<bool>,
}

impl Known {
    /// What those counts say, before anything is known of warnings and a baseline.
    pub fn from_counts(counts: &Counts) -> Self {
        Self {
            images: counts.images,
            clean_correct: counts.clean_correct,
            robust: counts.still_robust,
            possible: counts.not_broken(),
            weakened: None,
            regressed: None,
        }
    }
}

impl MinAccuracy {
    /// A requirement, or `None` where `fraction` is not in `[0, 1]` (40 % is `0.40`).
    pub fn new(fraction: f64) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then_some(Self(fraction))
    }

    /// The requirement as a fraction in `[0, 1]`.
    pub fn fraction(self) -> f64 {
        self.0
    }

    /// The fewest images of so many that meet the requirement.
    pub fn images_needed(self, images: usize) -> usize {
        self.fewest(images, |correct| fraction(correct, images)).unwrap_or(images)
    }

    /// The fewest images of so many whose lower limit meets the requirement; more than all where none does.
    fn images_needed_by_lower_limit(self, images: usize) -> usize {
        self.fewest(images, |correct| clopper_pearson(correct, images).lower).unwrap_or(images + 1)
    }

    /// The smallest count at which a measure that grows with it is large enough.
    fn fewest(self, images: usize, measure: impl Fn(usize) -> f64) -> Option<usize> {
        let (mut fewest, mut most) = (0, images + 1);
        while fewest < most {
            let middle = fewest.midpoint(most);
            if measure(middle) < self.0 { fewest = middle + 1 } else { most = middle }
        }
        (fewest <= images).then_some(fewest)
    }
}

impl Requirements {
    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        let Self { min_attacked_accuracy, min_clean_accuracy, deny_warnings, .. } = self;
        min_attacked_accuracy.is_none() && min_clean_accuracy.is_none() && !deny_warnings
    }

    /// The answer, as far as it is certain: [`Conclusion::Open`] where what is still unknown can change it.
    pub fn conclude(&self, known: &Known) -> Conclusion {
        if self.is_empty() && known.regressed.is_none() {
            return Conclusion::NoRequirement;
        }
        let clean_fails = self
            .min_clean_accuracy
            .is_some_and(|least| known.clean_correct < least.images_needed(known.images));
        if clean_fails || known.regressed == Some(true) {
            return Conclusion::DoesNotHold;
        }
        match (self.attacked(known), self.deny_warnings, known.weakened) {
            (Conclusion::Holds, true, Some(true)) => Conclusion::Inconclusive,
            (Conclusion::Holds, true, None) => Conclusion::Open,
            (conclusion, _, _) => conclusion,
        }
    }

    /// The answer by the attacked accuracy alone.
    fn attacked(&self, known: &Known) -> Conclusion {
        let Some(least) = self.min_attacked_accuracy else { return Conclusion::Holds };
        let needed = least.images_needed(known.images);
        let wanted = match self.compared {
            Comparison::PointEstimate => needed,
            Comparison::LowerLimit => least.images_needed_by_lower_limit(known.images),
        };
        match () {
            () if known.possible < needed => Conclusion::DoesNotHold,
            () if known.robust >= wanted => Conclusion::Holds,
            () if known.robust >= needed && known.possible < wanted => Conclusion::Inconclusive,
            () => Conclusion::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least(fraction: f64) -> Option<MinAccuracy> {
        MinAccuracy::new(fraction)
    }

    fn known(robust: usize, possible: usize) -> Known {
        Known { images: 100, clean_correct: 90, robust, possible, weakened: None, regressed: None }
    }

    #[test]
    fn needed_images_are_the_fewest_that_pass() {
        for images in [1, 3, 7, 500, 10_000] {
            for robust in (0..=images.min(700)).step_by(if images > 100 { 37 } else { 1 }) {
                let exact = fraction(robust, images);
                let needed = |fraction| MinAccuracy::new(fraction).unwrap().images_needed(images);
                assert_eq!(needed(exact), robust, "{robust} of {images}");
                if robust < images {
                    assert_eq!(needed(exact + 1e-9), robust + 1, "{robust} of {images}");
                }
            }
        }
    }

    #[test]
    fn the_lower_limit_needs_more_images() {
        let needed = |fraction| MinAccuracy::new(fraction).unwrap().images_needed_by_lower_limit(500);
        // clopper_pearson(240, 500).lower is 0.43543…
        assert_eq!((needed(0.4354), needed(0.4355), needed(0.0)), (240, 241, 0));
        // Not even 500 of 500 shows 99.9 %.
        assert_eq!(needed(0.999), 501);
    }

    #[test]
    fn requirements_are_fractions() {
        assert!([0.0, 0.4, 1.0].into_iter().all(|fraction| MinAccuracy::new(fraction).is_some()));
        assert!([-0.1, 1.1, 40.0, f64::NAN].into_iter().all(|fraction| MinAccuracy::new(fraction).is_none()));
    }

    #[test]
    fn the_table_of_answers() {
        use Conclusion::{DoesNotHold, Holds, Inconclusive, NoRequirement, Open};
        let estimate = Requirements { min_attacked_accuracy: least(0.4), ..Requirements::default() };
        let lower = Requirements { compared: Comparison::LowerLimit, ..estimate };
        let denied = Requirements { deny_warnings: true, ..estimate };
        let clean = Requirements { min_clean_accuracy: least(0.9), ..Requirements::default() };
        let weak = |weakened, known| Known { weakened: Some(weakened), ..known };
        let cases = [
            (Requirements::default(), known(0, 0), NoRequirement),
            (estimate, known(40, 90), Holds),
            (estimate, known(39, 40), Open),
            (estimate, known(0, 39), DoesNotHold),
            // 51 of 100 have a lower limit of 40.8 %, 50 of 39.8 %.
            (lower, known(51, 90), Holds),
            (lower, known(40, 50), Inconclusive),
            (lower, known(39, 50), Open),
            (lower, known(40, 51), Open),
            (lower, known(0, 39), DoesNotHold),
            (denied, known(40, 90), Open),
            (denied, weak(true, known(40, 40)), Inconclusive),
            (denied, weak(false, known(40, 40)), Holds),
            (denied, weak(true, known(0, 39)), DoesNotHold),
            (denied, known(0, 39), DoesNotHold),
            (clean, known(0, 0), Holds),
            (clean, Known { clean_correct: 89, ..known(0, 90) }, DoesNotHold),
            (estimate, Known { regressed: Some(true), ..known(90, 90) }, DoesNotHold),
            (Requirements::default(), Known { regressed: Some(false), ..known(0, 0) }, Holds),
        ];
        for (requirements, known, answer) in cases {
            assert_eq!(requirements.conclude(&known), answer, "{requirements:?} {known:?}");
        }
    }

    /// What is certain early stays the answer, whatever becomes of the open images.
    #[test]
    fn an_early_answer_is_the_late_one() {
        for compared in [Comparison::PointEstimate, Comparison::LowerLimit] {
            for deny_warnings in [false, true] {
                let requirements = Requirements {
                    min_attacked_accuracy: least(0.4),
                    compared,
                    deny_warnings,
                    ..Requirements::default()
                };
                for robust in 0..=100 {
                    for possible in robust..=100 {
                        let early = requirements.conclude(&known(robust, possible));
                        if early == Conclusion::Open {
                            continue;
                        }
                        for end in [robust, (robust + possible) / 2, possible] {
                            for weakened in [false, true] {
                                let late = Known { weakened: Some(weakened), ..known(end, end) };
                                assert_eq!(
                                    requirements.conclude(&late),
                                    early,
                                    "{robust} to {possible}, {late:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
