//! Callbacks of the caller.

use std::ffi::{c_char, c_void};

use mimir_certify::serve::{LogLevel, LogSink};

use crate::c_text::c_string;
use crate::error::mimir_error;
use crate::guard::{Result, or};

/// Takes a message.
pub type LogFunction = extern "C" fn(level: i32, message: *const c_char, payload: *mut c_void);

/// `mimir_log_callback` of the header.
pub type mimir_log_callback = Option<LogFunction>;

/// What the caller wants handed back to it. We never look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload(*mut c_void);

// SAFETY: the header tells the caller that callbacks come from any thread, so that what the payload points to must be
// usable there.
unsafe impl Send for Payload {}
// SAFETY: as above; several threads may call at once.
unsafe impl Sync for Payload {}

impl Payload {
    pub(crate) fn new(payload: *mut c_void) -> Self {
        Self(payload)
    }

    pub(crate) fn get(self) -> *mut c_void {
        self.0
    }
}

/// Hands messages of that level and above to a callback.
pub(crate) fn sink(callback: LogFunction, payload: *mut c_void, least: i32) -> Result<LogSink> {
    let payload = Payload::new(payload);
    Ok(LogSink::new(level_of(least)?, move |level, message| {
        // A panic must not pass through the engine's frames.
        or((), || callback(number_of(level), c_string(message).as_ptr(), payload.get()));
    }))
}

fn level_of(number: i32) -> Result<LogLevel> {
    match number {
        1 => Ok(LogLevel::Debug),
        2 => Ok(LogLevel::Info),
        3 => Ok(LogLevel::Warning),
        4 => Ok(LogLevel::Error),
        other => Err(mimir_error::argument(format!("level is {other}, which is no mimir_log_level"))),
    }
}

fn number_of(level: LogLevel) -> i32 {
    match level {
        LogLevel::Debug => 1,
        LogLevel::Info => 2,
        LogLevel::Warning => 3,
        LogLevel::Error => 4,
    }
}
