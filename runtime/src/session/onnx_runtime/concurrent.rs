//! A session that many threads run at once, and into buffers of the caller.
//!
//! `ort` gives a session to one thread at a time, because not every execution provider of ONNX Runtime may be run by
//! several. ONNX Runtime documents `OrtApi::Run` as safe for any number of threads on one session, and the CPU provider
//! is; elsewhere [`SharedSession`](crate::session::SharedSession) lets one thread in.
#![allow(unsafe_code, reason = "OrtApi::Run for several threads has no safe form in `ort`")]

use std::ffi::{CStr, CString, c_char};
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use ort::AsPointer;
use ort::logging::LoggerFunction;
use ort::session::builder::LoadCanceler;
use ort::session::{NoSelectedOutputs, RunOptions, Session, SharedSessionInner};
use ort::value::{TensorRef, TensorRefMut};

use super::{OnnxRuntime, Weights, builder, commit};
use crate::session::interruption::{RunLimits, Stoppable, Watchdog, under_limits};
use crate::session::{Device, EngineError, LogLevel, LogSink, OutputBuffer, SharedOptions, StopReason};

/// The names that a run needs, as C has them.
#[derive(Debug)]
struct Names {
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

/// A session of ONNX Runtime that any number of threads may run.
#[derive(Debug)]
pub(in crate::session) struct ConcurrentSession {
    session: Arc<SharedSessionInner>,
    names: Names,
}

impl ConcurrentSession {
    /// Builds a session over our own serialisation of a graph with one input.
    pub(in crate::session) fn new(
        library: &OnnxRuntime,
        device: Device,
        model: &[u8],
        weights: &Weights,
        options: &SharedOptions,
        watchdog: &Watchdog,
    ) -> Result<Self, EngineError> {
        let mut builder = weights.hand_over(builder(library, device, options.session)?)?;
        if let Some(prefix) = &options.profile {
            builder = builder.with_profiling(prefix)?;
        }
        if let Some(log) = &options.log {
            builder = builder.with_log_level(severity(log.least()))?.with_logger(logger(log.clone()))?;
        }
        let limits = RunLimits { deadline: options.deadline, cancellations: &[] };
        let running: Arc<dyn Stoppable> = Arc::new(Terminator::of(Target::Load(builder.canceler())));
        let session = under_limits(&limits, watchdog, &running, || commit(&mut builder, model, device))?;
        let names = Names {
            inputs: c_names(session.inputs().iter().map(ort::value::Outlet::name))?,
            outputs: c_names(session.outputs().iter().map(ort::value::Outlet::name))?,
        };
        Ok(Self { session: inner(&session), names })
    }

    /// Runs the model on one input. Each output is written where the caller wants it; those that nobody wants are not
    /// computed further than others need them.
    ///
    /// # Errors
    /// When an output has no such name or other dimensions, or an operator fails, or a limit ended it.
    pub(in crate::session) fn run(
        &self,
        dims: &[usize],
        images: &[f32],
        outputs: &mut [OutputBuffer<'_>],
        limits: &RunLimits<'_>,
        watchdog: &Watchdog,
    ) -> Result<(), EngineError> {
        if limits.are_none() {
            return self.run_with(dims, images, outputs, None);
        }
        let options = Arc::new(RunOptions::new()?);
        let running: Arc<dyn Stoppable> = Arc::new(Terminator::of(Target::Run(Arc::clone(&options))));
        under_limits(limits, watchdog, &running, || self.run_with(dims, images, outputs, Some(&options)))
    }

    fn run_with(
        &self,
        dims: &[usize],
        images: &[f32],
        outputs: &mut [OutputBuffer<'_>],
        options: Option<&RunOptions<NoSelectedOutputs>>,
    ) -> Result<(), EngineError> {
        let [input_name] = &self.names.inputs[..] else {
            return Err(failed("the graph has more inputs than one".to_owned()));
        };
        let names =
            outputs.iter().map(|output| self.output_name(output.name)).collect::<Result<Vec<_>, _>>()?;
        let input = TensorRef::from_array_view((dims, images))?;
        let values = outputs
            .iter_mut()
            .map(|output| Ok(TensorRefMut::from_array_view_mut((output.dims, &mut *output.data))?));
        let values = values.collect::<Result<Vec<_>, EngineError>>()?;
        let mut pointers: Vec<_> = values.iter().map(|value| value.ptr().cast_mut()).collect();
        let (input_names, inputs) = ([input_name.as_ptr()], [input.ptr()]);
        let options = options.map_or(ptr::null(), AsPointer::ptr);
        // SAFETY: the session lives as long as `self`, and may be run by any number of threads. Names are C strings that
        // live as long as `self` does, one for each value, and all values live until the call is over: `input` borrows
        // `images`, `values` borrow the outputs exclusively, and each has the dimensions of a slice that was checked
        // against them. `options` is null or a live handle. ONNX Runtime changes no value's handle that it is given.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                options,
                input_names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                names.as_ptr(),
                names.len(),
                pointers.as_mut_ptr(),
            )
        };
        checked(status)
    }

    fn output_name(&self, name: &str) -> Result<*const c_char, EngineError> {
        let found = self.names.outputs.iter().find(|known| known.to_bytes() == name.as_bytes());
        found.map(|known| known.as_ptr()).ok_or_else(|| failed(format!("the graph has no output `{name}`")))
    }

    /// Ends the profile of a session that was given a file for one, and says which file it was written to.
    pub(in crate::session) fn end_profile(&self) -> Result<PathBuf, EngineError> {
        let allocator = ort::memory::Allocator::default();
        let mut name: *mut c_char = ptr::null_mut();
        // SAFETY: session and allocator are live; ONNX Runtime guards its profiler by a lock. `name` receives a string that
        // the allocator frees.
        let status = unsafe {
            (ort::api().SessionEndProfiling)(
                self.session.ptr().cast_mut(),
                allocator.ptr().cast_mut(),
                &raw mut name,
            )
        };
        checked(status)?;
        if name.is_null() {
            return Err(failed("wrote no profile".to_owned()));
        }
        // SAFETY: ends in a zero byte (onnxruntime_c_api.h), and is read before it is freed.
        let path = PathBuf::from(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned());
        // SAFETY: it came from this allocator and is not used any more.
        checked(unsafe { (ort::api().AllocatorFree)(allocator.ptr().cast_mut(), name.cast()) })?;
        Ok(path)
    }
}

fn severity(level: LogLevel) -> ort::logging::LogLevel {
    match level {
        LogLevel::Debug => ort::logging::LogLevel::Verbose,
        LogLevel::Info => ort::logging::LogLevel::Info,
        LogLevel::Warning => ort::logging::LogLevel::Warning,
        LogLevel::Error => ort::logging::LogLevel::Error,
    }
}

fn logger(log: LogSink) -> LoggerFunction {
    Arc::new(move |level, _category, _id, place, message| {
        let level = match level {
            ort::logging::LogLevel::Verbose => LogLevel::Debug,
            ort::logging::LogLevel::Info => LogLevel::Info,
            ort::logging::LogLevel::Warning => LogLevel::Warning,
            ort::logging::LogLevel::Error | ort::logging::LogLevel::Fatal => LogLevel::Error,
        };
        log.say(level, &format!("{message} ({place})"));
    })
}

fn inner(session: &Session) -> Arc<SharedSessionInner> {
    session.inner()
}

fn c_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<CString>, EngineError> {
    let c_name = |name: &str| CString::new(name).map_err(|_| failed("a name has a zero byte".to_owned()));
    names.map(c_name).collect()
}

/// The error that a status holds; a null one is none.
fn checked(status: ort::sys::OrtStatusPtr) -> Result<(), EngineError> {
    let status = status.0;
    if status.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null is live until it is released, and its message ends in a zero byte.
    let message = unsafe { CStr::from_ptr((ort::api().GetErrorMessage)(status)) };
    let message = message.to_string_lossy().into_owned();
    // SAFETY: it is ours, and is not used any more.
    unsafe { (ort::api().ReleaseStatus)(status) };
    Err(failed(message))
}

fn failed(message: String) -> EngineError {
    EngineError::Failed { engine: "ONNX Runtime", message }
}

/// What is running.
enum Target {
    /// A run of a session.
    Run(Arc<RunOptions<NoSelectedOutputs>>),
    /// The building of a session.
    Load(LoadCanceler),
}

/// Ends what is running: at the next node of a graph, or the next step of building.
struct Terminator {
    target: Target,
    /// 0, or which reason came first.
    reason: AtomicU8,
}

impl Terminator {
    fn of(target: Target) -> Self {
        Self { target, reason: AtomicU8::new(0) }
    }
}

impl Stoppable for Terminator {
    fn stop(&self, reason: StopReason) {
        let number = match reason {
            StopReason::Cancelled => 1,
            StopReason::Deadline => 2,
        };
        // The reason that came first is the one that is said.
        let _ = self.reason.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst);
        // Setting a flag does not fail.
        let _ = match &self.target {
            Target::Run(options) => options.terminate(),
            Target::Load(canceler) => canceler.cancel(),
        };
    }

    fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(StopReason::Cancelled),
            _ => Some(StopReason::Deadline),
        }
    }
}
