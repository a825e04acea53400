//! The arithmetic of [`mimir_bundle::kernels`], each in one pass over memory.
//!
//! A row comes out the same to the last bit on every machine and wherever it stands: sums run in sixteen lanes and a fixed
//! order, and nothing is contracted to a fused multiply-add.

mod max_pool;

use std::f32::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E};

use multiversion::multiversion;

pub(super) use max_pool::{Axis, Windows, max_pool_gradient};

/// Partial sums that run side by side.
const LANES: usize = 16;

/// `g·(Φ(x) + x·φ(x))`; `dx` has the length of `g` and `x`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn gelu_gradient(g: &[f32], x: &[f32], dx: &mut [f32]) {
    let count = dx.len();
    let (g, x) = (&g[..count], &x[..count]);
    for index in 0..count {
        dx[index] = g[index] * gelu_slope(x[index]);
    }
}

/// `1/√π`.
const FRAC_1_SQRT_PI: f32 = 0.564_189_6;

/// `Φ(x) + x·φ(x)`, within 2e-7.
///
/// With `u = |x|/√2` and `t = 1/(1 + p·u)`: `1 − erf u = t·(a₁ + t·(a₂ + t·(a₃ + t·(a₄ + t·a₅))))·exp(−u²)` within 1.5e-7
/// (Abramowitz and Stegun 1964, 7.1.26), and `exp(−u²)` is needed for `φ` anyway.
#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [0.254_829_6, -0.284_496_74, 1.421_413_8, -1.453_152, 1.061_405_4];
    let scaled = x * FRAC_1_SQRT_2;
    let u = scaled.abs();
    let bell = exp_of_negative(-(u * u));
    let t = 1.0 / (1.0 + P * u);
    let tail = 0.5 * (t * (A[0] + t * (A[1] + t * (A[2] + t * (A[3] + t * A[4]))))) * bell;
    let below = if x < 0.0 { tail } else { 1.0 - tail };
    below + scaled * bell * FRAC_1_SQRT_PI
}

/// `eˣ` for `x ≤ 0`, within three units in the last place; below -87 that of -87, which is 1.6e-38.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    /// Added to a number of small magnitude, it leaves the nearest integer in the low bits.
    const ROUNDER: f32 = 12_582_912.0;
    /// `ln 2` in two parts: multiples of the first are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // A comparison that fails keeps what is not a number.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    debug_assert!(rest.is_nan() || rest.abs() < 0.51 * LN_2);
    // Taylor's polynomial: |rest| < 0.35 leaves 6e-9.
    let mut value = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        value = value * rest + coefficient;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    value * power
}

/// `r·(h − mean h − x̂·mean(h·x̂))` for rows of `h` as long as `h` is to `r`; `mean h` is zero where it says so.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn layer_normalization_gradient(
    h: &[f32],
    normalised: &[f32],
    inverse_deviation: &[f32],
    mean_is_zero: bool,
    dx: &mut [f32],
) {
    let width = h.len() / inverse_deviation.len().max(1);
    let rows = h.chunks_exact(width.max(1)).zip(normalised.chunks_exact(width.max(1)));
    for (((h, normalised), r), dx) in rows.zip(inverse_deviation).zip(dx.chunks_exact_mut(width.max(1))) {
        let correlation = sum_of_products(h, normalised) / width as f32;
        let mean = if mean_is_zero { 0.0 } else { sum(h) / width as f32 };
        for index in 0..width {
            dx[index] = (h[index] - mean - normalised[index] * correlation) * r;
        }
    }
}

/// `(g − Σ g·y)·y` for rows of that width.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn softmax_gradient(g: &[f32], y: &[f32], width: usize, dx: &mut [f32]) {
    let width = width.max(1);
    for ((g, y), dx) in g.chunks_exact(width).zip(y.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
        let total = sum_of_products(g, y);
        for index in 0..width {
            dx[index] = (g[index] - total) * y[index];
        }
    }
}

#[inline(always)]
fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[lane] += a * b;
    }
    add_up(lanes)
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (values, rest) = values.as_chunks::<LANES>();
    for values in values {
        for lane in 0..LANES {
            lanes[lane] += values[lane];
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        lanes[lane] += value;
    }
    add_up(lanes)
}

/// The sum of the lanes, halving them.
#[inline(always)]
fn add_up(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Φ(x) + x·φ(x)` in 64 bits, `erf` by its series and, far out, its continued fraction.
    fn slope(x: f64) -> f64 {
        let u = x.abs() / std::f64::consts::SQRT_2;
        let erf = if u < 3.0 {
            let mut term = u;
            let mut sum = u;
            for n in 1..200 {
                term *= -u * u / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        } else {
            let fraction = (1..60).rev().fold(0.0, |below, n| f64::from(n) / 2.0 / (u + below));
            1.0 - (-u * u).exp() / (u + fraction) * std::f64::consts::FRAC_2_SQRT_PI / 2.0
        };
        let phi = (-u * u).exp() * std::f64::consts::FRAC_2_SQRT_PI / 2.0 / std::f64::consts::SQRT_2;
        0.5 * (1.0 + erf.copysign(x)) + x * phi
    }

    #[test]
    fn the_slope_of_gelu_is_that_of_64_bits() {
        for step in -6000..=6000 {
            let x = step as f32 / 500.0;
            let (found, wanted) = (f64::from(gelu_slope(x)), slope(f64::from(x)));
            assert!((found - wanted).abs() < 3e-7, "{x}: {found}, wanted {wanted}");
        }
        assert_eq!(gelu_slope(40.0), 1.0);
        assert!(gelu_slope(-40.0).abs() < 1e-35);
    }

    #[test]
    fn the_exponential_is_that_of_64_bits() {
        for step in 0..=8700 {
            let x = -(step as f32) / 100.0;
            let (found, wanted) = (f64::from(exp_of_negative(x)), f64::from(x).exp());
            assert!((found / wanted - 1.0).abs() < 3e-7, "{x}: {found}, wanted {wanted}");
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let (mut slope, mut share, mut normal) = ([0.0; 3], [0.0; 3], [0.0; 3]);
        let values = [1.0, f32::NAN, 2.0];
        gelu_gradient(&values, &[1.0; 3], &mut slope);
        assert_eq!(slope.map(f32::is_nan), [false, true, false]);
        gelu_gradient(&[1.0; 3], &values, &mut slope);
        assert_eq!(slope.map(f32::is_nan), [false, true, false]);
        softmax_gradient(&values, &[0.5; 3], 3, &mut share);
        assert!(share.iter().all(|value| value.is_nan()));
        layer_normalization_gradient(&values, &[0.5; 3], &[1.0], true, &mut normal);
        assert!(normal.iter().all(|value| value.is_nan()));
    }

    /// Rows of unequal content, of a width that is no multiple of the lanes.
    fn rows(width: usize, count: usize, step: f32) -> Vec<f32> {
        (0..width * count).map(|index| (index as f32 * step).sin()).collect()
    }

    #[test]
    fn rows_follow_their_formulas() {
        let (width, count) = (37, 3);
        let (g, y) = (rows(width, count, 0.7), rows(width, count, 1.3));
        let (mut share, mut normal, mut centred) = (vec![0.0; 111], vec![0.0; 111], vec![0.0; 111]);
        let inverse = [0.5, 2.0, 3.0];
        softmax_gradient(&g, &y, width, &mut share);
        layer_normalization_gradient(&g, &y, &inverse, false, &mut normal);
        layer_normalization_gradient(&g, &y, &inverse, true, &mut centred);
        for (row, r) in inverse.into_iter().map(f64::from).enumerate() {
            let part = row * width..(row + 1) * width;
            let (g, y) = (&g[part.clone()], &y[part.clone()]);
            let total: f64 = g.iter().zip(y).map(|(g, y)| f64::from(*g) * f64::from(*y)).sum();
            let mean = g.iter().map(|g| f64::from(*g)).sum::<f64>() / width as f64;
            for (column, index) in part.enumerate() {
                let (g, y) = (f64::from(g[column]), f64::from(y[column]));
                let bare = g - y * total / width as f64;
                for (found, wanted) in [
                    (share[index], (g - total) * y),
                    (normal[index], r * (bare - mean)),
                    (centred[index], r * bare),
                ] {
                    assert!((f64::from(found) - wanted).abs() < 1e-5, "{row}, {column}: {found}, {wanted}");
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_place() {
        let (g, y) = (rows(37, 1, 0.7), rows(37, 1, 1.3));
        let (twice_g, twice_y) = ([&g[..], &g[..]].concat(), [&y[..], &y[..]].concat());
        let mut share = vec![0.0; 74];
        softmax_gradient(&twice_g, &twice_y, 37, &mut share);
        assert_eq!(share[..37], share[37..]);
    }
}
