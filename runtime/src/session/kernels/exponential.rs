//! The exponential function of what is not positive.

use std::f32::consts::{LN_2, LOG2_E};

/// Arguments below give the exponential of this one, 1.6e-38: the least that is not a denormal number.
pub(super) const LEAST: f32 = -87.0;

/// `eˣ` for `x ≤ 0`, within three units in the last place; below [`LEAST`] that of [`LEAST`].
#[inline(always)]
pub(super) fn exp_of_negative(x: f32) -> f32 {
    /// Added to a number of small magnitude, it leaves the nearest integer in the low bits.
    const ROUNDER: f32 = 12_582_912.0;
    /// `ln 2` in two parts: multiples of the first are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // A comparison that fails keeps what is not a number.
    let x = if x < LEAST { LEAST } else { x };
    let shifted = x.mul_add(LOG2_E, ROUNDER);
    let whole = shifted - ROUNDER;
    let rest = whole.mul_add(-LN_2_LOW, whole.mul_add(-LN_2_HIGH, x));
    debug_assert!(rest.is_nan() || rest.abs() < 0.51 * LN_2);
    // Taylor's polynomial: |rest| < 0.35 leaves 6e-9.
    let mut value = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0_f32] {
        value = f32::mul_add(value, rest, coefficient);
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    value * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_64_bits() {
        for step in 0..=8700 {
            let x = -(step as f32) / 100.0;
            let (found, wanted) = (f64::from(exp_of_negative(x)), f64::from(x).exp());
            assert!((found / wanted - 1.0).abs() < 3e-7, "{x}: {found}, wanted {wanted}");
        }
        assert_eq!(exp_of_negative(f32::NEG_INFINITY), exp_of_negative(LEAST));
        assert!(exp_of_negative(f32::NAN).is_nan());
    }
}
