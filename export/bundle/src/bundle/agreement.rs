//! Whether a certificate, or a model as it was read, is that of a bundle.

use super::error::{BundleError, Result};
use super::manifest::{BundleManifest, InputFacts};
use super::names::{MANIFEST, MODEL, MODEL_DATA};
use crate::Manifest;
use crate::certificate::{Certificate, Preprocessing};
use crate::digest::{FileDigest, digest_model};

impl BundleManifest {
    /// Checks that a model is the one of this manifest: its files, and how images become its input. `place` is where the
    /// facts come from.
    ///
    /// # Errors
    /// Names the place, the fact, and what the two say.
    pub fn expect_model(&self, place: &str, model: &Manifest) -> Result<()> {
        check_files(place, model, self)?;
        check_facts(place, model, self)
    }
}

/// Checks that a certificate is of these files, read as the manifest says.
///
/// # Errors
/// Names the certificate's file, and what differs.
pub(super) fn check(name: &str, certificate: &Certificate, manifest: &BundleManifest) -> Result<()> {
    manifest.expect_model(name, &certificate.model)?;
    check_preprocessing(name, certificate, manifest)
}

/// The files of the model, in the order in which a certificate has them: the ONNX file, then its data.
pub(super) fn model_files(manifest: &BundleManifest) -> Vec<FileDigest> {
    let named = |wanted: &str| manifest.files.iter().find(|file| file.name == wanted).cloned();
    named(MODEL).into_iter().chain(named(MODEL_DATA)).collect()
}

fn check_files(name: &str, recorded: &Manifest, manifest: &BundleManifest) -> Result<()> {
    let files = model_files(manifest);
    let digest = digest_model(&files);
    if recorded.model_digest == digest {
        return Ok(());
    }
    let differing = files.iter().enumerate().find(|(index, file)| {
        let same = |other: &&FileDigest| (other.bytes, &other.sha256) == (file.bytes, &file.sha256);
        recorded.files.get(*index).filter(same).is_none()
    });
    let which = differing.map_or("its files", |(_, file)| file.name.as_str());
    let message = format!(
        "is of another model: the digest of its model is {}, that of this bundle's {digest} ({which} differs)",
        recorded.model_digest
    );
    Err(BundleError::mismatch(name, message))
}

fn check_facts(name: &str, recorded: &Manifest, manifest: &BundleManifest) -> Result<()> {
    let InputFacts { image, layout, pixel_type, channel_order, normalisation, .. } = &manifest.input;
    let pairs = [
        ("image shape", shown(&recorded.image), shown(image)),
        ("layout", shown(&recorded.layout), shown(layout)),
        ("pixel type", shown(&recorded.pixel_type), shown(pixel_type)),
        ("channel order", shown(&recorded.channel_order), shown(channel_order)),
        ("normalisation", shown(&recorded.normalisation), shown(normalisation)),
        ("output", shown(&recorded.output_name), shown(&manifest.output)),
        ("number of classes", shown(&recorded.classes), shown(&manifest.classes.count)),
    ];
    match pairs.into_iter().find(|(_, recorded, described)| recorded != described) {
        None => Ok(()),
        Some((fact, recorded, described)) => Err(contradiction(name, fact, &recorded, &described)),
    }
}

/// Images that are arrays may have had the size of the input; pictures in files become it as the manifest says.
fn check_preprocessing(name: &str, certificate: &Certificate, manifest: &BundleManifest) -> Result<()> {
    let (recorded, described) = (&certificate.data.preprocessing, &manifest.preprocessing);
    let were_arrays = certificate.data.image_files.is_none();
    if recorded == described || (recorded.is_none() && were_arrays) {
        return Ok(());
    }
    let words =
        |rule: &Option<Preprocessing>| rule.map_or_else(|| "none".to_owned(), |rule| rule.to_string());
    Err(contradiction(name, "preprocessing", &words(recorded), &words(described)))
}

fn contradiction(name: &str, fact: &str, recorded: &str, described: &str) -> BundleError {
    BundleError::mismatch(name, format!("the {fact} is {recorded}, but {MANIFEST} says {described}"))
}

fn shown(fact: &impl serde::Serialize) -> String {
    serde_json::to_string(fact).unwrap_or_default()
}
