//! Buffers of the caller: pointer, length, alignment and size are checked before they become slices.

use crate::error::mimir_error;
use crate::guard::Result;

/// What the caller lets be read.
///
/// # Safety
/// `data` is null, or `len` elements lie there that nobody writes while the call runs.
pub(crate) unsafe fn read<'a, T>(data: *const T, len: usize, name: &str) -> Result<&'a [T]> {
    check(data, len, name)?;
    // SAFETY: not null, aligned, not larger than a slice may be, and the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// What the caller lets be written.
///
/// # Safety
/// `data` is null, or there is room for `len` elements that nobody else uses while the call runs. They need not be
/// initialised: only types of which every bit pattern is a value come here.
pub(crate) unsafe fn write<'a, T: Plain>(data: *mut T, len: usize, name: &str) -> Result<&'a mut [T]> {
    check(data, len, name)?;
    // SAFETY: as in `read`.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, len) })
}

/// Types of which every bit pattern is a value.
pub(crate) trait Plain {}

impl Plain for f32 {}
impl Plain for u8 {}
impl Plain for usize {}

fn check<T>(data: *const T, len: usize, name: &str) -> Result<()> {
    if data.is_null() {
        return Err(mimir_error::null(name));
    }
    if !data.is_aligned() {
        let wanted = align_of::<T>();
        return Err(mimir_error::argument(format!("{name} is not aligned to {wanted} bytes")));
    }
    let bytes = len.checked_mul(size_of::<T>()).filter(|bytes| isize::try_from(*bytes).is_ok());
    match bytes.and_then(|bytes| (data as usize).checked_add(bytes)) {
        Some(_) => Ok(()),
        None => Err(mimir_error::argument(format!("{name}: {len} elements are more than memory has"))),
    }
}

/// Input and output do not share memory.
pub(crate) fn check_apart<S, T>(input: (*const S, usize), output: (*const T, usize)) -> Result<()> {
    let range = |start: usize, bytes: usize| start..start.saturating_add(bytes);
    let (input, output) = (
        range(input.0 as usize, input.1.saturating_mul(size_of::<S>())),
        range(output.0 as usize, output.1.saturating_mul(size_of::<T>())),
    );
    if input.start < output.end && output.start < input.end {
        return Err(mimir_error::argument("input and output overlap"));
    }
    Ok(())
}

/// The number of elements that a call must have: `count` images of `each`.
pub(crate) fn expect_len(name: &str, len: usize, count: usize, each: usize) -> Result<()> {
    if count == 0 {
        return Err(mimir_error::argument("batch is 0, wanted at least 1"));
    }
    if count.checked_mul(each) == Some(len) {
        return Ok(());
    }
    Err(mimir_error::argument(format!("{name}: {len} elements, wanted {count} images x {each}")))
}
