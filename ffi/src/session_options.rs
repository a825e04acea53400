//! `mimir_session_options`: how a model runs.

use std::ffi::{c_char, c_void};
use std::num::NonZero;
use std::time::Duration;

use mimir_certify::EngineChoice;
use mimir_certify::serve::{Batching, ServeOptions};

use crate::error::mimir_error;
use crate::guard::{Result, guarded, or};
use crate::logger::{mimir_log_callback, sink};
use crate::text::{read_path, read_text};

/// How a model runs.
#[derive(Debug, Clone, Default)]
pub struct mimir_session_options {
    pub(crate) serve: ServeOptions,
    /// Threads of calls that return at once; 1 where 0.
    pub(crate) workers: usize,
}

/// The most threads of one kind; more are a mistake.
const MOST_THREADS: usize = 1024;

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_new() -> Option<Box<mimir_session_options>> {
    or(None, || Some(Box::default()))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_delete(options: Option<Box<mimir_session_options>>) {
    or((), || drop(options));
}

fn set(
    options: Option<&mut mimir_session_options>,
    set: impl FnOnce(&mut mimir_session_options) -> Result<()>,
) -> Option<Box<mimir_error>> {
    guarded(|| set(options.ok_or_else(|| mimir_error::null("options"))?))
}

fn threads(name: &str, number: usize) -> Result<NonZero<usize>> {
    let number = NonZero::new(number).filter(|number| number.get() <= MOST_THREADS);
    number.ok_or_else(|| mimir_error::argument(format!("{name}: wanted 1 to {MOST_THREADS} threads")))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_engine(
    options: Option<&mut mimir_session_options>,
    engine: i32,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.engine = match engine {
            1 => EngineChoice::OnnxRuntime,
            2 => EngineChoice::Rten,
            3 => EngineChoice::Found,
            other => {
                return Err(mimir_error::argument(format!("engine is {other}, which is no mimir_engine")));
            }
        };
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_session_options_set_onnxruntime(
    options: Option<&mut mimir_session_options>,
    path: *const c_char,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        // SAFETY: the caller's promise.
        options.serve.library = Some(unsafe { read_path(path, "path") }?.to_owned());
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_session_options_set_device(
    options: Option<&mut mimir_session_options>,
    device: *const c_char,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        // SAFETY: the caller's promise.
        let text = unsafe { read_text(device, "device") }?;
        options.serve.device = text.parse().map_err(|error| mimir_error::argument(format!("{error}")))?;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_threads(
    options: Option<&mut mimir_session_options>,
    count: usize,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.threads = threads("threads", count)?;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_spinning(
    options: Option<&mut mimir_session_options>,
    spinning: bool,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.spinning = spinning;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_batching(
    options: Option<&mut mimir_session_options>,
    batching: i32,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.batching = match batching {
            1 => Batching::Dynamic,
            2 => Batching::Certified,
            other => {
                return Err(mimir_error::argument(format!(
                    "batching is {other}, which is no mimir_batching"
                )));
            }
        };
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_max_batch(
    options: Option<&mut mimir_session_options>,
    images: usize,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        let most = NonZero::new(images).filter(|images| images.get() <= 1 << 20);
        let wanted = || mimir_error::argument(format!("max_batch is {images}, wanted 1 to 1048576 images"));
        options.serve.max_batch = most.ok_or_else(wanted)?;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_memory_limit(
    options: Option<&mut mimir_session_options>,
    bytes: u64,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.memory_limit = (bytes > 0).then_some(bytes);
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_timeout(
    options: Option<&mut mimir_session_options>,
    milliseconds: u64,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.timeout = (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_warm_up(
    options: Option<&mut mimir_session_options>,
    calls: usize,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.warm_up = calls;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_features(
    options: Option<&mut mimir_session_options>,
    features: bool,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.features = features;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_profile(
    options: Option<&mut mimir_session_options>,
    profile: bool,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.profile = profile;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_workers(
    options: Option<&mut mimir_session_options>,
    count: usize,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.workers = threads("workers", count)?.get();
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_session_options_set_logger(
    options: Option<&mut mimir_session_options>,
    level: i32,
    callback: mimir_log_callback,
    payload: *mut c_void,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.serve.log = callback.map(|callback| sink(callback, payload, level)).transpose()?;
        Ok(())
    })
}
