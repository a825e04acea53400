//! Verifies the signature of a bundle.

use std::fmt;
use std::path::{Path, PathBuf};

use mimir_bundle::digest::FileDigest;
use mimir_bundle::signature::PublicKey;
use mimir_bundle::statement::{self, EvaluationRecord, SignatureError, SignedStatement};
use mimir_runtime::report::{Conclusion, percent};

use super::keys::read_public_key;
use crate::error::{Error, ErrorKind, Result};
use crate::opened_bundle::open_bundle;

/// A key that is trusted, and the file that it was read from.
#[derive(Debug, Clone)]
pub struct TrustedKeyFile {
    /// The file.
    pub path: PathBuf,
    /// The key.
    pub key: PublicKey,
}

impl TrustedKeyFile {
    /// Reads the keys of these files.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] when one of them is no public key.
    pub fn read(paths: &[PathBuf]) -> Result<Vec<Self>> {
        let read = |path: &PathBuf| Ok(Self { path: path.clone(), key: read_public_key(path)? });
        paths.iter().map(read).collect()
    }
}

/// What the check of a signature found. `Display` is the summary.
#[derive(Debug)]
pub struct SignatureCheck {
    /// Where the bundle is.
    pub path: PathBuf,
    /// The keys that were trusted.
    pub trusted: Vec<TrustedKeyFile>,
    /// All files of the bundle but the signature.
    pub subjects: Vec<FileDigest>,
    /// What was signed and by whom, or why nothing shows that it was.
    pub signed: std::result::Result<SignedStatement, SignatureError>,
}

/// Opens a bundle, with all checks that this makes, and verifies its signature against the keys that are trusted.
///
/// # Errors
/// [`ErrorKind::Model`] when the bundle has a fault anywhere: a file that is changed, missing or too many is one.
/// [`ErrorKind::Options`] without any key. A signature that does not hold is no error.
pub fn verify_bundle(path: &Path, trusted: Vec<TrustedKeyFile>) -> Result<SignatureCheck> {
    if trusted.is_empty() {
        let message = "no key is trusted, and a signature shows nothing without one";
        return Err(Error::new(ErrorKind::Options, message));
    }
    let bundle = open_bundle(path)?;
    let keys: Vec<PublicKey> = trusted.iter().map(|trusted| trusted.key.clone()).collect();
    let signed = statement::verify(&bundle, &keys);
    let subjects = bundle.subjects().cloned().collect();
    Ok(SignatureCheck { path: path.to_owned(), trusted, subjects, signed })
}

impl SignatureCheck {
    /// Whether at least one trusted key signed exactly this bundle.
    pub fn conclusion(&self) -> Conclusion {
        if self.signed.is_ok() { Conclusion::Holds } else { Conclusion::DoesNotHold }
    }
}

impl fmt::Display for SignatureCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.path.display();
        let SignedStatement { statement, keys, unchecked } = match &self.signed {
            Ok(signed) => signed,
            Err(error) => {
                writeln!(f, "FAIL  no trusted key vouches for {place}\n\ncontradiction  {error}")?;
                for TrustedKeyFile { path, key } in &self.trusted {
                    writeln!(f, "trusted        {} {} ({})", key.id(), path.display(), key.algorithm())?;
                }
                return Ok(());
            }
        };
        writeln!(f, "PASS  {place} is signed by a trusted key, all of it\n")?;
        for TrustedKeyFile { path, key } in self.trusted.iter().filter(|one| keys.contains(&one.key.id())) {
            writeln!(f, "signed by      {} {} ({})", key.id(), path.display(), key.algorithm())?;
        }
        for other in unchecked {
            writeln!(f, "not checked    a signature of key {other}, which is not trusted here")?;
        }
        let predicate = &statement.predicate;
        let (tool, time) = (&predicate.tool, &predicate.created_at);
        writeln!(f, "statement      of {time}, by {} {}, as its signers say", tool.name, tool.version)?;
        for FileDigest { name, sha256, .. } in &self.subjects {
            writeln!(f, "subject        {sha256} {name}")?;
        }
        predicate.evaluations.iter().try_for_each(|record| fmt_evaluation(f, record))?;
        writeln!(f, "not checked    that the attacks ran as recorded: the signers vouch for it")
    }
}

fn fmt_evaluation(f: &mut fmt::Formatter<'_>, record: &EvaluationRecord) -> fmt::Result {
    let EvaluationRecord { file, threat_model, images, attacked_accuracy, .. } = record;
    let interval = attacked_accuracy.interval;
    writeln!(
        f,
        "recorded       {file}: {threat_model}: attacked accuracy {}, 95 % interval {} to {}, of {images} images",
        percent(attacked_accuracy.value),
        percent(interval.lower),
        percent(interval.upper),
    )
}
