//! `mimir_session`: runs a model, for any number of threads.

use std::ffi::{CStr, c_char};
use std::sync::Arc;

use mimir_certify::serve::{CallLimits, Session};
use mimir_runtime::session::EngineKind;

use crate::error::mimir_error;
use crate::guard::{Result, guarded, made, or};
use crate::input::{self, check_apart, expect_len};
use crate::limits::{mimir_limits, within};
use crate::model::{given as given_model, mimir_model};
use crate::output::mimir_prediction;
use crate::session_options::mimir_session_options;
use crate::text::write_text;
use crate::workers::Workers;

/// Runs a model.
#[derive(Debug)]
pub struct mimir_session {
    session: Arc<Session>,
    workers: Workers,
}

impl mimir_session {
    /// The session, for calls that outlive the handle.
    pub(crate) fn shared(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }
}

fn given(session: Option<&mimir_session>) -> Result<&Session> {
    session.map(|known| &*known.session).ok_or_else(|| mimir_error::null("session"))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_new(
    model: Option<&mimir_model>,
    options: Option<&mimir_session_options>,
    out: Option<&mut *mut mimir_session>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        let options = options.cloned().unwrap_or_default();
        let session = Session::new(given_model(model)?.served(), &options.serve)?;
        Ok(mimir_session { session: Arc::new(session), workers: Workers::new(options.workers.max(1)) })
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_delete(session: Option<Box<mimir_session>>) {
    or((), || drop(session));
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_engine(session: Option<&mimir_session>) -> *const c_char {
    let name = session.map_or(c"", |known| match known.session.engine().kind() {
        EngineKind::OnnxRuntime => c"onnxruntime",
        EngineKind::Rten => c"rten",
    });
    CStr::as_ptr(name)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_max_batch(session: Option<&mimir_session>) -> usize {
    session.map_or(0, |known| known.session.most_rows())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_fixed_batch(session: Option<&mimir_session>) -> usize {
    session.and_then(|known| known.session.fixed_rows()).unwrap_or(0)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_session_logits(
    session: Option<&mimir_session>,
    pixels: *const f32,
    pixels_len: usize,
    batch: usize,
    limits: Option<&mimir_limits>,
    logits: *mut f32,
    logits_len: usize,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let session = given(session)?;
        expect_len("logits", logits_len, batch, session.classes())?;
        // SAFETY: the caller's promise.
        let (pixels, logits) =
            unsafe { buffers(session, (pixels, pixels_len), batch, (logits, logits_len)) }?;
        within(limits, |limits| Ok(session.logits_into(pixels, limits, logits)?))
    })
}

/// Pixels to read, of which there are as many as `batch` says, and an output apart from them.
///
/// # Safety
/// As [`input::read`] and [`input::write`].
pub(crate) unsafe fn buffers<'a, T: input::Plain>(
    session: &Session,
    pixels: (*const f32, usize),
    batch: usize,
    output: (*mut T, usize),
) -> Result<(&'a [f32], &'a mut [T])> {
    expect_len("pixels", pixels.1, batch, session.image().pixels())?;
    check_apart(pixels, (output.0, output.1))?;
    // SAFETY: the caller's promise.
    let pixels = unsafe { input::read(pixels.0, pixels.1, "pixels") }?;
    // SAFETY: the caller's promise, and apart from what is read.
    Ok((pixels, unsafe { input::write(output.0, output.1, "output") }?))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_session_classify(
    session: Option<&mimir_session>,
    pixels: *const f32,
    pixels_len: usize,
    batch: usize,
    limits: Option<&mimir_limits>,
    least_margin: f32,
    predictions: *mut mimir_prediction,
    predictions_len: usize,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let session = given(session)?;
        check_margin(least_margin)?;
        expect_len("predictions", predictions_len, batch, 1)?;
        // SAFETY: the caller's promise.
        let (pixels, predictions) =
            unsafe { buffers(session, (pixels, pixels_len), batch, (predictions, predictions_len)) }?;
        within(limits, |limits| classify(session, pixels, limits, least_margin, predictions))
    })
}

/// Writes what the model says about each image.
pub(crate) fn classify(
    session: &Session,
    pixels: &[f32],
    limits: &CallLimits<'_>,
    least_margin: f32,
    predictions: &mut [mimir_prediction],
) -> Result<()> {
    let answers = session.classify(pixels, limits)?;
    for (prediction, answer) in predictions.iter_mut().zip(answers) {
        *prediction = mimir_prediction::new(answer, least_margin);
    }
    Ok(())
}

pub(crate) fn check_margin(least_margin: f32) -> Result<()> {
    if least_margin >= 0.0 {
        return Ok(());
    }
    Err(mimir_error::argument(format!("least_margin is {least_margin}, wanted 0 or more")))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_session_features(
    session: Option<&mimir_session>,
    feature: usize,
    pixels: *const f32,
    pixels_len: usize,
    batch: usize,
    limits: Option<&mimir_limits>,
    values: *mut f32,
    values_len: usize,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let session = given(session)?;
        // SAFETY: the caller's promise.
        let (pixels, values) =
            unsafe { buffers(session, (pixels, pixels_len), batch, (values, values_len)) }?;
        within(limits, |limits| Ok(session.features_into(feature, pixels, limits, values)?))
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_session_profile_json(
    session: Option<&mimir_session>,
    buffer: *mut c_char,
    capacity: usize,
    needed: Option<&mut usize>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let profile = given(session)?.profile()?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&profile, buffer, capacity, needed) }
    })
}
