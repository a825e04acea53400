//! What every function runs inside: no panic reaches C.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Code, mimir_error};

/// A result of this crate.
pub(crate) type Result<T> = std::result::Result<T, mimir_error>;

/// Runs the body of a function that can fail: null, or the error. A panic is an error.
pub(crate) fn guarded(run: impl FnOnce() -> Result<()>) -> Option<Box<mimir_error>> {
    // What a panic left half done is not seen again: handles are changed only at the end of a call.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Box::new(error)),
        Err(panic) => Some(Box::new(internal(panic.as_ref()))),
    }
}

/// Runs the body of a function that cannot fail. If it panics nevertheless, the answer is `fallback`.
pub(crate) fn or<T>(fallback: T, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(fallback)
}

/// As [`guarded`], for a function whose result is a handle.
pub(crate) fn made<T>(
    out: Option<&mut *mut T>,
    make: impl FnOnce() -> Result<T>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let out = out.ok_or_else(|| mimir_error::null("out"))?;
        *out = Box::into_raw(Box::new(make()?));
        Ok(())
    })
}

fn internal(panic: &(dyn Any + Send)) -> mimir_error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    mimir_error::new(Code::Internal, format!("a fault of libmimir_runtime, please report it: {text}"))
}
