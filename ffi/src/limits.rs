//! `mimir_limits`: what ends a call before it has finished.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mimir_certify::serve::{CallLimits, Cancellation};

use crate::error::mimir_error;
use crate::guard::{guarded, or};

/// A time for each call, and a switch that ends all of them.
#[derive(Debug, Default)]
pub struct mimir_limits {
    timeout: Option<Duration>,
    cancellation: Arc<Cancellation>,
}

impl mimir_limits {
    /// When a call that begins now must have ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        // A time so long that no clock has it is none.
        self.timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }

    /// What cancels its calls, for those that outlive the handle.
    pub(crate) fn cancellation(&self) -> Arc<Cancellation> {
        Arc::clone(&self.cancellation)
    }
}

/// Makes a call within limits that begin now.
pub(crate) fn within<T>(limits: Option<&mimir_limits>, call: impl FnOnce(&CallLimits<'_>) -> T) -> T {
    match limits {
        None => call(&CallLimits::default()),
        Some(limits) => {
            let cancellations = [&*limits.cancellation];
            call(&CallLimits { deadline: limits.deadline(), cancellations: &cancellations })
        }
    }
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_limits_new() -> Option<Box<mimir_limits>> {
    or(None, || Some(Box::default()))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_limits_set_timeout(
    limits: Option<&mut mimir_limits>,
    milliseconds: u64,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let limits = limits.ok_or_else(|| mimir_error::null("limits"))?;
        limits.timeout = (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_limits_cancel(limits: Option<&mimir_limits>) {
    or((), || {
        if let Some(limits) = limits {
            limits.cancellation.cancel();
        }
    });
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_limits_delete(limits: Option<Box<mimir_limits>>) {
    or((), || drop(limits));
}
