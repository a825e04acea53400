//! What a policy is held against.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::bundle::{Bundle, BundleCertificate};
use crate::certificate::Processor;
use crate::digest::{FileDigest, digest_model};
use crate::signature::KeyId;

/// A bundle that was opened and found consistent, and what is known besides.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The files of the model, as certificates list them: the ONNX file, then its external data.
    pub model_files: Vec<FileDigest>,
    /// The certificates with their names.
    pub certificates: &'a [BundleCertificate],
    /// Keys whose signatures of exactly this bundle were verified.
    pub verified: &'a BTreeSet<KeyId>,
    /// Why no signature was verified, where one was looked for.
    pub signature_fault: Option<String>,
    /// Now.
    pub now: SystemTime,
    /// The processor that the bundle is for, where it is known.
    pub processor: Option<&'a Processor>,
}

impl<'a> Evidence<'a> {
    /// What a bundle shows, with the keys whose signatures of it were verified.
    pub fn new(bundle: &'a Bundle, verified: &'a BTreeSet<KeyId>, now: SystemTime) -> Self {
        let (model_files, certificates) = (bundle.model_files(), bundle.certificates());
        Self { model_files, certificates, verified, signature_fault: None, now, processor: None }
    }

    /// The digest of the model's files.
    pub(super) fn model_digest(&self) -> String {
        digest_model(&self.model_files)
    }
}
