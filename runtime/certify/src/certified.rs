//! What a certification found.

use std::fmt;
use std::path::PathBuf;

use mimir_bundle::{Certificate, one_line, strict_json};
use mimir_runtime::evaluate::{Evaluation, ImageOutcome};
use mimir_runtime::report::{Findings, Report, RunDescription};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::kept_counterexamples::KeptCounterexamples;

/// What a certification found.
#[derive(Debug, Clone)]
pub struct Certified {
    /// All results; its `Display` is the summary.
    pub report: Report,
    /// The certificate; an interrupted certification has none.
    pub certificate: Option<Certificate>,
    /// What became of each image, in the order of the images.
    pub outcomes: Vec<ImageOutcome>,
    /// The counterexamples, where [`CertifyOptions::keep_counterexamples`](crate::CertifyOptions) asked for them.
    pub counterexamples: Option<KeptCounterexamples>,
    /// What changed in the bundle of the model.
    pub bundle: Option<BundleChange>,
    /// Why the certificate is not in the bundle, where it should be.
    pub unwritten: Option<Unwritten>,
}

/// A certificate that was written into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleChange {
    /// The bundle.
    pub bundle: PathBuf,
    /// The file of the certificate in it.
    pub certificate: String,
    /// The certificate whose place it took.
    pub replaced: Option<Replaced>,
    /// Where the signature is now that was of the bundle before.
    pub signature: Option<PathBuf>,
}

/// A certificate whose place another took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// When it was made.
    pub created_at: String,
    /// Where it is now.
    pub places: Vec<PathBuf>,
}

/// A certificate that could not be written into the bundle: it is somewhere else, and the work is not lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritten {
    /// Why.
    pub reason: String,
    /// Where the certificate is; none where it could not be written at all.
    pub place: Option<PathBuf>,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, place } = self;
        match place {
            Some(place) => {
                write!(f, "the certificate is in {}, and not in the bundle: {reason}", place.display())
            }
            None => write!(f, "the certificate could not be written: {reason}"),
        }
    }
}

impl fmt::Display for BundleChange {
    /// Lines for a summary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bundle, certificate, replaced, signature } = self;
        match bundle.is_file() {
            true => write!(f, "written into {}: {certificate}", bundle.display())?,
            false => write!(f, "written to {}", bundle.join(certificate).display())?,
        }
        match replaced {
            Some(Replaced { created_at, places }) => {
                write!(f, ", in place of that of {created_at}")?;
                let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
                writeln!(f, ", which is now {}", places.join(", "))?;
            }
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
        Self {
            report: of_plain_text(findings.report()),
            certificate: findings.certificate().map(of_plain_text),
            outcomes: evaluation.outcomes.clone(),
            counterexamples: None,
            bundle: None,
            unwritten: None,
        }
    }
}

/// A record in which names of files and classes have no line breaks and controls, but their escapes: it is refused with them
/// when it is read again, and pages and terminals show it.
pub(crate) fn of_plain_text<T: Serialize + DeserializeOwned>(record: T) -> T {
    let is_plain = |text: &[u8]| strict_json::from_slice::<IgnoredAny>(text).is_ok();
    if serde_json::to_vec(&record).is_ok_and(|text| is_plain(&text)) {
        return record;
    }
    let escaped = serde_json::to_value(&record).map(on_one_line).and_then(serde_json::from_value);
    escaped.unwrap_or(record)
}

fn on_one_line(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(one_line(&text).into_owned()),
        Value::Array(values) => values.into_iter().map(on_one_line).collect(),
        Value::Object(entries) => {
            let entry = |(key, value): (String, Value)| (one_line(&key).into_owned(), on_one_line(value));
            Value::Object(entries.into_iter().map(entry).collect())
        }
        other => other,
    }
}
