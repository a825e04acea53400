//! `mimir_request`: a call that returns at once, and is finished by a thread of the session.

use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mimir_certify::serve::{CallLimits, Cancellation, Session};

use crate::error::{Code, mimir_error};
use crate::guard::{Result, guarded, made, or};
use crate::input::{Plain, expect_len};
use crate::limits::mimir_limits;
use crate::logger::Payload;
use crate::output::mimir_prediction;
use crate::session::{buffers, check_margin, classify, mimir_session};

/// Takes how a call ended.
pub type DoneFunction = extern "C" fn(error: Option<Box<mimir_error>>, payload: *mut c_void);

/// `mimir_done_callback` of the header.
pub type mimir_done_callback = Option<DoneFunction>;

/// A call that may still run.
#[derive(Debug)]
pub struct mimir_request(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    cancellation: Cancellation,
    is_finished: Mutex<bool>,
    finished: Condvar,
}

impl Progress {
    fn finish(&self) {
        *self.is_finished.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.finished.notify_all();
    }

    /// Whether it is finished, after at most so long.
    fn wait(&self, most: Duration) -> bool {
        let end = Instant::now().checked_add(most);
        let mut is_finished = self.is_finished.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_finished {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            is_finished = match left {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    self.finished.wait_timeout(is_finished, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.finished.wait(is_finished).unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }
}

/// Buffers that live until the callback is called: the header asks the caller for that.
struct Buffers<T> {
    pixels: *const f32,
    pixels_len: usize,
    output: *mut T,
    output_len: usize,
}

// SAFETY: only the thread that makes the call uses them, and the caller lets nobody else.
unsafe impl<T> Send for Buffers<T> {}

/// What a call needs besides its buffers.
struct Call {
    session: Arc<Session>,
    deadline: Option<Instant>,
    limits: Option<Arc<Cancellation>>,
    progress: Arc<Progress>,
}

impl Call {
    fn run(&self, is_over: bool, run: impl FnOnce(&Session, &CallLimits<'_>) -> Result<()>) -> Result<()> {
        if is_over {
            return Err(mimir_error::new(Code::Cancelled, "the session was deleted before the call began"));
        }
        let mut cancellations = vec![&self.progress.cancellation];
        cancellations.extend(self.limits.as_deref());
        run(&self.session, &CallLimits { deadline: self.deadline, cancellations: &cancellations })
    }
}

/// Lets a thread of the session make a call, and tells the callback how it ended.
///
/// # Safety
/// The buffers stay until the callback is called.
unsafe fn submit<T: Plain + 'static>(
    session: &mimir_session,
    buffers: Buffers<T>,
    batch: usize,
    limits: Option<&mimir_limits>,
    callback: Option<(DoneFunction, *mut c_void)>,
    run: impl FnOnce(&Session, &[f32], &CallLimits<'_>, &mut [T]) -> Result<()> + Send + 'static,
) -> Result<mimir_request> {
    let (callback, payload) = callback.ok_or_else(|| mimir_error::null("callback"))?;
    let payload = Payload::new(payload);
    let progress = Arc::new(Progress::default());
    let call = Call {
        session: session.shared(),
        deadline: limits.and_then(mimir_limits::deadline),
        limits: limits.map(mimir_limits::cancellation),
        progress: Arc::clone(&progress),
    };
    // SAFETY: the caller's promise. Here only lengths and addresses are looked at.
    unsafe { slices(&call.session, &buffers, batch) }?;
    let job = Box::new(move |is_over: bool| {
        let error = guarded(|| {
            call.run(is_over, |session, limits| {
                // SAFETY: they were checked when the call was submitted, and the caller keeps them.
                let (pixels, output) = unsafe { slices(session, &buffers, batch) }?;
                run(session, pixels, limits, output)
            })
        });
        or((), || callback(error, payload.get()));
        call.progress.finish();
    });
    session.workers().submit(job)?;
    Ok(mimir_request(progress))
}

/// # Safety
/// As [`buffers`].
unsafe fn slices<'a, T: Plain>(
    session: &Session,
    known: &Buffers<T>,
    batch: usize,
) -> Result<(&'a [f32], &'a mut [T])> {
    // SAFETY: the caller's promise.
    unsafe { buffers(session, (known.pixels, known.pixels_len), batch, (known.output, known.output_len)) }
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_session_logits_async(
    session: Option<&mimir_session>,
    pixels: *const f32,
    pixels_len: usize,
    batch: usize,
    limits: Option<&mimir_limits>,
    logits: *mut f32,
    logits_len: usize,
    callback: mimir_done_callback,
    payload: *mut c_void,
    out: Option<&mut *mut mimir_request>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        let session = session.ok_or_else(|| mimir_error::null("session"))?;
        expect_len("logits", logits_len, batch, session.shared().classes())?;
        let buffers = Buffers { pixels, pixels_len, output: logits, output_len: logits_len };
        let callback = callback.map(|callback| (callback, payload));
        // SAFETY: the caller's promise.
        unsafe {
            submit(session, buffers, batch, limits, callback, |session, pixels, limits, logits| {
                Ok(session.logits_into(pixels, limits, logits)?)
            })
        }
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_session_classify_async(
    session: Option<&mimir_session>,
    pixels: *const f32,
    pixels_len: usize,
    batch: usize,
    limits: Option<&mimir_limits>,
    least_margin: f32,
    predictions: *mut mimir_prediction,
    predictions_len: usize,
    callback: mimir_done_callback,
    payload: *mut c_void,
    out: Option<&mut *mut mimir_request>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        let session = session.ok_or_else(|| mimir_error::null("session"))?;
        check_margin(least_margin)?;
        expect_len("predictions", predictions_len, batch, 1)?;
        let buffers = Buffers { pixels, pixels_len, output: predictions, output_len: predictions_len };
        let callback = callback.map(|callback| (callback, payload));
        // SAFETY: the caller's promise.
        unsafe {
            submit(session, buffers, batch, limits, callback, move |session, pixels, limits, predictions| {
                classify(session, pixels, limits, least_margin, predictions)
            })
        }
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_request_cancel(request: Option<&mimir_request>) {
    or((), || {
        if let Some(request) = request {
            request.0.cancellation.cancel();
        }
    });
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_request_wait(request: Option<&mimir_request>, milliseconds: u64) -> bool {
    or(true, || request.is_none_or(|request| request.0.wait(Duration::from_millis(milliseconds))))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_request_delete(request: Option<Box<mimir_request>>) {
    or((), || drop(request));
}
