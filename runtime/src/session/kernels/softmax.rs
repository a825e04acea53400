//! Softmax over rows, and its gradient.

use multiversion::multiversion;

use super::exponential::{LEAST, exp_nonpositive};
use super::lanes::{LANES, add_up, sum_of_products};

/// `exp(x − max x) / Σ exp(x − max x)` for rows of that width.
///
/// Results that would be denormal numbers are flushed to zero. Attention masked by adding -100 (Swin) has many of them,
/// and the matrix product that follows took twenty times as long with them (ONNX Runtime 1.32).
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2+fma"))]
pub(in crate::session) fn softmax(x: &[f32], width: usize, y: &mut [f32]) {
    let width = width.max(1);
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let most = largest(x);
        let total = exponentials(x, most, y);
        let inverse = 1.0 / total;
        for share in y {
            let scaled = *share * inverse;
            *share = if scaled < f32::MIN_POSITIVE { 0.0 } else { scaled };
        }
    }
}

/// The largest number of a row.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (groups, rest) = x.as_chunks::<LANES>();
    for group in groups.iter().chain([&padded(rest)]) {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], group[lane]);
        }
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, larger)
}

/// The last numbers of a row, padded with -∞, whose exponential is zero.
#[inline(always)]
fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}

/// Writes `exp(x − most)` and returns the sum.
#[inline(always)]
fn exponentials(x: &[f32], most: f32, y: &mut [f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks_mut::<LANES>());
    let mut last = [0.0; LANES];
    for (x, y) in x.iter().chain([&padded(x_rest)]).zip(y.iter_mut().chain([&mut last])) {
        for lane in 0..LANES {
            y[lane] = exponential(x[lane] - most);
            lanes[lane] += y[lane];
        }
    }
    y_rest.copy_from_slice(&last[..y_rest.len()]);
    add_up(lanes)
}

#[inline(always)]
fn exponential(x: f32) -> f32 {
    if x < LEAST { 0.0 } else { exp_nonpositive(x) }
}

/// `(g − Σ g·y)·y` for rows of that width.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(in crate::session) fn softmax_gradient(g: &[f32], y: &[f32], width: usize, dx: &mut [f32]) {
    let width = width.max(1);
    for ((g, y), dx) in g.chunks_exact(width).zip(y.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
        let total = sum_of_products(g, y);
        for index in 0..width {
            dx[index] = (g[index] - total) * y[index];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows;
    use super::*;

    #[test]
    fn rows_add_up_to_one_and_follow_the_exponential() {
        for width in [1, 5, 16, 37] {
            let x: Vec<f32> = rows(width, 3, 0.7).iter().map(|x| 20.0 * x).collect();
            let mut y = vec![f32::NAN; x.len()];
            softmax(&x, width, &mut y);
            for (x, y) in x.chunks(width).zip(y.chunks(width)) {
                let most = x.iter().copied().fold(f32::MIN, f32::max);
                let exponentials: Vec<f64> = x.iter().map(|x| f64::from(x - most).exp()).collect();
                let total: f64 = exponentials.iter().sum();
                for (found, exponential) in y.iter().zip(exponentials) {
                    let (found, wanted) = (f64::from(*found), exponential / total);
                    assert!((found - wanted).abs() < 1e-6 * wanted, "{width}: {found}, wanted {wanted}");
                }
            }
        }
    }

    #[test]
    fn denormal_results_are_flushed_to_zero() {
        let mut y = [f32::NAN; 5];
        softmax(&[0.0, -100.0, -80.0, f32::NEG_INFINITY, 0.0], 5, &mut y);
        assert_eq!(y, [0.5, 0.0, exp_nonpositive(-80.0) * 0.5, 0.0, 0.5]);
        softmax(&[0.0, -87.0, 0.0, 0.0, 0.0], 5, &mut y);
        assert_eq!(y, [0.25, 0.0, 0.25, 0.25, 0.25]);
    }

    #[test]
    fn what_is_not_a_number_takes_its_row_along() {
        let mut y = [0.0; 6];
        softmax(&[1.0, f32::NAN, 2.0, 1.0, 1.0, 1.0], 3, &mut y);
        assert_eq!(y.map(f32::is_nan), [true, true, true, false, false, false]);
        softmax(&[f32::NEG_INFINITY; 6], 3, &mut y);
        assert!(y.iter().all(|share| share.is_nan()));
        softmax_gradient(&[1.0, f32::NAN, 2.0], &[0.5; 3], 3, &mut y[..3]);
        assert!(y[..3].iter().all(|value| value.is_nan()));
    }

    #[test]
    fn the_gradient_follows_its_formula() {
        let (width, count) = (37, 3);
        let (g, y) = (rows(width, count, 0.7), rows(width, count, 1.3));
        let mut dx = vec![0.0; width * count];
        softmax_gradient(&g, &y, width, &mut dx);
        for ((g, y), dx) in g.chunks(width).zip(y.chunks(width)).zip(dx.chunks(width)) {
            let total: f64 = g.iter().zip(y).map(|(g, y)| f64::from(*g) * f64::from(*y)).sum();
            for ((g, y), found) in g.iter().zip(y).zip(dx) {
                let wanted = (f64::from(*g) - total) * f64::from(*y);
                assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found}, wanted {wanted}");
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_place() {
        let (g, y) = (rows(37, 1, 0.7), rows(37, 1, 1.3));
        let (twice_g, twice_y) = ([&g[..], &g[..]].concat(), [&y[..], &y[..]].concat());
        let mut results = vec![0.0; 74];
        softmax_gradient(&twice_g, &twice_y, 37, &mut results);
        assert_eq!(results[..37], results[37..]);
        softmax(&twice_g, 37, &mut results);
        assert_eq!(results[..37], results[37..]);
    }
}
