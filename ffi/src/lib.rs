//! `libmimir_runtime`: the C interface. `include/mimir.h` is its specification; here is only what translates.
//!
//! Each function takes its arguments apart, calls [`mimir_certify::serve`] or another library of ours, and makes an error
//! object of what went wrong. All of them run inside one guard that catches panics ([`guard`]). References and boxes in the
//! signatures are pointers in C: `Option<&T>` is a `const T *` that may be null, `Option<&mut *mut T>` a `T **`, and
//! `Option<Box<T>>` an owned `T *`. Rust and header are held together by a test, which lets a C compiler compare them.
#![allow(
    unsafe_code,
    non_camel_case_types,
    clippy::missing_safety_doc,
    reason = "a C interface; include/mimir.h says what each function asks of its caller"
)]
#![warn(unsafe_op_in_unsafe_fn)]

mod c_text;
pub mod certificate;
#[cfg(feature = "attacks")]
pub mod certify;
#[cfg(feature = "attacks")]
pub mod certify_options;
pub mod error;
pub mod error_handle;
#[cfg(feature = "attacks")]
pub mod evaluation;
mod guard;
mod input;
pub mod limits;
pub mod logger;
pub mod model;
pub mod output;
pub mod policy;
pub mod request;
pub mod session;
pub mod session_options;
mod text;
pub mod version;
mod workers;
