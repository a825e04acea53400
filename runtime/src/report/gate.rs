//! The gate: one function decides, and text, JSON and exit code are views of its answer.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::percent;
use crate::evaluate::Ending;
use crate::requirement::MinAttackedAccuracy;

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
            Some(least) if certain_accuracy >= least.fraction() => Conclusion::Holds,
            Some(least) if attacked_accuracy >= least.fraction() => Conclusion::Open,
            Some(_) => Conclusion::DoesNotHold,
        };
        let exit_code = if ending == Ending::Interrupted { INTERRUPTED } else { conclusion.exit_code() };
        Self {
            conclusion,
            min_attacked_accuracy: requirement.map(MinAttackedAccuracy::fraction),
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
            Conclusion::NoRequirement => write!(f, "DONE  attacked accuracy {found}, no requirement was set"),
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
    fn a_near_miss_does_not_look_like_a_pass() {
        let gate = GateReport::decide(MinAttackedAccuracy::new(0.4), 0.3999, 0.3999, Ending::Complete);
        assert_eq!(gate.to_string(), "FAIL  attacked accuracy 39.99 % is below the required 40.00 %");
    }
}
