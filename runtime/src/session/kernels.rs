//! The arithmetic of [`mimir_bundle::kernels`], each in one pass over memory, or two where a row must be known first.
//!
//! A row comes out the same to the last bit on every machine and wherever it stands: sums run in sixteen lanes and a
//! fixed order, and products are fused with sums where it says so and nowhere else.

mod attention;
mod bfloat16;
mod convolution;
mod exponential;
mod gelu;
mod image_gradient;
mod lanes;
mod max_pool;
mod panels;
mod product;
mod simd;
mod softmax;
mod transposition;
mod winograd;

use multiversion::multiversion;

use lanes::{sum, sum_of_products};

pub(super) use attention::{Heads, Tokens, attention, attention_gradient};
pub(super) use bfloat16::{Matrices, matmul_bfloat16, product_bfloat16};
pub(super) use convolution::{Axis, Convolution, Epilogue, Geometry, Packed};
pub(super) use gelu::{gelu, gelu_gradient};
pub(super) use image_gradient::{image_gradient, is_image_gradient};
pub(super) use max_pool::{PoolAxis, PoolWindows, max_pool_gradient};
pub(super) use panels::{Panels, product_float32};
pub(super) use softmax::{softmax, softmax_gradient};
pub(super) use winograd::{ChannelsFirst, Finish, Planes, winograd_conv};

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of unequal content, of a width that is no multiple of the lanes.
    pub(super) fn rows(width: usize, count: usize, step: f32) -> Vec<f32> {
        (0..width * count).map(|index| (index as f32 * step).sin()).collect()
    }

    #[test]
    fn rows_of_a_layer_normalization_follow_the_formula() {
        let (width, count) = (37, 3);
        let (g, y) = (rows(width, count, 0.7), rows(width, count, 1.3));
        let (mut normal, mut centred) = (vec![0.0; 111], vec![0.0; 111]);
        let inverse = [0.5, 2.0, 3.0];
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
                for (found, wanted) in [(normal[index], r * (bare - mean)), (centred[index], r * bare)] {
                    assert!((f64::from(found) - wanted).abs() < 1e-5, "{row}, {column}: {found}, {wanted}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let mut normal = [0.0; 3];
        layer_normalization_gradient(&[1.0, f32::NAN, 2.0], &[0.5; 3], &[1.0], true, &mut normal);
        assert!(normal.iter().all(|value| value.is_nan()));
    }
}
