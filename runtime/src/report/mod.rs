//! What a finished evaluation says, in four forms that are views of the same values: JSON, text, certificate and
//! exit code.
//!
//! [`Findings`] puts an evaluation into its setting. [`Report`] is the document, [`Conclusion`] the gate's answer, [`Warning`] what a reader must know beside the
//! numbers. `docs/report.md` describes every field for users.

mod diagnosis;
mod document;
mod findings;
mod gate;
mod text;
mod warning;

pub use document::{AttackSummary, CurvePoint, ModelSummary, Notice, REPORT_VERSION, Report};
pub use findings::{Findings, Setting};
pub use gate::{Comparison, Conclusion, GateReport, MinAttackedAccuracy};
pub use text::{MEANING, percent};
pub use warning::Warning;

#[cfg(test)]
mod tests;
