//! Small arithmetic that the loops over pixels share.

/// Keeps a norm of zero from dividing by zero; far below any norm of an image.
pub(super) const TINY: f32 = 1e-12;

/// Partial sums that run side by side: enough to hide the latency of an addition of `f64` vectors. Sums over pixels run
/// in `f64` and in this fixed order, so that the last bit never depends on the machine's vector width.
pub(super) const LANES: usize = 16;

/// `v` cut to `[0, 1]`.
#[inline(always)]
pub(super) fn unit_box(value: f32) -> f32 {
    at_most(at_least(value, 0.0), 1.0)
}

/// Larger of two numbers: one instruction, where `f32::max` also has rules for NaN.
#[inline(always)]
pub(super) fn at_least(value: f32, bound: f32) -> f32 {
    if value > bound { value } else { bound }
}

/// Smaller of two numbers: one instruction, where `f32::min` also has rules for NaN.
#[inline(always)]
pub(super) fn at_most(value: f32, bound: f32) -> f32 {
    if value < bound { value } else { bound }
}
