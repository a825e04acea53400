//! The exact Gelu, `x·Φ(x)`, and its slope, `Φ(x) + x·φ(x)`.
//!
//! With `u = |x|/√2` and `t = 1/(1 + p·u)`: `1 − erf u = t·(a₁ + t·(a₂ + t·(a₃ + t·(a₄ + t·a₅))))·exp(−u²)` within
//! 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26), and `exp(−u²)` is what `φ` needs, so that the slope costs little more
//! than the function. Products are fused with sums.

use std::f32::consts::FRAC_1_SQRT_2;

use multiversion::multiversion;

use super::exponential::exp_nonpositive;

/// `1/√π`.
const FRAC_1_SQRT_PI: f32 = 0.564_189_6;

/// Where `u²` is larger, `exp(−u²)` is nothing: `x·Φ(x)` would be a denormal number, which takes many times as long to
/// multiply.
const FAR: f32 = 80.0;

/// `Φ(x)` and `x·φ(x)`, each within 2e-7.
#[inline(always)]
fn parts(x: f32) -> (f32, f32) {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [0.254_829_6, -0.284_496_74, 1.421_413_8, -1.453_152, 1.061_405_4];
    let scaled = x * FRAC_1_SQRT_2;
    let u = scaled.abs();
    let square = u * u;
    let bell = if square > FAR { 0.0 } else { exp_nonpositive(-square) };
    let t = 1.0 / P.mul_add(u, 1.0);
    let mut tail = A[4];
    for coefficient in [A[3], A[2], A[1], A[0]] {
        tail = tail.mul_add(t, coefficient);
    }
    let tail = 0.5 * (tail * t) * bell;
    let below = if x < 0.0 { tail } else { 1.0 - tail };
    (below, scaled * bell * FRAC_1_SQRT_PI)
}

#[inline(always)]
fn value(x: f32) -> f32 {
    x * parts(x).0
}

#[inline(always)]
fn slope(x: f32) -> f32 {
    let (below, weighted) = parts(x);
    below + weighted
}

/// `y = x·Φ(x)` of `x + bias`, and the slope there; all have the length of `x`. The bias is that of a row, and rows
/// follow each other; without one it is empty, and so is `slopes` where nobody wants them.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2+fma"))]
pub(in crate::session) fn gelu(x: &[f32], bias: &[f32], y: &mut [f32], slopes: &mut [f32]) {
    if bias.is_empty() {
        return row(x, |x, _| x, y, slopes);
    }
    let width = bias.len();
    let mut slopes = slopes.chunks_exact_mut(width);
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        row(x, |x, index| x + bias[index], y, slopes.next().unwrap_or_default());
    }
}

#[inline(always)]
fn row(x: &[f32], argument: impl Fn(f32, usize) -> f32, y: &mut [f32], slopes: &mut [f32]) {
    let count = x.len();
    let y = &mut y[..count];
    if slopes.is_empty() {
        for index in 0..count {
            y[index] = value(argument(x[index], index));
        }
        return;
    }
    let slopes = &mut slopes[..count];
    for index in 0..count {
        let x = argument(x[index], index);
        let (below, weighted) = parts(x);
        y[index] = x * below;
        slopes[index] = below + weighted;
    }
}

/// `g·(Φ(x) + x·φ(x))`; `dx` has the length of `g` and `x`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2+fma"))]
pub(in crate::session) fn gelu_gradient(g: &[f32], x: &[f32], dx: &mut [f32]) {
    let count = dx.len();
    let (g, x) = (&g[..count], &x[..count]);
    for index in 0..count {
        dx[index] = g[index] * slope(x[index]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Φ(x)` and `x·φ(x)` in 64 bits, `erf` by its series and, far out, its continued fraction.
    fn exact(x: f64) -> (f64, f64) {
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
        (0.5 * (1.0 + erf.copysign(x)), x * phi)
    }

    #[test]
    fn gelu_and_its_slope_are_those_of_64_bits() {
        for step in -6000..=6000 {
            let x = step as f32 / 500.0;
            let (below, weighted) = exact(f64::from(x));
            for (found, wanted) in [(slope(x), below + weighted), (value(x), f64::from(x) * below)] {
                let allowed = 3e-7 * wanted.abs().max(1.0);
                assert!((f64::from(found) - wanted).abs() < allowed, "{x}: {found}, wanted {wanted}");
            }
        }
        assert_eq!([value(40.0), slope(40.0)], [40.0, 1.0]);
        assert_eq!([value(-40.0), slope(-40.0)], [0.0, 0.0]);
    }

    #[test]
    fn no_value_is_a_denormal_number() {
        for step in 0..40_000 {
            let x = step as f32 / -1000.0;
            for number in [value(x), slope(x)] {
                assert!(number == 0.0 || number.is_normal(), "{x}: {number:e}");
            }
        }
    }

    #[test]
    fn a_bias_is_added_to_each_row() {
        let (x, bias) = ([-1.0, 0.5, 2.0, 0.25, -3.0, 1.0], [0.5, -0.5, 1.0]);
        let (mut y, mut slopes, mut alone) = ([0.0; 6], [0.0; 6], [0.0; 6]);
        gelu(&x, &bias, &mut y, &mut slopes);
        gelu(&x, &bias, &mut alone, &mut []);
        assert_eq!(y, alone);
        for index in 0..6 {
            let x = x[index] + bias[index % 3];
            assert_eq!((y[index], slopes[index]), (value(x), slope(x)));
        }
        gelu(&x, &[], &mut y, &mut slopes);
        assert_eq!((y[0], slopes[5]), (value(-1.0), slope(1.0)));
    }

    #[test]
    fn the_gradient_is_the_slope_times_the_cotangent() {
        let mut dx = [0.0; 2];
        gelu_gradient(&[2.0, -3.0], &[0.3, -0.7], &mut dx);
        assert_eq!(dx, [2.0 * slope(0.3), -3.0 * slope(-0.7)]);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let values = [1.0, f32::NAN, 2.0];
        let (mut y, mut slopes) = ([0.0; 3], [0.0; 3]);
        gelu(&values, &[], &mut y, &mut slopes);
        assert_eq!(y.map(f32::is_nan), [false, true, false]);
        assert_eq!(slopes.map(f32::is_nan), [false, true, false]);
        for (g, x) in [(values, [1.0; 3]), ([1.0; 3], values)] {
            gelu_gradient(&g, &x, &mut y);
            assert_eq!(y.map(f32::is_nan), [false, true, false]);
        }
    }
}
