//! The gate's part of the report: text, JSON and exit code are views of one answer.

use std::fmt;

use mimir_bundle::certificate::Counts;
use mimir_bundle::statistics::percent_in_full;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::BaselineComparison;
use super::format::percent;
use crate::evaluate::Ending;
use crate::requirement::{Comparison, Conclusion, Known, MinAccuracy, Requirements};
use crate::statistics::{Interval, accuracies, clopper_pearson, fraction};

/// The exit code of an evaluation that was interrupted: `EX_TEMPFAIL`, run it again.
const INTERRUPTED: u8 = 75;

impl Conclusion {
    /// Exit code of a program whose evaluation was not interrupted: 0, 10 where a requirement does not hold, 11 where
    /// the evaluation does not show that they all hold.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::NoRequirement | Self::Holds => 0,
            Self::DoesNotHold => 10,
            Self::Inconclusive => 11,
            Self::Open => INTERRUPTED,
        }
    }
}

/// The gate's part of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateReport {
    /// The answer.
    pub conclusion: Conclusion,
    /// The attacked accuracy that was required, where one was.
    pub min_attacked_accuracy: Option<f64>,
    /// What was found: an upper bound.
    pub attacked_accuracy: f64,
    /// The least that a complete evaluation could find: below the attacked accuracy only where images are unfinished.
    pub certain_accuracy: f64,
    /// Which number was held against the requirement.
    pub compared: Comparison,
    /// The lower end of the interval of the certain accuracy: what is compared with [`Comparison::LowerLimit`].
    pub lower_limit: f64,
    /// Confidence of the two-sided interval that the lower limit is an end of.
    pub confidence: f64,
    /// The clean accuracy that was required, where one was.
    pub min_clean_accuracy: Option<f64>,
    /// The clean accuracy.
    pub clean_accuracy: f64,
    /// Whether warnings that weaken the verdict make it inconclusive.
    pub deny_warnings: bool,
    /// Kinds of the warnings that weaken the verdict.
    pub weakened_by: Vec<String>,
    /// The least preset of attacks, where one was required.
    pub min_preset: Option<String>,
    /// The comparison with an earlier report, where one was given.
    pub baseline: Option<BaselineComparison>,
    /// Whether a signal ended the evaluation.
    pub interrupted: bool,
    /// The exit code of the program.
    pub exit_code: u8,
}

impl GateReport {
    /// Decides, by what was counted.
    ///
    /// An interrupted evaluation exits with 75, whatever was required.
    pub fn decide(
        requirements: &Requirements,
        counts: &Counts,
        weakened_by: Vec<String>,
        baseline: Option<BaselineComparison>,
        ending: Ending,
    ) -> Self {
        let (clean_accuracy, attacked_accuracy) = accuracies(counts);
        let interrupted = ending == Ending::Interrupted;
        // What an interrupted evaluation did not reach may call for more warnings.
        let weakened = (!interrupted).then_some(!weakened_by.is_empty());
        let regressed = baseline.as_ref().map(|baseline| baseline.regressed);
        let known = Known { weakened, regressed, ..Known::from_counts(counts) };
        let conclusion = requirements.conclude(&known);
        let Interval { lower, confidence, .. } = clopper_pearson(counts.still_robust, counts.images);
        Self {
            conclusion,
            min_attacked_accuracy: requirements.min_attacked_accuracy.map(MinAccuracy::fraction),
            attacked_accuracy,
            certain_accuracy: fraction(counts.still_robust, counts.images),
            compared: requirements.compared,
            lower_limit: lower,
            confidence,
            min_clean_accuracy: requirements.min_clean_accuracy.map(MinAccuracy::fraction),
            clean_accuracy,
            deny_warnings: requirements.deny_warnings,
            weakened_by,
            min_preset: None,
            baseline,
            interrupted,
            exit_code: if interrupted { INTERRUPTED } else { conclusion.exit_code() },
        }
    }

    /// The attacked accuracy as far as it is known: `at most 48.00 %`.
    fn found(&self) -> String {
        let at_most = if self.is_exact() { "" } else { "at most " };
        format!("{at_most}{}", percent(self.attacked_accuracy))
    }

    fn certain(&self) -> String {
        let at_least = if self.is_exact() { "" } else { "at least " };
        format!("{at_least}{}", percent(self.certain_accuracy))
    }

    fn is_exact(&self) -> bool {
        self.certain_accuracy >= self.attacked_accuracy
    }

    fn fmt_pass(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.min_attacked_accuracy {
            Some(required) => {
                write!(
                    f,
                    "attacked accuracy {} is not below the required {}",
                    self.certain(),
                    percent_in_full(required)
                )
            }
            None => write!(f, "attacked accuracy {}, and every requirement holds", self.found()),
        }
    }

    fn fmt_failure(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min_clean_accuracy, self.min_attacked_accuracy) {
            (Some(required), _) if self.clean_accuracy < required => {
                write!(
                    f,
                    "clean accuracy {} is below the required {}",
                    percent(self.clean_accuracy),
                    percent_in_full(required)
                )
            }
            (_, required) if required.is_none_or(|required| self.attacked_accuracy >= required) => {
                self.baseline.as_ref().map_or(Ok(()), |baseline| fmt_regression(baseline, f))
            }
            (_, required) => write!(
                f,
                "attacked accuracy {} is below the required {}",
                self.found(),
                percent_in_full(required.unwrap_or_default())
            ),
        }
    }

    fn fmt_doubt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required = self.min_attacked_accuracy.unwrap_or_default();
        if self.compared == Comparison::LowerLimit && self.lower_limit < required {
            return write!(
                f,
                "attacked accuracy {} is not below the required {}, but its {:.0} % interval reaches down to {}",
                self.certain(),
                percent_in_full(required),
                100.0 * self.confidence,
                percent(self.lower_limit),
            );
        }
        let warnings = self.weakened_by.join(", ");
        write!(f, "attacked accuracy {}, but warnings weaken the verdict: {warnings}", self.found())
    }
}

fn fmt_regression(baseline: &BaselineComparison, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let BaselineComparison {
        newly_broken, newly_robust, newly_misclassified, newly_correct, tolerance, ..
    } = baseline;
    write!(
        f,
        "{} images broke that were robust in {}, {} the other way; {newly_misclassified} became misclassified, \
         {newly_correct} the other way; the tolerance is {}",
        newly_broken.len(),
        baseline.file,
        newly_robust.len(),
        percent(*tolerance),
    )
}

impl fmt::Display for GateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.interrupted {
            write!(f, "INTERRUPTED  ")?;
        }
        match self.conclusion {
            Conclusion::NoRequirement if self.interrupted => {
                write!(f, "attacked accuracy {} so far", self.found())
            }
            Conclusion::NoRequirement => {
                write!(f, "DONE  attacked accuracy {}, no requirement was set", self.found())
            }
            Conclusion::Holds => {
                write!(f, "PASS  ")?;
                self.fmt_pass(f)
            }
            Conclusion::DoesNotHold => {
                write!(f, "FAIL  ")?;
                self.fmt_failure(f)
            }
            Conclusion::Inconclusive => {
                write!(f, "INCONCLUSIVE  ")?;
                self.fmt_doubt(f)
            }
            Conclusion::Open => {
                let required = self.min_attacked_accuracy.map_or_else(|| "nothing".to_owned(), percent);
                write!(
                    f,
                    "OPEN  attacked accuracy {} and {}, required is {required}",
                    self.certain(),
                    self.found()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(still_robust: usize, unfinished: usize) -> Counts {
        Counts {
            images: 500,
            clean_correct: 450,
            broken: 0,
            fragile: 0,
            still_robust,
            non_finite: 0,
            unfinished,
        }
    }

    fn attacked(least: f64) -> Requirements {
        Requirements { min_attacked_accuracy: MinAccuracy::new(least), ..Requirements::default() }
    }

    #[test]
    fn text_json_and_exit_code_agree() {
        let lower = Requirements { compared: Comparison::LowerLimit, ..attacked(0.45) };
        let denied = Requirements { deny_warnings: true, ..attacked(0.40) };
        let clean = Requirements { min_clean_accuracy: MinAccuracy::new(0.95), ..Requirements::default() };
        let cases = [
            (Requirements::default(), 0, "DONE", "no_requirement", 0),
            (attacked(0.40), 240, "PASS", "holds", 0),
            (attacked(0.48), 240, "PASS", "holds", 0),
            (attacked(0.0), 0, "PASS", "holds", 0),
            (attacked(0.40), 199, "FAIL", "does_not_hold", 10),
            (attacked(1.0), 499, "FAIL", "does_not_hold", 10),
            (lower, 240, "INCONCLUSIVE  attacked accuracy 48.00 % is not below", "inconclusive", 11),
            (denied, 240, "INCONCLUSIVE  attacked accuracy 48.00 %, but warnings", "inconclusive", 11),
            (clean, 240, "FAIL  clean accuracy 90.00 % is below the required 95.00 %", "does_not_hold", 10),
        ];
        for (requirements, robust, word, json, exit_code) in cases {
            let warnings = vec!["zero_gradients".to_owned()];
            let gate =
                GateReport::decide(&requirements, &counts(robust, 0), warnings, None, Ending::Complete);
            assert!(gate.to_string().starts_with(word), "{requirements:?} {robust}: {gate}");
            assert_eq!(serde_json::to_value(&gate).unwrap()["conclusion"], json, "{requirements:?} {robust}");
            assert_eq!((gate.exit_code, gate.conclusion.exit_code()), (exit_code, exit_code), "{gate}");
        }
    }

    #[test]
    fn an_evaluation_that_stopped_early_decides_only_what_is_certain() {
        let (decided, interrupted) = (Ending::GateDecided, Ending::Interrupted);
        let at_least = "PASS  attacked accuracy at least 40.00 % is not below";
        let at_most = "FAIL  attacked accuracy at most 39.00 % is";
        let open = "INTERRUPTED  OPEN  attacked accuracy at least 10.00 %";
        for (robust, unfinished, ending, conclusion, exit_code, text) in [
            (200, 250, decided, Conclusion::Holds, 0, at_least),
            (0, 195, decided, Conclusion::DoesNotHold, 10, at_most),
            (50, 400, interrupted, Conclusion::Open, 75, open),
            (200, 250, interrupted, Conclusion::Holds, 75, "INTERRUPTED  PASS"),
        ] {
            let gate = GateReport::decide(&attacked(0.4), &counts(robust, unfinished), vec![], None, ending);
            assert_eq!((gate.conclusion, gate.exit_code), (conclusion, exit_code), "{robust} {unfinished}");
            assert!(gate.to_string().starts_with(text), "{gate}");
        }
    }

    #[test]
    fn a_near_miss_does_not_look_like_a_pass() {
        let counts = Counts { images: 10_000, ..counts(3999, 0) };
        let gate = GateReport::decide(&attacked(0.4), &counts, vec![], None, Ending::Complete);
        assert_eq!(gate.to_string(), "FAIL  attacked accuracy 39.99 % is below the required 40.00 %");
    }
}
