//! Text as C has it.

use std::ffi::CString;

/// A text for C. Zero bytes, which C cannot hold, are left out.
pub(crate) fn c_string(text: &str) -> CString {
    let bytes: Vec<u8> = text.bytes().filter(|byte| *byte != 0).collect();
    CString::new(bytes).unwrap_or_default()
}
