//! What a finished evaluation says, in four forms that are views of the same values: JSON, text, certificate and
//! exit code.
//!
//! [`RunDescription`] says what was evaluated and how, [`Findings`] join it with the evaluation. [`Report`] is the
//! document, [`Conclusion`] the gate's answer, [`Warning`] what a reader must know besides the numbers.
//! `docs/report.md` describes every field for users.

mod attack_difference;
mod attack_warnings;
mod baseline;
mod check;
mod consistency;
mod description;
mod diagnosis;
mod document;
mod failure;
mod findings;
mod format;
mod gate;
mod text;
mod version;
mod warning;

pub use crate::requirement::{Comparison, Conclusion, MinAccuracy, Requirements};
pub use attack_difference::differing_attacks;
pub use baseline::{Baseline, BaselineComparison, BaselineError};
pub use consistency::Contradiction;
pub use description::{BetterScaling, RunDescription, ScalingProbe};
pub use diagnosis::{Rule, RuleAnswer, RuleCounts, RuleVerdict};
pub use document::{AttackSummary, CurvePoint, ModelSummary, Notice, Report};
pub use failure::{
    ErrorKind, FailedConclusion, FailedGate, FailureReport, ReportFile, ReportFileError, ReportedError,
};
pub use findings::{Findings, ignored_settings};
pub use format::percent;
pub use gate::GateReport;
pub use text::{MEANING, settings_line};
pub use version::REPORT_VERSION;
pub use warning::{Severity, Warning, shown_differences};

#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod tests;
