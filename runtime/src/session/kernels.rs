//! The arithmetic of [`mimir_bundle::kernels`], each in one pass over memory, or two where a row must be known first.
//!
//! A row comes out the same to the last bit on every machine and wherever it stands: sums run in sixteen lanes and a fixed
//! order, and products are fused with sums where it says so and nowhere else.

mod exponential;
mod gelu;
mod layer_normalization;
mod max_pool;
mod softmax;

pub(super) use gelu::{gelu, gelu_gradient};
pub(super) use layer_normalization::{
    Normalised, layer_normalization_gradient, residual_layer_normalization,
};
pub(super) use max_pool::{Axis, Windows, max_pool_gradient};
pub(super) use softmax::{softmax, softmax_gradient};

/// Partial sums that run side by side.
const LANES: usize = 16;

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
    /// Rows of unequal content, of a width that is no multiple of the lanes.
    pub(super) fn rows(width: usize, count: usize, step: f32) -> Vec<f32> {
        (0..width * count).map(|index| (index as f32 * step).sin()).collect()
    }
}
