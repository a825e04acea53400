//! Weights of 3×3 windows for tiles of 4×4 outputs, in the order of the kernel.

use mimir_bundle::kernels::{BATCH_LAST_BLOCK, POINTS};

/// Outputs of a tile along an axis.
pub(super) const TILE: usize = 4;

/// With fewer, transforms cost more than products.
pub(super) const FEWEST_CHANNELS: usize = 8;

/// Dimensions of the weights, `[outputs/8, 36, channels, 8]`.
pub(super) fn dims(channels: usize, outputs: usize) -> [usize; 4] {
    [outputs / BATCH_LAST_BLOCK, POINTS, channels, BATCH_LAST_BLOCK]
}
