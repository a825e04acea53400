//! What a signature of a bundle says: an in-toto Statement v1 about every file of it, with the certificates inside.
//!
//! The predicate is our own and repeats what the files say, so that a policy engine that has only the envelope can judge
//! it. `docs/signing.md` describes every field.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, BundleCertificate, SIGNATURE};
use crate::certificate::{STATEMENT, Tool};
use crate::digest::{FileDigest, is_sha256};
use crate::signature::{Envelope, EnvelopeError, KeyId, PrivateKey, PublicKey, Verified};
use crate::statistics::{Interval, accuracies, clopper_pearson};
use crate::{Certificate, ThreatModel, strict_json};

/// What a statement is, for in-toto.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What the predicate is. A name and no address: `.invalid` belongs to nobody (RFC 2606).
pub const PREDICATE_TYPE: &str = "https://mimir.invalid/robustness-evaluation/v1";
/// What the payload of the envelope is.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// An in-toto Statement v1 about a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// Every file of the bundle but the signature, in ascending order of their names.
    pub subject: Vec<Subject>,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said about them.
    pub predicate: Predicate,
}

/// A file that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its name in the bundle.
    pub name: String,
    /// Its digest.
    pub digest: SubjectDigest,
}

/// Digests of a file. There is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectDigest {
    /// SHA-256, in lowercase hexadecimal.
    pub sha256: String,
}

/// What is said about a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// What a certificate means and what it does not: [`STATEMENT`].
    pub meaning: String,
    /// The program that made the statement.
    pub tool: Tool,
    /// When, RFC 3339 in UTC, by the clock of the first signer.
    pub created_at: String,
    /// One entry for each certificate of the bundle, in ascending order of their names.
    pub evaluations: Vec<EvaluationRecord>,
}

/// One certificate, with its main numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRecord {
    /// Name of the certificate in the bundle.
    pub file: String,
    /// [`digest_model`](crate::digest::digest_model) of the model's files.
    pub model_digest: String,
    /// What the adversary was allowed to do.
    pub threat_model: ThreatModel,
    /// Images evaluated.
    pub images: usize,
    /// Share of the images that the model classifies correctly as they are.
    pub clean_accuracy: Estimate,
    /// Share of the images that no attack broke: an upper bound of the robust accuracy on these images.
    pub attacked_accuracy: Estimate,
    /// The certificate itself.
    pub certificate: Certificate,
}

/// A share of the images, with the interval for the population that they are a random sample of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The share itself, in `[0, 1]`.
    pub value: f64,
    /// Two-sided confidence interval.
    pub interval: Interval,
}

/// Why bytes are no statement, or none about this bundle.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not JSON, a key twice, a field too many, missing or of the wrong type.
    #[error("not a statement: {0}")]
    Format(#[from] serde_json::Error),
    /// Another kind of statement.
    #[error("{field} is `{found}`, this program reads `{wanted}`")]
    Type {
        /// `_type` or `predicateType`.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// It says something else than the bundle has.
    #[error("{0}")]
    Mismatch(String),
}

impl Estimate {
    /// Whether two programs may have computed both of one certificate: the share is a quotient and the same everywhere;
    /// the ends of the interval depend on the logarithm of the system's mathematical library in their last digits.
    fn agrees_with(&self, other: &Self) -> bool {
        const LAST_DIGITS: f64 = 1e-9;
        let near = |one: f64, two: f64| (one - two).abs() <= LAST_DIGITS;
        let (one, two) = (self.interval, other.interval);
        self.value == other.value
            && near(one.lower, two.lower)
            && near(one.upper, two.upper)
            && (one.confidence, one.method) == (two.confidence, two.method)
    }
}

impl EvaluationRecord {
    fn agrees_with(&self, other: &Self) -> bool {
        let Self { clean_accuracy, attacked_accuracy, .. } = *other;
        self.clean_accuracy.agrees_with(&clean_accuracy)
            && self.attacked_accuracy.agrees_with(&attacked_accuracy)
            && Self { clean_accuracy, attacked_accuracy, ..self.clone() } == *other
    }

    fn new(BundleCertificate { name, certificate }: &BundleCertificate) -> Self {
        let counts = &certificate.counts;
        let (clean, attacked) = accuracies(counts);
        let estimate = |value, count| Estimate { value, interval: clopper_pearson(count, counts.images) };
        Self {
            file: name.clone(),
            model_digest: certificate.model.model_digest.clone(),
            threat_model: certificate.threat_model,
            images: counts.images,
            clean_accuracy: estimate(clean, counts.clean_correct),
            attacked_accuracy: estimate(attacked, counts.not_broken()),
            certificate: certificate.clone(),
        }
    }
}

impl Statement {
    /// The statement about a bundle. `files` are all files of the bundle but the signature.
    pub fn new(
        files: &[FileDigest],
        certificates: &[BundleCertificate],
        tool: Tool,
        created_at: String,
    ) -> Self {
        let mut subject: Vec<Subject> = files.iter().map(Subject::new).collect();
        subject.sort_by(|a, b| a.name.cmp(&b.name));
        let mut evaluations: Vec<_> = certificates.iter().map(EvaluationRecord::new).collect();
        evaluations.sort_by(|a, b| a.file.cmp(&b.file));
        Self {
            kind: STATEMENT_TYPE.into(),
            subject,
            predicate_type: PREDICATE_TYPE.into(),
            predicate: Predicate { meaning: STATEMENT.into(), tool, created_at, evaluations },
        }
    }

    /// Reads the payload of an envelope. The types are looked at before any other field.
    ///
    /// # Errors
    /// When it is not JSON, has a key twice, is another statement or of another version, or has a field too many.
    pub fn from_json(payload: &[u8]) -> Result<Self, StatementError> {
        #[derive(Deserialize)]
        struct Types {
            #[serde(rename = "_type")]
            kind: String,
            #[serde(rename = "predicateType")]
            predicate_type: String,
        }
        let Types { kind, predicate_type } = strict_json::from_slice(payload)?;
        for (field, found, wanted) in
            [("_type", kind, STATEMENT_TYPE), ("predicateType", predicate_type, PREDICATE_TYPE)]
        {
            if found != wanted {
                return Err(StatementError::Type { field, found, wanted });
            }
        }
        Ok(strict_json::from_slice(payload)?)
    }

    /// The bytes that are signed.
    ///
    /// # Errors
    /// When a number has no JSON form, which no certificate that was read from JSON holds.
    pub fn to_json(&self) -> Result<Vec<u8>, StatementError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Checks that this is the statement about these files and certificates: the same files with the same digests, no
    /// more and no fewer, and the same evaluations. Who said it and when is not compared with anything.
    ///
    /// # Errors
    /// Names the first file or field that differs.
    pub fn check(
        &self,
        files: &[FileDigest],
        certificates: &[BundleCertificate],
    ) -> Result<(), StatementError> {
        let Predicate { tool, created_at, .. } = &self.predicate;
        let wanted = Self::new(files, certificates, tool.clone(), created_at.clone());
        if let Err(wrong) = humantime::parse_rfc3339(created_at) {
            let found = created_at.escape_debug();
            return Err(StatementError::Mismatch(format!("predicate.created_at is `{found}`: {wrong}")));
        }
        let difference = self.differing_type(&wanted).or_else(|| self.differing_file(&wanted.subject));
        match difference.or_else(|| self.differing_evaluation(&wanted.predicate)) {
            Some(what) => Err(StatementError::Mismatch(what)),
            None => Ok(()),
        }
    }

    fn differing_type(&self, wanted: &Self) -> Option<String> {
        let types = [(&self.kind, &wanted.kind), (&self.predicate_type, &wanted.predicate_type)];
        let (found, wanted) = types.into_iter().find(|(found, wanted)| found != wanted)?;
        Some(format!("the statement is of type `{found}`, wanted `{wanted}`"))
    }

    fn differing_file(&self, wanted: &[Subject]) -> Option<String> {
        let mut said = BTreeMap::new();
        for Subject { name, digest } in &self.subject {
            if !is_sha256(&digest.sha256) {
                return Some(format!("{name}: the statement has no SHA-256 for it"));
            }
            if said.insert(name, &digest.sha256).is_some() {
                return Some(format!("{name}: the statement names it twice"));
            }
        }
        for Subject { name, digest } in wanted {
            let found = &digest.sha256;
            match said.remove(name) {
                Some(signed) if signed == found => {}
                Some(signed) => return Some(format!("{name}: SHA-256 is {found}, but {signed} was signed")),
                None => return Some(format!("{name}: the statement does not name it: it was not signed")),
            }
        }
        let missing = said.keys().next()?;
        Some(format!("{missing}: the statement names it, but it is not in the bundle"))
    }

    fn differing_evaluation(&self, wanted: &Predicate) -> Option<String> {
        let found = &self.predicate;
        if found.meaning != wanted.meaning {
            return Some("predicate.meaning is not what certificates mean".into());
        }
        let names = |predicate: &Predicate| {
            predicate.evaluations.iter().map(|record| record.file.clone()).collect::<Vec<_>>()
        };
        let (said, there) = (names(found), names(wanted));
        if said != there {
            let list = |names: Vec<String>| if names.is_empty() { "none".into() } else { names.join(", ") };
            let (said, there) = (list(said), list(there));
            return Some(format!(
                "the statement has the certificates {said}; the bundle has, in ascending order, {there}"
            ));
        }
        let mut pairs = found.evaluations.iter().zip(&wanted.evaluations);
        let (differing, _) = pairs.find(|(found, wanted)| !found.agrees_with(wanted))?;
        Some(format!("{}: the statement says something else than this certificate", differing.file))
    }
}

impl Subject {
    fn new(file: &FileDigest) -> Self {
        Self { name: file.name.clone(), digest: SubjectDigest { sha256: file.sha256.clone() } }
    }
}

/// A signature of a bundle that was verified.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedStatement {
    /// What was signed. It is about exactly this bundle.
    pub statement: Statement,
    /// The trusted keys that signed it, at least one.
    pub keys: BTreeSet<KeyId>,
    /// Key ids of signatures that were not checked, because no trusted key has that id.
    pub unchecked: Vec<String>,
}

/// Why a bundle is not signed by anybody who is trusted.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("the bundle is not signed: it has no {SIGNATURE}")]
    Unsigned,
    /// The envelope is none, or shows nothing.
    #[error("{SIGNATURE}: {0}")]
    Envelope(#[from] EnvelopeError),
    /// Something else was signed.
    #[error("{SIGNATURE}: {0}")]
    Statement(#[from] StatementError),
    /// A signature that this program did not make is in the place of another.
    #[error("{SIGNATURE} is not one that this program made, and is not replaced unasked: {0}")]
    Foreign(String),
}

/// Verifies the signature of a bundle: at least one trusted key signed a statement about exactly these files and
/// certificates.
///
/// # Errors
/// Says what is missing, wrong or different. A wrong signature by a trusted key is an error beside right ones too.
pub fn verify(bundle: &Bundle, trusted: &[PublicKey]) -> Result<SignedStatement, SignatureError> {
    let signature = bundle.signature().ok_or(SignatureError::Unsigned)?;
    let Verified { payload, keys, unchecked } =
        Envelope::from_json(signature.bytes())?.verify(PAYLOAD_TYPE, trusted)?;
    let statement = Statement::from_json(&payload)?;
    statement.check(&subjects(bundle), bundle.certificates())?;
    Ok(SignedStatement { statement, keys, unchecked })
}

/// A bundle's envelope with one more signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Signed {
    /// The envelope, to be [`signature.json`](SIGNATURE).
    pub envelope: Envelope,
    /// When its statement was made, RFC 3339: now, or by the first signer.
    pub created_at: String,
    /// Key ids of signatures that were left out, because they were of another content.
    pub dropped: Vec<String>,
}

/// Signs a bundle. Where it has a signature of the same content, the key signs the same statement beside it, in the place
/// of an earlier signature of its own. Signatures of another content are left out.
///
/// # Errors
/// [`SignatureError::Foreign`] when the bundle has a signature with anything else than such a statement in it: whoever
/// wants to replace it signs [`Bundle::without_signature`]. When a number of a certificate has no JSON form.
pub fn sign(bundle: &Bundle, key: &PrivateKey, tool: Tool, now: String) -> Result<Signed, SignatureError> {
    let before = bundle.signature().map(|file| known(file.bytes())).transpose()?;
    let is_about_this =
        |statement: &Statement| statement.check(&subjects(bundle), bundle.certificates()).is_ok();
    let (mut envelope, created_at, dropped) = match before {
        Some((envelope, statement)) if is_about_this(&statement) => {
            (envelope, statement.predicate.created_at, Vec::new())
        }
        other => {
            let statement = Statement::new(&subjects(bundle), bundle.certificates(), tool, now.clone());
            let signatures = other.map(|(envelope, _)| envelope.signatures).unwrap_or_default();
            let dropped = signatures.into_iter().map(|signature| signature.keyid).collect();
            (Envelope::new(PAYLOAD_TYPE, &statement.to_json()?), now, dropped)
        }
    };
    envelope.sign(key)?;
    Ok(Signed { envelope, created_at, dropped })
}

/// An envelope with a statement as this program makes them.
fn known(signature: &[u8]) -> Result<(Envelope, Statement), SignatureError> {
    let foreign = |error: &dyn std::fmt::Display| SignatureError::Foreign(error.to_string());
    let envelope = Envelope::from_json(signature).map_err(|error| foreign(&error))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(foreign(&format_args!("its payloadType is `{}`", envelope.payload_type)));
    }
    let payload = envelope.payload().map_err(|error| foreign(&error))?;
    let statement = Statement::from_json(&payload).map_err(|error| foreign(&error))?;
    Ok((envelope, statement))
}

fn subjects(bundle: &Bundle) -> Vec<FileDigest> {
    bundle.subjects().cloned().collect()
}

#[cfg(test)]
mod tests;
