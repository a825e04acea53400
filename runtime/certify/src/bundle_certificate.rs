//! Writes the certificate of a run into the bundle of its model.
//!
//! A certificate takes the place of another only where that was asked for, and nothing is lost then: what was there is
//! kept beside the bundle. No certificate counts as better than another of the same threat model. Other attacks, images
//! and seeds find other things, and choosing the better of two results is what a record is to prevent.

use std::path::PathBuf;

use mimir_bundle::bundle::{Bundle, BundleCertificate, BundleError, MANIFEST};
use mimir_bundle::certificate::Extent;
use mimir_bundle::statistics::percent;
use mimir_bundle::{AttackSpec, Certificate};

use crate::certified::{BundleChange, Certified, Replaced, Unwritten};
use crate::error::{Error, ErrorKind, OptionName, OrKind, Result, with_causes};
use crate::model_input::ModelInput;
use crate::options::{BundleMode, CertifyOptions};
use crate::report_folder::CERTIFICATE;

/// The bundle that a certificate is written into.
fn changed_bundle(options: &CertifyOptions) -> Option<(&ModelInput, &Bundle)> {
    let is_changed = options.bundle != BundleMode::LeaveAlone;
    options.model.bundle().filter(|_| is_changed).map(|bundle| (&options.model, bundle))
}

/// Before hours of attacks: whether the certificate of a run can be written into the bundle of its model.
/// [`certify`](crate::certify()) asks too; whoever runs several asks for all of them first.
///
/// # Errors
/// [`ErrorKind::Options`] when the bundle cannot be written, or has a certificate of the same threat model that is not
/// to be replaced.
pub fn expect_room(options: &CertifyOptions) -> Result<()> {
    let Some((model, bundle)) = changed_bundle(options) else { return Ok(()) };
    Bundle::expect_writable(model.path()).or_kind(ErrorKind::Options)?;
    let threat_model = options.threat_model_of(bundle.manifest().input.pixel_type)?;
    match bundle.certificate_of(&threat_model) {
        Some(known) if options.bundle == BundleMode::WriteCertificate => {
            let message = format!(
                "{} is of the same threat model, {threat_model}: {}. This run, {} on {}, would take its place",
                place(model, &known.name),
                summary(&known.certificate),
                names(&options.attacks),
                options.images.source,
            );
            Err(Error::new(ErrorKind::Options, message).about(OptionName::ReplaceCertificate))
        }
        _ => Ok(()),
    }
}

/// A file of a bundle, in words: `bundle/certificate.json`, `certificate.json in model.mimir`.
fn place(model: &ModelInput, file: &str) -> String {
    match model.path().is_file() {
        true => format!("{file} in {}", model.path().display()),
        false => model.path().join(file).display().to_string(),
    }
}

/// What a certificate records, in a few words.
fn summary(certificate: &Certificate) -> String {
    let Certificate { created_at, counts, data, .. } = certificate;
    let attacks = names(&certificate.attack_specs());
    let accuracy = percent(mimir_bundle::statistics::accuracies(counts).1);
    format!(
        "{attacks} on {} images of {}, attacked accuracy {accuracy}, of {created_at}",
        counts.images, data.source
    )
}

fn names(attacks: &[AttackSpec]) -> String {
    let names: Vec<&str> = attacks.iter().map(AttackSpec::name).collect();
    if names.is_empty() { "without attacks".into() } else { names.join(", ") }
}

/// Writes the certificate of a run that did all attacks; one that a gate ended earlier says less than it could.
///
/// Where it cannot be written, the answer says so: the work of hours is not given up for it. The certificate is then in
/// the report folder, or beside the bundle.
pub(crate) fn write_into_bundle(options: &CertifyOptions, certified: Certified) -> Certified {
    let complete =
        certified.certificate.as_ref().filter(|certificate| certificate.extent == Extent::Complete);
    let (Some((model, bundle)), Some(certificate)) = (changed_bundle(options), complete) else {
        return certified;
    };
    match write(options, model, bundle, certificate) {
        Ok(change) => Certified { bundle: Some(change), ..certified },
        Err(error) => {
            let unwritten = keep(options, model, certificate, &error);
            Certified { unwritten: Some(unwritten), ..certified }
        }
    }
}

/// Makes sure that a certificate is somewhere.
fn keep(
    options: &CertifyOptions,
    model: &ModelInput,
    certificate: &Certificate,
    error: &BundleError,
) -> Unwritten {
    let reason = with_causes(error);
    let reported: Option<PathBuf> = options.report.as_ref().map(|report| report.folder.join(CERTIFICATE));
    match reported.map_or_else(|| Bundle::write_beside(model.path(), certificate), Ok) {
        Ok(place) => Unwritten { reason, place: Some(place) },
        Err(beside) => Unwritten { reason: format!("{reason}; {beside}"), place: None },
    }
}

fn write(
    options: &CertifyOptions,
    model: &ModelInput,
    bundle: &Bundle,
    certificate: &Certificate,
) -> std::result::Result<BundleChange, BundleError> {
    let path = model.path();
    let mut before = None;
    let changed = Bundle::change(path, |now| {
        if now.digest() != bundle.digest() {
            let message =
                "was changed while its model was attacked: the certificate is not written into the bundle";
            return Err(BundleError::mismatch(MANIFEST, message));
        }
        before = find(now, certificate).map(|known| known.certificate.created_at.clone());
        match options.bundle {
            BundleMode::ReplaceCertificate => now.replacing_certificate(certificate),
            // Another program may have written one since this run began.
            BundleMode::WriteCertificate | BundleMode::LeaveAlone => now.with_certificate(certificate),
        }
    })?;
    let name = find(&changed.bundle, certificate).map(|known| known.name.clone()).unwrap_or_default();
    let replaced = before.filter(|_| !changed.certificates.is_empty());
    Ok(BundleChange {
        bundle: path.to_owned(),
        certificate: name,
        replaced: replaced.map(|created_at| Replaced { created_at, places: changed.certificates.clone() }),
        signature: changed.signature,
    })
}

/// The certificate of the same threat model.
fn find<'b>(bundle: &'b Bundle, certificate: &Certificate) -> Option<&'b BundleCertificate> {
    bundle.certificate_of(&certificate.threat_model)
}
