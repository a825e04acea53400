//! The exponential of numbers that are not positive, as Softmax and Gelu need it.
//!
//! The usual range reduction: `eˣ = 2ⁿ · eʳ` with `n` the integer nearest to `x / ln 2` and `|r| ≤ (ln 2) / 2`. A
//! polynomial gives `eʳ`, and `2ⁿ` is written into the exponent bits of a float. No branches, so that loops over it
//! vectorise.

use std::f32::consts::{LN_2, LOG2_E};

/// Smaller arguments are treated as this one. Its exponential, 1.6e-38, is just above the smallest normal number
/// (1.2e-38), so no result is denormal.
pub(super) const LEAST: f32 = -87.0;

/// 1.5 · 2²³: adding it to a number of small magnitude rounds that to the nearest integer, which stands in the low
/// bits of the sum.
pub(super) const ROUNDER: f32 = 12_582_912.0;

/// `ln 2` as a sum of two parts (Cody and Waite): the first has so few bits that its product with `n` is exact.
pub(super) const LN_2_HIGH: f32 = 0.693_359_4;
pub(super) const LN_2_LOW: f32 = -2.121_944_4e-4;

/// The Taylor polynomial of degree 7, the highest coefficient first: its error is below 6e-9 for arguments below 0.35.
pub(super) const FIRST_COEFFICIENT: f32 = 1.0 / 5040.0;
pub(super) const COEFFICIENTS: [f32; 7] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// `eˣ` for `x ≤ 0`, within three units in the last place; for `x` below [`LEAST`], the exponential of [`LEAST`].
#[inline(always)]
pub(super) fn exp_nonpositive(x: f32) -> f32 {
    // Not `f32::max`: a NaN fails the comparison and stays NaN.
    let x = if x < LEAST { LEAST } else { x };
    let shifted = x.mul_add(LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let rest = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
    debug_assert!(rest.is_nan() || rest.abs() < 0.51 * LN_2);
    let mut value = FIRST_COEFFICIENT;
    for coefficient in COEFFICIENTS {
        value = f32::mul_add(value, rest, coefficient);
    }
    // 2ⁿ: the low bits of `shifted` hold n, which is added to the exponent of 1.
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
            let (found, wanted) = (f64::from(exp_nonpositive(x)), f64::from(x).exp());
            assert!((found / wanted - 1.0).abs() < 3e-7, "{x}: {found}, wanted {wanted}");
        }
        assert_eq!(exp_nonpositive(f32::NEG_INFINITY), exp_nonpositive(LEAST));
        assert!(exp_nonpositive(f32::NAN).is_nan());
    }
}
