//! A bundle in memory: checked when it is made, whatever it is made of.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::agreement;
use super::error::{BundleError, BundleErrorKind, Result};
use super::manifest::BundleManifest;
use super::names::{CERTIFICATE, CERTIFICATES, FileKind, MANIFEST, SIGNATURE, check_sizes, check_twins};
use crate::certificate::Certificate;
use crate::digest::FileDigest;
use crate::strict_json;
use crate::threat_model::{Norm, Pixels, ThreatModel};

/// A bundle whose files were found to belong together.
///
/// The bytes are those that were digested: whoever uses a file takes them from here and reads nothing again.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    manifest: BundleManifest,
    /// By name, all of them.
    files: BTreeMap<String, BundleFile>,
    certificates: Vec<BundleCertificate>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    digest: FileDigest,
    bytes: Bytes,
}

impl BundleFile {
    /// A file of that name with those bytes.
    pub fn new(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { digest: FileDigest::new(name, &bytes), bytes }
    }

    /// Its name relative to the bundle.
    pub fn name(&self) -> &str {
        &self.digest.name
    }

    /// Its name relative to the bundle, its length and SHA-256: of these bytes.
    pub fn digest(&self) -> &FileDigest {
        &self.digest
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A file that was read, with the digest of what was read.
    pub(super) fn with_digest(name: String, bytes: Bytes, sha256: String) -> Self {
        Self { digest: FileDigest { name, bytes: bytes.len() as u64, sha256 }, bytes }
    }
}

/// One certificate of a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct BundleCertificate {
    /// The name of its file.
    pub name: String,
    /// What it records.
    pub certificate: Certificate,
}

impl Bundle {
    /// A bundle of a model's files, by name and bytes. The `files` of the description are filled in.
    ///
    /// # Errors
    /// When a file has a name that no file of a model has, `model.onnx` is missing, or the description has a value that
    /// it cannot have.
    pub fn new(
        description: BundleManifest,
        files: impl IntoIterator<Item = (String, Bytes)>,
    ) -> Result<Self> {
        let files: Vec<BundleFile> =
            files.into_iter().map(|(name, bytes)| BundleFile::new(name, bytes)).collect();
        let mut digests: Vec<FileDigest> = files.iter().map(|file| file.digest.clone()).collect();
        digests.sort_by(|one, other| one.name.cmp(&other.name));
        let manifest = BundleManifest { files: digests, ..description };
        let text = BundleFile::new(MANIFEST, manifest.to_json()?);
        Self::of(files.into_iter().chain([text]).collect())
    }

    /// A bundle of all its files.
    ///
    /// # Errors
    /// As [`Bundle::open`](Self::open).
    pub fn of(files: Vec<BundleFile>) -> Result<Self> {
        check_twins(files.iter().map(BundleFile::name))?;
        check_sizes(files.iter().map(|file| (file.name(), file.digest.bytes)))?;
        let files: BTreeMap<String, BundleFile> =
            files.into_iter().map(|file| (file.name().to_owned(), file)).collect();
        let manifest = files.get(MANIFEST).ok_or_else(no_manifest)?;
        let manifest = BundleManifest::from_json(&manifest.bytes)?;
        check_listing(&manifest, files.values().map(|file| (file.name(), file.digest.bytes)))?;
        check_digests(&manifest, &files)?;
        let certificates = read_certificates(&manifest, &files)?;
        if let Some(signature) = files.get(SIGNATURE) {
            strict_json::from_slice::<serde_json::Value>(&signature.bytes)
                .map_err(|error| BundleError::format(SIGNATURE, error))?;
        }
        Ok(Self { manifest, files, certificates })
    }

    /// The description of the model.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// The file of that name.
    pub fn file(&self, name: &str) -> Option<&BundleFile> {
        self.files.get(name)
    }

    /// All files, `manifest.json`, certificates and signature included, in ascending order of their names.
    pub fn files(&self) -> impl Iterator<Item = &BundleFile> {
        self.files.values()
    }

    /// What a signature is about: all files but the signature itself, in ascending order of their names.
    pub fn subjects(&self) -> impl Iterator<Item = &FileDigest> {
        self.files.values().map(|file| &file.digest).filter(|file| file.name != SIGNATURE)
    }

    /// The certificates, in ascending order of their files' names; each of another threat model.
    pub fn certificates(&self) -> &[BundleCertificate] {
        &self.certificates
    }

    /// `signature.json`, whoever made it: it is JSON, and nothing else is known of it.
    pub fn signature(&self) -> Option<&BundleFile> {
        self.files.get(SIGNATURE)
    }

    /// The files of the model, as a certificate lists them: the ONNX file, then its external data.
    pub fn model_files(&self) -> Vec<FileDigest> {
        agreement::model_files(&self.manifest)
    }

    /// SHA-256 of `manifest.json`: with it, all files of the model are known. It says nothing of certificates.
    pub fn digest(&self) -> &str {
        self.files.get(MANIFEST).map_or("", |file| &file.digest.sha256)
    }

    /// Checks that a certificate is of this model, and says of its input what the manifest says.
    ///
    /// # Errors
    /// Names the fact, and what the two say.
    pub fn expect_certificate(&self, certificate: &Certificate) -> Result<()> {
        agreement::check("certificate", certificate, &self.manifest)
    }

    /// The certificate of that threat model: there is one at most.
    pub fn certificate_of(&self, threat_model: &ThreatModel) -> Option<&BundleCertificate> {
        self.certificates.iter().find(|known| known.certificate.threat_model == *threat_model)
    }

    /// The same bundle with one certificate more. What was signed is then another bundle: it has no signature. A bundle
    /// that has the very certificate stays as it is.
    ///
    /// # Errors
    /// When there is another certificate of the same threat model: none takes the place of another unless somebody says
    /// so ([`Self::replacing_certificate`]). When the certificate is of another model, or contradicts the manifest.
    pub fn with_certificate(&self, certificate: &Certificate) -> Result<Self> {
        match self.certificate_of(&certificate.threat_model) {
            None => self.replacing_certificate(certificate),
            Some(known) if known.certificate == *certificate => Ok(self.clone()),
            Some(known) => Err(BundleError::mismatch(
                &known.name,
                format!(
                    "is of the same threat model, {}: one certificate does not take the place of another unasked",
                    certificate.threat_model
                ),
            )),
        }
    }

    /// The same bundle with another certificate, which takes the place of one of the same threat model. What was signed
    /// is then another bundle: it has no signature.
    ///
    /// # Errors
    /// When the certificate is of another model, or contradicts the manifest.
    pub fn replacing_certificate(&self, certificate: &Certificate) -> Result<Self> {
        let name = self.certificate_name(&certificate.threat_model);
        self.without_signature().with_file(certificate_file(&name, certificate)?)
    }

    /// The same bundle with a signature, which takes the place of another.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn with_signature(&self, signature: impl Into<Bytes>) -> Result<Self> {
        self.with_file(BundleFile::new(SIGNATURE, signature))
    }

    /// The same bundle without a signature.
    pub fn without_signature(&self) -> Self {
        let mut bundle = self.clone();
        bundle.files.remove(SIGNATURE);
        bundle
    }

    fn with_file(&self, file: BundleFile) -> Result<Self> {
        let mut files = self.files.clone();
        files.insert(file.name().to_owned(), file);
        Self::of(files.into_values().collect())
    }

    /// The file of a certificate of that threat model: the one that there is, else `certificate.json` where it is free,
    /// else one of its own.
    fn certificate_name(&self, threat_model: &ThreatModel) -> String {
        match self.certificate_of(threat_model) {
            Some(known) => known.name.clone(),
            None if !self.files.contains_key(CERTIFICATE) => CERTIFICATE.to_owned(),
            None => self.free_name(&threat_model_name(threat_model)),
        }
    }

    /// `certificates/NAME.json`, or with a number where a certificate of another threat model has that name.
    fn free_name(&self, name: &str) -> String {
        let numbered = (2_usize..).map(|number| format!("{CERTIFICATES}/{name}-{number}.json"));
        let mut names = std::iter::once(format!("{CERTIFICATES}/{name}.json")).chain(numbered);
        names.find(|name| !self.files.contains_key(name)).expect("there are more names than files")
    }
}

/// A certificate as a file of that name.
pub(super) fn certificate_file(name: &str, certificate: &Certificate) -> Result<BundleFile> {
    let mut text =
        serde_json::to_vec_pretty(certificate).map_err(|error| BundleError::format(name, error))?;
    text.push(b'\n');
    Ok(BundleFile::new(name, text))
}

/// A threat model as a name: `linf-8_255`, `l2-0.5`, `l1-12-8bit`. Two of them never have the same.
fn threat_model_name(threat_model: &ThreatModel) -> String {
    let ThreatModel { norm, epsilon, pixels } = *threat_model;
    let norm = match norm {
        Norm::Linf => "linf",
        Norm::L2 => "l2",
        Norm::L1 => "l1",
    };
    let levels = (255.0 * epsilon).round();
    let radius = match () {
        () if norm == "linf" && levels / 255.0 == epsilon => format!("{levels}_255"),
        () if (1e-4..1e9).contains(&epsilon) => format!("{epsilon}"),
        () => format!("{epsilon:e}"),
    };
    let pixels = match pixels {
        Pixels::Continuous => "",
        Pixels::EightBit => "-8bit",
    };
    format!("{norm}-{radius}{pixels}")
}

pub(super) fn no_manifest() -> BundleError {
    BundleError::format(MANIFEST, "is missing: this is no bundle, or one that was not written to its end")
}

/// Checks that the files that are there are those that the manifest lists, and have their sizes. Nothing of them is read.
///
/// # Errors
/// Names the first file that is missing, not listed, or of another size.
pub(super) fn check_listing<'f>(
    manifest: &BundleManifest,
    there: impl IntoIterator<Item = (&'f str, u64)>,
) -> Result<()> {
    let mut missing: BTreeMap<&str, u64> =
        manifest.files.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
    for (name, bytes) in there {
        if !FileKind::of(name)?.is_listed() {
            continue;
        }
        match missing.remove(name) {
            Some(listed) if listed == bytes => {}
            Some(listed) => {
                let message = format!("has {bytes} bytes, but {MANIFEST} lists {listed}");
                return Err(BundleError::mismatch(name, message));
            }
            None => return Err(BundleError::mismatch(name, format!("is not listed in {MANIFEST}"))),
        }
    }
    match missing.keys().next() {
        Some(name) => Err(BundleError::mismatch(name, format!("is listed in {MANIFEST}, but missing"))),
        None => Ok(()),
    }
}

fn check_digests(manifest: &BundleManifest, files: &BTreeMap<String, BundleFile>) -> Result<()> {
    for listed in &manifest.files {
        let found = files.get(&listed.name).map_or("", |file| &file.digest.sha256);
        if found != listed.sha256 {
            let message = format!("SHA-256 is {found}, but {MANIFEST} lists {}", listed.sha256);
            return Err(BundleError::mismatch(&listed.name, message));
        }
    }
    Ok(())
}

fn read_certificates(
    manifest: &BundleManifest,
    files: &BTreeMap<String, BundleFile>,
) -> Result<Vec<BundleCertificate>> {
    let mut certificates: Vec<BundleCertificate> = Vec::new();
    for (name, file) in files {
        if FileKind::of(name)? != FileKind::Certificate {
            continue;
        }
        let certificate = read_certificate(name, &file.bytes)?;
        agreement::check(name, &certificate, manifest)?;
        let same = |known: &&BundleCertificate| known.certificate.threat_model == certificate.threat_model;
        if let Some(known) = certificates.iter().find(same) {
            let message = format!("is of the threat model of {}: {}", known.name, certificate.threat_model);
            return Err(BundleError::mismatch(name, message));
        }
        certificates.push(BundleCertificate { name: name.clone(), certificate });
    }
    Ok(certificates)
}

fn read_certificate(name: &str, text: &[u8]) -> Result<Certificate> {
    let text = std::str::from_utf8(text).map_err(|error| BundleError::format(name, error))?;
    Certificate::from_json(text).map_err(|error| {
        let kind = match error {
            crate::certificate::CertificateError::Version(_)
            | crate::certificate::CertificateError::AmbiguousModel(_) => BundleErrorKind::Version,
            _ => BundleErrorKind::Format,
        };
        BundleError::new(kind, name, error)
    })
}
