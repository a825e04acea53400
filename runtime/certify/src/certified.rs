//! What a certification found.

use mimir_bundle::Certificate;
use mimir_runtime::evaluate::Evaluation;
use mimir_runtime::report::{Findings, Report, RunDescription};

/// What a certification found.
#[derive(Debug, Clone)]
pub struct Certified {
    /// All results; its `Display` is the summary.
    pub report: Report,
    /// The certificate; an interrupted certification has none.
    pub certificate: Option<Certificate>,
}

impl Certified {
    pub(crate) fn new(description: &RunDescription, evaluation: &Evaluation) -> Self {
        let findings = Findings::new(description, evaluation);
        Self { report: findings.report(), certificate: findings.certificate() }
    }
}
