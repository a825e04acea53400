//! What a certification found.

use std::fmt;
use std::path::PathBuf;

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
    /// What changed in the bundle of the model.
    pub bundle: Option<BundleChange>,
}

/// A certificate that was written into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleChange {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// When the certificate was made whose place it took.
    pub replaced: Option<String>,
    /// Where the signature is now that was of the bundle before.
    pub signature: Option<PathBuf>,
}

impl fmt::Display for BundleChange {
    /// Lines for a summary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificate, replaced, signature } = self;
        write!(f, "written to {}", certificate.display())?;
        match replaced {
            Some(date) => writeln!(f, ", in place of that of {date}")?,
            None => writeln!(f)?,
        }
        let Some(place) = signature else { return Ok(()) };
        writeln!(
            f,
            "The bundle is no longer signed: its signature was of what it was before, and is now {}. Sign it again.",
            place.display()
        )
    }
}

impl Certified {
    pub(crate) fn new(description: &RunDescription, evaluation: &Evaluation) -> Self {
        let findings = Findings::new(description, evaluation);
        Self { report: findings.report(), certificate: findings.certificate(), bundle: None }
    }
}
