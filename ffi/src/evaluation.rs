//! `mimir_evaluation`: what an evaluation found, all in all and image by image.

use std::ffi::{CString, c_char};
use std::ptr;

use mimir_certify::{Certified, KeptCounterexamples, with_causes};
use mimir_runtime::evaluate::{ImageOutcome, Verdict};
use mimir_runtime::report::Report;

use crate::c_text::c_string;
use crate::certificate::mimir_certificate;
use crate::error::{Code, mimir_error};
use crate::guard::{Result, guarded, or};
use crate::input;
use crate::text::write_text;

/// What an evaluation found.
#[derive(Debug)]
pub struct mimir_evaluation {
    report: Report,
    certificate: Option<mimir_certificate>,
    images: Vec<Image>,
    counterexamples: Option<KeptCounterexamples>,
}

/// What became of one image, and the name of the attack as C has it.
#[derive(Debug)]
struct Image {
    outcome: ImageOutcome,
    attack: Option<CString>,
}

/// The numbers of `mimir_verdict` in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum VerdictNumber {
    /// `MIMIR_VERDICT_MISCLASSIFIED`
    Misclassified = 1,
    /// `MIMIR_VERDICT_BROKEN`
    Broken = 2,
    /// `MIMIR_VERDICT_STILL_ROBUST`
    StillRobust = 3,
    /// `MIMIR_VERDICT_NOT_FINITE`
    NotFinite = 4,
    /// `MIMIR_VERDICT_UNFINISHED`
    Unfinished = 5,
}

impl VerdictNumber {
    fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Misclassified => Self::Misclassified,
            Verdict::Broken { .. } => Self::Broken,
            Verdict::StillRobust => Self::StillRobust,
            Verdict::NonFinite { .. } => Self::NotFinite,
            Verdict::Unfinished => Self::Unfinished,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Misclassified => "misclassified as it is, and was not attacked",
            Self::Broken => "broken",
            Self::StillRobust => "still robust",
            Self::NotFinite => "one whose logits are not finite",
            Self::Unfinished => "unfinished",
        }
    }
}

impl From<ImageOutcome> for Image {
    fn from(outcome: ImageOutcome) -> Self {
        let attack = match &outcome.verdict {
            Verdict::Broken { attack, .. } | Verdict::NonFinite { attack: Some(attack) } => {
                Some(c_string(attack))
            }
            _ => None,
        };
        Self { outcome, attack }
    }
}

impl From<Certified> for mimir_evaluation {
    fn from(certified: Certified) -> Self {
        let Certified { report, certificate, outcomes, counterexamples, .. } = certified;
        Self {
            report,
            certificate: certificate.map(mimir_certificate::from),
            images: outcomes.into_iter().map(Image::from).collect(),
            counterexamples,
        }
    }
}

/// What became of an image; none where there is none of that index.
fn image(evaluation: Option<&mimir_evaluation>, index: usize) -> Option<&Image> {
    evaluation?.images.get(index)
}

/// A class for C.
fn class(class: Option<usize>) -> i32 {
    class.and_then(|class| i32::try_from(class).ok()).unwrap_or(-1)
}

impl mimir_evaluation {
    /// Writes the perturbed image, or says why there is none.
    fn write_perturbed(&self, index: usize, pixels: &mut [f32]) -> Result<()> {
        let unkept = "mimir_certify keeps no perturbed images: mimir_attack does, and mimir_certify_options_set_report \
            has them written into a folder";
        let kept = self.counterexamples.as_ref().ok_or_else(|| mimir_error::argument(unkept))?;
        let count = self.images.len();
        let none = || mimir_error::argument(format!("there is no image {index}, only {count}, from 0"));
        let verdict = VerdictNumber::of(&self.images.get(index).ok_or_else(none)?.outcome.verdict);
        let (len, wanted) = (pixels.len(), kept.pixels_per_image());
        if len != wanted {
            return Err(mimir_error::argument(format!("pixels: {len} elements, wanted {wanted}")));
        }
        match kept.read(index, pixels) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let is = verdict.words();
                Err(mimir_error::argument(format!("image {index} is {is}: it has no perturbed image")))
            }
            Err(error) => Err(mimir_error::new(Code::Io, with_causes(&error))),
        }
    }
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_certificate(
    evaluation: Option<&mimir_evaluation>,
) -> *const mimir_certificate {
    let certificate = evaluation.and_then(|evaluation| evaluation.certificate.as_ref());
    certificate.map_or(ptr::null(), ptr::from_ref)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_image_count(evaluation: Option<&mimir_evaluation>) -> usize {
    evaluation.map_or(0, |known| known.images.len())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_verdict(evaluation: Option<&mimir_evaluation>, index: usize) -> i32 {
    image(evaluation, index).map_or(0, |image| VerdictNumber::of(&image.outcome.verdict) as i32)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_clean_class(evaluation: Option<&mimir_evaluation>, index: usize) -> i32 {
    class(image(evaluation, index).and_then(|image| image.outcome.clean_prediction))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_perturbed_class(
    evaluation: Option<&mimir_evaluation>,
    index: usize,
) -> i32 {
    class(image(evaluation, index).and_then(|image| match image.outcome.verdict {
        Verdict::Broken { prediction, .. } => Some(prediction),
        _ => None,
    }))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_distance(evaluation: Option<&mimir_evaluation>, index: usize) -> f64 {
    image(evaluation, index).map_or(f64::NAN, |image| match image.outcome.verdict {
        Verdict::Broken { distance, .. } => distance,
        _ => f64::NAN,
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_attack_name(
    evaluation: Option<&mimir_evaluation>,
    index: usize,
) -> *const c_char {
    let name = image(evaluation, index).and_then(|image| image.attack.as_ref());
    name.map_or(ptr::null(), |name| name.as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_perturbed_len(evaluation: Option<&mimir_evaluation>) -> usize {
    let kept = evaluation.and_then(|known| known.counterexamples.as_ref());
    kept.map_or(0, KeptCounterexamples::pixels_per_image)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_evaluation_perturbed(
    evaluation: Option<&mimir_evaluation>,
    index: usize,
    pixels: *mut f32,
    pixels_len: usize,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let evaluation = evaluation.ok_or_else(|| mimir_error::null("evaluation"))?;
        // SAFETY: the caller's promise.
        let pixels = unsafe { input::write(pixels, pixels_len, "pixels") }?;
        evaluation.write_perturbed(index, pixels)
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_evaluation_report_json(
    evaluation: Option<&mimir_evaluation>,
    buffer: *mut c_char,
    capacity: usize,
    needed: Option<&mut usize>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let evaluation = evaluation.ok_or_else(|| mimir_error::null("evaluation"))?;
        let text = serde_json::to_string(&evaluation.report);
        let text = text.map_err(|error| mimir_error::argument(error.to_string()))?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&text, buffer, capacity, needed) }
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_evaluation_summary(
    evaluation: Option<&mimir_evaluation>,
    buffer: *mut c_char,
    capacity: usize,
    needed: Option<&mut usize>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let evaluation = evaluation.ok_or_else(|| mimir_error::null("evaluation"))?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&evaluation.report.to_string(), buffer, capacity, needed) }
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_delete(evaluation: Option<Box<mimir_evaluation>>) {
    or((), || drop(evaluation));
}
