//! Writes the certificate of a run into the bundle of its model.

use mimir_bundle::Certificate;
use mimir_bundle::bundle::{Bundle, BundleCertificate, BundleError, MANIFEST};
use mimir_bundle::certificate::Extent;

use crate::certified::{BundleChange, Certified};
use crate::error::{ErrorKind, OrKind, Result};
use crate::model_input::ModelInput;
use crate::options::{BundleMode, CertifyOptions};

/// The bundle that a certificate is written into.
fn changed_bundle(options: &CertifyOptions) -> Option<(&ModelInput, &Bundle)> {
    let is_changed = options.bundle == BundleMode::WriteCertificate;
    options.model.bundle().filter(|_| is_changed).map(|bundle| (&options.model, bundle))
}

/// Before hours of attacks: whether the bundle can be written at all.
///
/// # Errors
/// [`ErrorKind::Options`] when it cannot.
pub(crate) fn expect_writable_bundle(options: &CertifyOptions) -> Result<()> {
    match changed_bundle(options) {
        None => Ok(()),
        Some((model, _)) => Bundle::expect_writable(model.path()).or_kind(ErrorKind::Options),
    }
}

/// Writes the certificate of a run that did all attacks; one that a gate ended earlier says less than it could.
///
/// # Errors
/// [`ErrorKind::Storage`] when it cannot be written, or the bundle's model has been exchanged since.
pub(crate) fn write_into_bundle(options: &CertifyOptions, certified: Certified) -> Result<Certified> {
    let complete =
        certified.certificate.as_ref().filter(|certificate| certificate.extent == Extent::Complete);
    let (Some((model, bundle)), Some(certificate)) = (changed_bundle(options), complete) else {
        return Ok(certified);
    };
    let change = write(model, bundle, certificate)?;
    Ok(Certified { bundle: Some(change), ..certified })
}

fn write(model: &ModelInput, bundle: &Bundle, certificate: &Certificate) -> Result<BundleChange> {
    let path = model.path();
    let mut replaced = None;
    let changed = Bundle::change(path, |now| {
        if now.digest() != bundle.digest() {
            let message =
                "was changed while its model was attacked: the certificate is not written into the bundle";
            return Err(BundleError::mismatch(MANIFEST, message));
        }
        replaced = find(now, certificate).map(|known| known.certificate.created_at.clone());
        now.with_certificate(certificate)
    });
    let changed = changed.or_kind(ErrorKind::Storage)?;
    let name = find(&changed.bundle, certificate).map(|known| known.name.as_str()).unwrap_or_default();
    Ok(BundleChange { certificate: path.join(name), replaced, signature: changed.signature })
}

/// The certificate of the same threat model.
fn find<'b>(bundle: &'b Bundle, certificate: &Certificate) -> Option<&'b BundleCertificate> {
    bundle.certificates().iter().find(|known| known.certificate.threat_model == certificate.threat_model)
}
