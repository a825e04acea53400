//! The gate: one function decides, and text, JSON and exit code are views of its answer.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::percent;

/// The least attacked accuracy that a gate accepts, a fraction in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinAttackedAccuracy(f64);

impl MinAttackedAccuracy {
    /// A requirement, or `None` where `fraction` is not in `[0, 1]` (40 % is `0.40`).
    pub fn new(fraction: f64) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then_some(Self(fraction))
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
}

impl Conclusion {
    /// Exit code of the program: 0, or 10 where the requirement does not hold.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::NoRequirement | Self::Holds => 0,
            Self::DoesNotHold => 10,
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
    /// What was found.
    pub attacked_accuracy: f64,
    /// Which number was held against the requirement.
    pub compared: Comparison,
    /// The exit code of the program.
    pub exit_code: u8,
}

impl GateReport {
    /// Decides: the requirement holds when the attacked accuracy is at least as large.
    ///
    /// An attacked accuracy that is not a number never holds.
    pub fn decide(requirement: Option<MinAttackedAccuracy>, attacked_accuracy: f64) -> Self {
        let conclusion = match requirement {
            None => Conclusion::NoRequirement,
            Some(MinAttackedAccuracy(least)) if attacked_accuracy >= least => Conclusion::Holds,
            Some(_) => Conclusion::DoesNotHold,
        };
        Self {
            conclusion,
            min_attacked_accuracy: requirement.map(|MinAttackedAccuracy(least)| least),
            attacked_accuracy,
            compared: Comparison::PointEstimate,
            exit_code: conclusion.exit_code(),
        }
    }
}

impl fmt::Display for GateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = percent(self.attacked_accuracy);
        let required = percent(self.min_attacked_accuracy.unwrap_or_default());
        match self.conclusion {
            Conclusion::NoRequirement => write!(f, "DONE  attacked accuracy {found}, nothing was required"),
            Conclusion::Holds => {
                write!(f, "PASS  attacked accuracy {found} is at least the required {required}")
            }
            Conclusion::DoesNotHold => {
                write!(f, "FAIL  attacked accuracy {found} is below the required {required}")
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
            let gate = GateReport::decide(requirement, found);
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
        let gate = GateReport::decide(MinAttackedAccuracy::new(0.4), 0.3999);
        assert_eq!(gate.to_string(), "FAIL  attacked accuracy 39.99 % is below the required 40.00 %");
    }
}
