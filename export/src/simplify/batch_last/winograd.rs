//! Weights of 3×3 windows for tiles of 4×4 outputs, in the order of the kernel.

use mimir_bundle::kernels::{POINTS, winograd_weights};

/// Outputs of a tile along an axis.
pub(super) const TILE: usize = 4;

/// Outputs that the kernel computes side by side.
pub(super) const BLOCK: usize = 8;

/// With fewer, transforms cost more than products.
pub(super) const FEWEST_CHANNELS: usize = 8;

/// Dimensions of the weights, `[outputs/8, 36, channels, 8]`.
pub(super) fn dims(channels: usize, outputs: usize) -> [usize; 4] {
    [outputs / BLOCK, POINTS, channels, BLOCK]
}

/// Transformed weights of those of a Conv, `[outputs, channels, 3, 3]`.
pub(super) fn transformed(weights: &[f32], channels: usize, outputs: usize) -> Vec<f32> {
    let by_channels = winograd_weights(weights, outputs, channels);
    let mut packed = Vec::with_capacity(by_channels.len());
    for block in (0..outputs).step_by(BLOCK) {
        for row in by_channels.chunks_exact(outputs) {
            packed.extend_from_slice(&row[block..block + BLOCK]);
        }
    }
    packed
}
