//! `mimir_certificate`: what an evaluation recorded, to be read.

use std::ffi::{CString, c_char};
use std::ptr;

use mimir_bundle::statistics::{accuracies, clopper_pearson};
use mimir_bundle::{Certificate, Norm};

use crate::c_text::c_string;
use crate::error::mimir_error;
use crate::guard::{Result, guarded, or};
use crate::output::mimir_interval;
use crate::text::write_text;

/// A certificate, and its texts as C has them.
#[derive(Debug, Clone)]
pub struct mimir_certificate {
    certificate: Certificate,
    created_at: CString,
    engine: CString,
    engine_version: CString,
    attacks: Vec<CString>,
}

impl From<Certificate> for mimir_certificate {
    fn from(certificate: Certificate) -> Self {
        Self {
            created_at: c_string(&certificate.created_at),
            engine: c_string(&certificate.execution.engine),
            engine_version: c_string(&certificate.execution.engine_version),
            attacks: certificate.attacks.iter().map(|attack| c_string(&attack.name)).collect(),
            certificate,
        }
    }
}

/// The numbers of `mimir_norm` in the header.
pub(crate) fn norm_of(number: i32) -> Result<Norm> {
    match number {
        1 => Ok(Norm::Linf),
        2 => Ok(Norm::L2),
        3 => Ok(Norm::L1),
        other => Err(mimir_error::argument(format!("norm is {other}, which is no mimir_norm"))),
    }
}

fn number_of(norm: Norm) -> i32 {
    match norm {
        Norm::Linf => 1,
        Norm::L2 => 2,
        Norm::L1 => 3,
    }
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_norm(certificate: Option<&mimir_certificate>) -> i32 {
    certificate.map_or(0, |known| number_of(known.certificate.threat_model.norm))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_epsilon(certificate: Option<&mimir_certificate>) -> f64 {
    certificate.map_or(f64::NAN, |known| known.certificate.threat_model.epsilon)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_sample_count(certificate: Option<&mimir_certificate>) -> usize {
    certificate.map_or(0, |known| known.certificate.counts.images)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_clean_accuracy(
    certificate: Option<&mimir_certificate>,
    interval: Option<&mut mimir_interval>,
) -> Option<Box<mimir_error>> {
    accuracy(certificate, interval, |certificate| {
        (accuracies(&certificate.counts).0, certificate.counts.clean_correct)
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_attacked_accuracy(
    certificate: Option<&mimir_certificate>,
    interval: Option<&mut mimir_interval>,
) -> Option<Box<mimir_error>> {
    accuracy(certificate, interval, |certificate| {
        (accuracies(&certificate.counts).1, certificate.counts.not_broken())
    })
}

fn accuracy(
    certificate: Option<&mimir_certificate>,
    interval: Option<&mut mimir_interval>,
    of: impl FnOnce(&Certificate) -> (f64, usize),
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let certificate = certificate.ok_or_else(|| mimir_error::null("certificate"))?;
        let interval = interval.ok_or_else(|| mimir_error::null("interval"))?;
        let (estimate, successes) = of(&certificate.certificate);
        let known = clopper_pearson(successes, certificate.certificate.counts.images);
        let (lower, upper, confidence) = (known.lower, known.upper, known.confidence);
        *interval = mimir_interval { estimate, lower, upper, confidence };
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_attack_count(certificate: Option<&mimir_certificate>) -> usize {
    certificate.map_or(0, |known| known.attacks.len())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_attack_name(
    certificate: Option<&mimir_certificate>,
    index: usize,
) -> *const c_char {
    let name = certificate.and_then(|known| known.attacks.get(index));
    name.map_or(ptr::null(), |name| name.as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_created_at(certificate: Option<&mimir_certificate>) -> *const c_char {
    certificate.map_or(ptr::null(), |known| known.created_at.as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_engine(certificate: Option<&mimir_certificate>) -> *const c_char {
    certificate.map_or(ptr::null(), |known| known.engine.as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_engine_version(certificate: Option<&mimir_certificate>) -> *const c_char {
    certificate.map_or(ptr::null(), |known| known.engine_version.as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_batch(certificate: Option<&mimir_certificate>) -> usize {
    certificate.map_or(0, |known| known.certificate.execution.batch)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_certificate_to_json(
    certificate: Option<&mimir_certificate>,
    buffer: *mut c_char,
    capacity: usize,
    needed: Option<&mut usize>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let certificate = certificate.ok_or_else(|| mimir_error::null("certificate"))?;
        let text = serde_json::to_string(&certificate.certificate);
        let text = text.map_err(|error| mimir_error::argument(error.to_string()))?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&text, buffer, capacity, needed) }
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_clone(
    certificate: Option<&mimir_certificate>,
) -> Option<Box<mimir_certificate>> {
    or(None, || certificate.map(|certificate| Box::new(certificate.clone())))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certificate_delete(certificate: Option<Box<mimir_certificate>>) {
    or((), || drop(certificate));
}
