//! Which library this is.

use std::ffi::{CStr, c_char};

use mimir_runtime::session::{Engine, EngineKind};
use serde_json::{Value, json};

use crate::error::mimir_error;
use crate::guard::guarded;
use crate::text::{read_path, write_text};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_version() -> *const c_char {
    VERSION.as_ptr()
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_abi_version() -> i32 {
    // A number of one digit or two, which build.rs reads from the header.
    const TEXT: &[u8] = env!("MIMIR_ABI_VERSION").as_bytes();
    TEXT.iter().fold(0, |number, digit| 10 * number + i32::from(digit - b'0'))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_build_info(
    buffer: *mut c_char,
    capacity: usize,
    needed: Option<&mut usize>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let onnx_runtime = Engine::loaded().map(|engine| {
            json!({
                "version": engine.version(),
                "path": engine.library_path().ok().flatten().map(|path| path.display().to_string()),
            })
        });
        let info = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "abi_version": mimir_abi_version(),
            "commit": mimir_certify::COMMIT,
            "target": env!("MIMIR_TARGET"),
            "attacks": cfg!(feature = "attacks"),
            "rten": Engine::rten().version(),
            "onnxruntime": onnx_runtime.unwrap_or(Value::Null),
        });
        // SAFETY: the caller's promise.
        unsafe { write_text(&info.to_string(), buffer, capacity, needed) }
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_onnxruntime_load(path: *const c_char) -> Option<Box<mimir_error>> {
    guarded(|| {
        // SAFETY: the caller's promise.
        let path = (!path.is_null()).then(|| unsafe { read_path(path, "path") }).transpose()?;
        let engine = Engine::load(path)?;
        debug_assert_eq!(engine.kind(), EngineKind::OnnxRuntime);
        Ok(())
    })
}
