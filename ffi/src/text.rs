//! Text in and out.

use std::ffi::{CStr, c_char};
use std::path::Path;

use crate::c_text::c_string;
use crate::error::mimir_error;
use crate::guard::Result;

/// A text of the caller.
///
/// # Safety
/// `text` is null or ends in a zero byte, and is not changed while the call runs.
pub(crate) unsafe fn read_text<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(mimir_error::null(name));
    }
    // SAFETY: not null, and the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|error| mimir_error::argument(format!("{name} is no UTF-8: {error}")))
}

/// A path of the caller.
///
/// # Safety
/// As [`read_text`].
pub(crate) unsafe fn read_path<'a>(path: *const c_char, name: &str) -> Result<&'a Path> {
    // SAFETY: the caller's promise.
    let path = unsafe { read_text(path, name) }?;
    match path {
        "" => Err(mimir_error::argument(format!("{name} is empty"))),
        path => Ok(Path::new(path)),
    }
}

/// Writes a text with a zero byte at its end, if it fits, and how much room it needs.
///
/// # Safety
/// `buffer` is null, or has room for `capacity` bytes.
pub(crate) unsafe fn write_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    needed: Option<&mut usize>,
) -> Result<()> {
    if buffer.is_null() && capacity > 0 {
        return Err(mimir_error::argument(format!("buffer is NULL, its capacity {capacity}")));
    }
    let text = c_string(text);
    let bytes = text.as_bytes_with_nul();
    let needed = needed.ok_or_else(|| mimir_error::null("needed"))?;
    *needed = bytes.len();
    if bytes.len() <= capacity {
        // SAFETY: there is room for `capacity` bytes, and a text that was just made lies elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), buffer, bytes.len()) };
    }
    Ok(())
}
