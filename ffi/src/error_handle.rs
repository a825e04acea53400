//! What C asks of an error.

use std::ffi::c_char;
use std::ptr;

use crate::error::mimir_error;
use crate::guard::or;

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_error_code(error: Option<&mimir_error>) -> i32 {
    error.map_or(0, |error| error.code() as i32)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_error_message(error: Option<&mimir_error>) -> *const c_char {
    error.map_or(c"".as_ptr(), |error| error.message().as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_error_requirement_count(error: Option<&mimir_error>) -> usize {
    error.map_or(0, |error| error.requirements().len())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_error_requirement(error: Option<&mimir_error>, index: usize) -> *const c_char {
    let requirement = error.and_then(|error| error.requirements().get(index));
    requirement.map_or(ptr::null(), |text| text.as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_error_delete(error: Option<Box<mimir_error>>) {
    or((), || drop(error));
}
