//! The gate: one function decides, and text, JSON and exit code are views of its answer.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::percent;
use crate::evaluate::Ending;
use crate::statistics::fraction;

/// The least attacked accuracy that a gate accepts, a fraction in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinAttackedAccuracy(f64);

impl MinAttackedAccuracy {
    /// A requirement, or `None` where `fraction` is not in `[0, 1]` (40 % is `0.40`).
    pub fn new(fraction: f64) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then_some(Self(fraction))
    }

    /// The fewest robust images of so many that meet the requirement.
    pub fn robust_images_needed(self, images: usize) -> usize {
        let Self(least) = self;
        let guess = (least * images as f64).ceil() as usize;
        // The product may round to the wrong side of a whole number.
        let candidates = guess.saturating_sub(1)..=guess.min(images);
        candidates.into_iter().find(|robust| fraction(*robust, images) >= least).unwrap_or(images)
    }
}

/// Which number is held against the requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The attacked accuracy on these images itself, not an end of its interval.
    PointEstimate,
}

/// The answer of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Nothing was required.
    NoRequirement,
    /// The requirement holds.
    Holds,
    /// The requirement does not hold.
    DoesNotHold,
    /// The evaluation was interrupted before either was certain.
    Open,
}

/// The exit code of an evaluation that was interrupted: `EX_TEMPFAIL`, run it again.
const INTERRUPTED: u8 = 75;

impl Conclusion {
    /// Exit code of the program: 0, 10 where the requirement does not hold, 75 where that is open.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::NoRequirement | Self::Holds => 0,
            Self::DoesNotHold => 10,
            Self::Open => INTERRUPTED,
        }
    }
}

/// The gate's part of the report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateReport {
    /// The answer.
    pub conclusion: Conclusion,
    /// What was required, where something was.
    pub min_attacked_accuracy: Option<f64>,
    /// What was found: an upper bound.
    pub attacked_accuracy: f64,
    /// The least that a complete evaluation could find: below the attacked accuracy only where images are unfinished.
    pub certain_accuracy: f64,
    /// Which number was held against the requirement.
    pub compared: Comparison,
    /// The exit code of the program.
    pub exit_code: u8,
}

impl GateReport {
    /// Decides: the requirement holds when the attacked accuracy of a complete evaluation is at least as large.
    ///
    /// Numbers that are not numbers never make it hold. An interrupted evaluation exits with 75, whatever was required.
    pub fn decide(
        requirement: Option<MinAttackedAccuracy>,
        certain_accuracy: f64,
        attacked_accuracy: f64,
        ending: Ending,
    ) -> Self {
        let conclusion = match requirement {
            None => Conclusion::NoRequirement,
            Some(MinAttackedAccuracy(least)) if certain_accuracy >= least => Conclusion::Holds,
            Some(MinAttackedAccuracy(least)) if attacked_accuracy >= least => Conclusion::Open,
            Some(_) => Conclusion::DoesNotHold,
        };
        let exit_code = if ending == Ending::Interrupted { INTERRUPTED } else { conclusion.exit_code() };
        Self {
            conclusion,
            min_attacked_accuracy: requirement.map(|MinAttackedAccuracy(least)| least),
            attacked_accuracy,
            certain_accuracy,
            compared: Comparison::PointEstimate,
            exit_code,
        }
    }
}

impl fmt::Display for GateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_most = if self.certain_accuracy < self.attacked_accuracy { "at most " } else { "" };
        let found = format!("{at_most}{}", percent(self.attacked_accuracy));
        let at_least = if at_most.is_empty() { "" } else { "at least " };
        let certain = format!("{at_least}{}", percent(self.certain_accuracy));
        let required = percent(self.min_attacked_accuracy.unwrap_or_default());
        match self.conclusion {
            Conclusion::NoRequirement => write!(f, "DONE  attacked accuracy {found}, nothing was required"),
            Conclusion::Holds => {
                write!(f, "PASS  attacked accuracy {certain} is not below the required {required}")
            }
            Conclusion::DoesNotHold => {
                write!(f, "FAIL  attacked accuracy {found} is below the required {required}")
            }
            Conclusion::Open => {
                write!(f, "OPEN  attacked accuracy {certain} and {found}, required is {required}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_json_and_exit_code_agree() {
        let cases = [
            (None, 0.0, "DONE", "no_requirement", 0),
            (Some(0.40), 0.48, "PASS", "holds", 0),
            (Some(0.48), 240.0 / 500.0, "PASS", "holds", 0),
            (Some(0.0), 0.0, "PASS", "holds", 0),
            (Some(0.40), 0.398, "FAIL", "does_not_hold", 10),
            (Some(1.0), 499.0 / 500.0, "FAIL", "does_not_hold", 10),
            (Some(0.0), f64::NAN, "FAIL", "does_not_hold", 10),
        ];
        for (least, found, word, json, exit_code) in cases {
            let requirement = least.map(|least| MinAttackedAccuracy::new(least).unwrap());
            let gate = GateReport::decide(requirement, found, found, Ending::Complete);
            assert!(gate.to_string().starts_with(word), "{least:?} {found}: {gate}");
            assert_eq!(serde_json::to_value(gate).unwrap()["conclusion"], json, "{least:?} {found}");
            assert_eq!(
                (gate.exit_code, gate.conclusion.exit_code()),
                (exit_code, exit_code),
                "{least:?} {found}"
            );
        }
    }

    #[test]
    fn an_evaluation_that_stopped_early_decides_only_what_is_certain() {
        let decide = |certain, possible, ending| {
            GateReport::decide(MinAttackedAccuracy::new(0.4), certain, possible, ending)
        };
        let decided = Ending::GateDecided;
        for (certain, possible, ending, conclusion, exit_code, text) in [
            (
                0.4,
                0.9,
                decided,
                Conclusion::Holds,
                0,
                "PASS  attacked accuracy at least 40.00 % is not below",
            ),
            (0.0, 0.39, decided, Conclusion::DoesNotHold, 10, "FAIL  attacked accuracy at most 39.00 % is"),
            (0.1, 0.9, Ending::Interrupted, Conclusion::Open, 75, "OPEN  attacked accuracy at least 10.00 %"),
            (0.4, 0.9, Ending::Interrupted, Conclusion::Holds, 75, "PASS"),
        ] {
            let gate = decide(certain, possible, ending);
            assert_eq!((gate.conclusion, gate.exit_code), (conclusion, exit_code), "{certain} {possible}");
            assert!(gate.to_string().starts_with(text), "{gate}");
        }
    }

    #[test]
    fn needed_images_are_the_fewest_that_pass() {
        for images in [1, 3, 7, 500, 10_000] {
            for robust in 0..=images.min(700) {
                let exact = fraction(robust, images);
                let least = MinAttackedAccuracy::new(exact).unwrap();
                assert_eq!(least.robust_images_needed(images), robust, "{robust} of {images}");
                if robust < images {
                    let above = MinAttackedAccuracy::new(exact + 1e-9).unwrap();
                    assert_eq!(above.robust_images_needed(images), robust + 1, "{robust} of {images}");
                }
            }
        }
    }

    #[test]
    fn requirements_are_fractions() {
        assert!([0.0, 0.4, 1.0].into_iter().all(|fraction| MinAttackedAccuracy::new(fraction).is_some()));
        assert!(
            [-0.1, 1.1, 40.0, f64::NAN]
                .into_iter()
                .all(|fraction| MinAttackedAccuracy::new(fraction).is_none())
        );
    }

    #[test]
    fn a_near_miss_does_not_look_like_a_pass() {
        let gate = GateReport::decide(MinAttackedAccuracy::new(0.4), 0.3999, 0.3999, Ending::Complete);
        assert_eq!(gate.to_string(), "FAIL  attacked accuracy 39.99 % is below the required 40.00 %");
    }
}
