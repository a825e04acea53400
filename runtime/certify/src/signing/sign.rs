//! Signs a bundle.

use std::fmt;
use std::path::{Path, PathBuf};

use mimir_bundle::bundle::{Bundle, BundleError, BundleErrorKind, SIGNATURE};
use mimir_bundle::signature::{KeyId, PrivateKey};
use mimir_bundle::statement::{self, SignatureError, Signed};

use crate::clock;
use crate::error::{Error, ErrorKind, OptionName, Result};
use crate::opened_bundle::{expect_bundle, expect_graphs};
use crate::tool::this_tool;

/// A bundle that was signed. `Display` is the summary.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedBundle {
    /// Where it is.
    pub path: PathBuf,
    /// The key that signed.
    pub key: KeyId,
    /// When the statement was made that it signed.
    pub created_at: String,
    /// Files that the statement is about.
    pub subjects: usize,
    /// Certificates that the statement repeats.
    pub certificates: usize,
    /// Key ids of all signatures that the bundle has now.
    pub signers: Vec<String>,
    /// Key ids of signatures that it lost, because they were of another content.
    pub dropped: Vec<String>,
    /// Where the `signature.json` is now that others lost their place in.
    pub kept: Option<PathBuf>,
}

/// What happens to a signature that another program made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignSignature {
    /// It is an error.
    Refuse,
    /// It is replaced, and kept beside the bundle.
    Replace,
}

/// Signs a bundle: adds the signature of that key, in the place of an earlier one of its own.
///
/// # Errors
/// [`ErrorKind::Model`] when the bundle has a fault anywhere, [`ErrorKind::Options`] when it has a signature of another
/// program that is not to be replaced, [`ErrorKind::Storage`] when it cannot be written.
pub fn sign_bundle(path: &Path, key: &PrivateKey, foreign: ForeignSignature) -> Result<SignedBundle> {
    std::fs::metadata(path)
        .map_err(|error| Error::new(ErrorKind::Model, format!("{}: {error}", path.display())))?;
    expect_bundle(path)?;
    // What is there now is signed, one program at a time: none takes a certificate or a signature of another back.
    let (mut made, mut is_foreign, mut kept) = (None, false, None);
    let changed = Bundle::change(path, |bundle| {
        let fault = |error: &dyn fmt::Display| BundleError::mismatch(SIGNATURE, error);
        expect_graphs(bundle)?;
        let signed = statement::sign(bundle, key, this_tool(), clock::now());
        let is_others = matches!(signed, Err(SignatureError::Foreign(_)));
        let is_replaced = is_others && foreign == ForeignSignature::Replace;
        is_foreign = is_others && !is_replaced;
        let signed = match is_replaced {
            true => statement::sign(&bundle.without_signature(), key, this_tool(), clock::now()),
            false => signed,
        };
        let signed = signed.map_err(|error| fault(&error))?;
        let text = signed.envelope.to_json().map_err(|error| fault(&error))?;
        // What others signed is not to be had again.
        let lost = bundle.signature().filter(|_| is_replaced || !signed.dropped.is_empty());
        kept = lost.map(|signature| Bundle::write_signature_beside(path, signature)).transpose()?;
        made = Some(signed);
        bundle.with_signature(text.into_bytes())
    });
    let bundle = changed.map_err(|error| {
        let kind = match error.kind() {
            BundleErrorKind::Io => ErrorKind::Storage,
            _ if is_foreign => ErrorKind::Options,
            _ => ErrorKind::Model,
        };
        let error = Error::new(kind, error);
        if is_foreign { error.about(OptionName::ReplaceSignature) } else { error }
    })?;
    let bundle = bundle.bundle;
    let made =
        made.ok_or_else(|| Error::new(ErrorKind::Internal, "the bundle was changed without a signature"))?;
    let Signed { envelope, created_at, dropped } = made;
    Ok(SignedBundle {
        path: path.to_owned(),
        key: key.public().id(),
        created_at,
        subjects: bundle.subjects().count(),
        certificates: bundle.certificates().len(),
        signers: envelope.signatures.into_iter().map(|signature| signature.keyid).collect(),
        dropped,
        kept,
    })
}

impl fmt::Display for SignedBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, key, created_at, subjects, certificates, signers, dropped, kept } = self;
        let counted = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let (files, certified) = (counted(*subjects, "file"), counted(*certificates, "certificate"));
        writeln!(f, "signed {}: {files}, {certified}", path.display())?;
        writeln!(f, "key            {key}")?;
        writeln!(f, "statement      of {created_at}, in {SIGNATURE}")?;
        for other in signers.iter().filter(|other| other.as_str() != key.as_str()) {
            writeln!(f, "also there     a signature that names {other}; it was not verified")?;
        }
        for other in dropped {
            writeln!(f, "left out       {other}: it signed another content, and has to sign again")?;
        }
        if let Some(place) = kept {
            writeln!(f, "kept           the {SIGNATURE} that was there, in {}", place.display())?;
        }
        if *certificates == 0 {
            writeln!(
                f,
                "warning: the bundle has no certificate, so that the signature vouches for files only"
            )?;
        }
        Ok(())
    }
}
