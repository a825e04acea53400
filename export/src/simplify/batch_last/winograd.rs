//! Weights of 3×3 windows for tiles of 4×4 outputs: F(4×4, 3×3) of Lavin and Gray (2016), section 4.3.

/// Outputs of a tile along an axis.
pub(super) const TILE: usize = 4;

/// Weights of a tile for each pair of channels.
pub(super) const PRODUCTS: usize = 36;

/// Outputs that the kernel computes side by side.
pub(super) const BLOCK: usize = 8;

/// With fewer, transforms cost more than products.
pub(super) const FEWEST_CHANNELS: usize = 8;

/// `G`.
const TRANSFORM: [[f64; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// `G·w·Gᵀ` of weights `[outputs, channels, 3, 3]`, in float64, as `[outputs/8, 36, channels, 8]`.
pub(super) fn transformed(weights: &[f32], channels: usize, outputs: usize) -> Vec<f32> {
    let mut packed = vec![0.0; outputs * channels * PRODUCTS];
    for (index, window) in weights.chunks_exact(9).enumerate() {
        let (output, channel) = (index / channels, index % channels);
        for product in 0..PRODUCTS {
            let (row, column) = (TRANSFORM[product / 6], TRANSFORM[product % 6]);
            let terms = window
                .iter()
                .enumerate()
                .map(|(tap, weight)| row[tap / 3] * f64::from(*weight) * column[tap % 3]);
            let place = ((output / BLOCK * PRODUCTS + product) * channels + channel) * BLOCK + output % BLOCK;
            packed[place] = terms.sum::<f64>() as f32;
        }
    }
    packed
}
