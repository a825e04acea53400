//! Whether float32 products on CUDA may use TensorFloat-32, a switch that tch does not offer (`shim/tf32.cpp`).

#[expect(unsafe_code, reason = "calls into libtorch that tch does not wrap")]
unsafe extern "C" {
    fn mimir_allow_tf32(allow: bool);
    fn mimir_tf32_is_allowed() -> bool;
}

/// Allows or forbids it for matrix products and convolutions.
pub(crate) fn allow(allow: bool) {
    #[expect(unsafe_code, reason = "a call into libtorch that tch does not wrap")]
    // SAFETY: sets two flags of libtorch's global context.
    unsafe {
        mimir_allow_tf32(allow);
    }
}

fn is_allowed() -> bool {
    #[expect(unsafe_code, reason = "a call into libtorch that tch does not wrap")]
    // SAFETY: reads a flag of libtorch's global context.
    unsafe {
        mimir_tf32_is_allowed()
    }
}

/// Runs `work` with products in whole float32: 10 bits of mantissa are too few where large numbers cancel.
pub(crate) fn without<R>(work: impl FnOnce() -> R) -> R {
    if !is_allowed() {
        return work();
    }
    allow(false);
    let result = work();
    allow(true);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_whole_inside_and_as_before_after() {
        assert!(!is_allowed(), "libtorch forbids it by default");
        assert!(!without(is_allowed));
        allow(true);
        assert!(is_allowed());
        assert!(!without(is_allowed));
        assert!(is_allowed());
        allow(false);
    }
}
