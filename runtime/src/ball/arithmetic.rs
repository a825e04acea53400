//! Small arithmetic that the loops over pixels share.

/// Keeps a norm of zero from dividing by zero; far below any norm of an image.
pub(super) const TINY: f32 = 1e-12;

/// Partial sums that run side by side: enough to hide the latency of an addition of `f64` vectors. Sums over pixels run
/// in `f64` and in this fixed order, so that the last bit never depends on the machine's vector width.
pub(super) const LANES: usize = 16;

/// Two factors that, one after the other, bring a vector of length `from` to the length `to`: the first is a power of two
/// that brings it near one. A gradient may have any scale: one factor could overflow, and a small number that is added
/// to the length would shorten the step of a confident image. Both are zero where `from` is.
pub(super) fn factors_to_length(to: f32, from: f64) -> [f32; 2] {
    // The exponent of a normal number of f64, between those of the smallest and of the largest number of f32.
    let exponent = ((from.to_bits() >> 52) as i64 - 1023).clamp(-126, 126);
    let power = f64::from_bits(((1023 - exponent) as u64) << 52);
    let length = (from * power) as f32;
    if length > 0.0 { [power as f32, to / length] } else { [0.0; 2] }
}

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
