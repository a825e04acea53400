//! Operators of our own that a prepared gradient graph may hold, where the engine that will run it has kernels for
//! them.
//!
//! Each is what several standard operators compute, in one pass over memory. They are of version 1 of [`DOMAIN`], on
//! 32-bit floats; shapes are those of the first input unless stated. No file that leaves the process holds them.

use std::num::FpCategory;

/// Domain of the operators.
pub const DOMAIN: &str = "ai.mimir";

/// `(q, k, v) → (y, probabilities)` with `y = softmax(q·kᵀ)·v` for each head of each image: attention whose scores are
/// scaled already.
///
/// The inputs are one matrix `[N·T, 3·H·d]`, whose rows hold query, key and value of a token one after the other, or two:
/// queries `[N·Tq, H·d]`, and keys and values `[N·Tk, 2·H·d]`; in each part the heads stand one after the other. The
/// attributes are [`HEADS`], `H`, and [`TOKENS`], `[Tq, Tk]`, of an image. `y` is `[N·Tq, H·d]`. The probabilities, which may
/// be left out, are `[N·Tq, H·P]`, with `P` the next multiple of [`PADDING`] from `Tk`; the rest are zeros.
pub const ATTENTION: &str = "Attention";

/// `(g, probabilities, inputs of Attention) → gradients of those inputs`: the gradient of [`ATTENTION`], with its attributes.
pub const ATTENTION_GRADIENT: &str = "AttentionGradient";

/// Attribute of [`ATTENTION`].
pub const HEADS: &str = "heads";

/// Attribute of [`ATTENTION`].
pub const TOKENS: &str = "tokens";

/// Probabilities of a query are stored in groups of so many.
pub const PADDING: usize = 16;

/// `(x, bias) → (y, slope)` with `y = z·Φ(z)` and `slope = Φ(z) + z·φ(z)` for `z = x + bias`: the exact Gelu and its
/// slope, by which its gradient is one product. The bias is a row `[D]` of `x` `[…, D]`; it and the slope may be left
/// out.
pub const GELU: &str = "Gelu";

/// `(g, x) → g·(Φ(x) + x·φ(x))`: the gradient of the exact Gelu.
pub const GELU_GRADIENT: &str = "GeluGradient";

/// `(h, x̂, r) → r·(h − mean h − x̂·mean(h·x̂))`, with means over rows: `r` has one element for each row of `h`. Where
/// the attribute [`CENTRED`] is 1, `mean h` is known to be zero.
pub const LAYER_NORMALIZATION_GRADIENT: &str = "LayerNormalizationGradient";

/// Softmax over the last axis. Results that would be denormal numbers, below 1.2e-38, are flushed to zero.
pub const SOFTMAX: &str = "Softmax";

/// `(g, y) → (g − Σ g·y)·y`, with sums over the last axis: the gradient of Softmax.
pub const SOFTMAX_GRADIENT: &str = "SoftmaxGradient";

/// `(x, y, g) → dx`: the gradient of MaxPool, `y` of `x` `[N, C, …]`. Each `g` goes to the first element of its window,
/// in row-major order, that is not less than `y`. Attributes are `kernel_shape`, `strides`, `dilations` and `pads` of
/// MaxPool, all stated; only the first half of `pads` counts.
pub const MAX_POOL_GRADIENT: &str = "MaxPoolGradient";

/// `(x, weights, bias, residual, mask) → y`: convolution 3 × 3 of stride 1, by Winograd's algorithm F(4×4, 3×3), with as many rows
/// and columns `P` of zeros on each side as the attribute [`ZEROS_AROUND`] says. Channels are last: `x` is `[N, H, W, Ci]`,
/// `residual`, `mask` and `y` are `[N, H + 2P − 2, W + 2P − 2, Co]`, the bias `[Co]`, and numbers of channels multiples of 16. The
/// weights `[36, Co/16, Ci, 16]` are those of [`winograd_weights`]. The residual is added to the sums; where the attribute
/// [`RELU`] is 1, what is negative becomes zero then; at last what has a mask below the smallest normal number. The last three inputs may be left out.
pub const WINOGRAD_CONV: &str = "WinogradConv";

/// Attribute of [`WINOGRAD_CONV`], 0 or 1.
pub const RELU: &str = "relu";

/// Attribute of [`WINOGRAD_CONV`]: 0 to [`MOST_ZEROS_AROUND`], 1 where it is absent. With 1 the result is as large as the
/// images; a convolution without padding has 0, and its gradient 2.
pub const ZEROS_AROUND: &str = "zeros_around";

/// What a window of three rows can meet of them.
pub const MOST_ZEROS_AROUND: usize = 2;

/// Attribute of [`WINOGRAD_CONV`]: four numbers, 1 where images, residual, mask and result have their channels first,
/// `[N, C, H, W]`. Absent where all have them last.
pub const CHANNELS_FIRST: &str = "channels_first";

/// Points of a tile of [`WINOGRAD_CONV`].
pub const POINTS: usize = 36;

/// `G·w·Gᵀ` for each pair of channels of weights `[Co, Ci, 3, 3]`, point by point in panels of outputs: `[36, Co/16, Ci, 16]`. `Co` is
/// a multiple of [`PANEL`].
pub fn winograd_weights(weights: &[f32], channels: [usize; 2]) -> Vec<f32> {
    transformed(weights, channels, PANEL, |panel, point| point * (channels[0] / PANEL) + panel)
}

/// Outputs that [`CONVOLUTION_BATCH_LAST`] computes side by side by Winograd's algorithm.
pub const BATCH_LAST_BLOCK: usize = 8;

/// As [`winograd_weights`], block by block: `[Co/8, 36, Ci, 8]`. `Co` is a multiple of [`BATCH_LAST_BLOCK`].
pub fn winograd_weights_batch_last(weights: &[f32], channels: [usize; 2]) -> Vec<f32> {
    transformed(weights, channels, BATCH_LAST_BLOCK, |block, point| block * POINTS + point)
}

/// Transformed weights, of which `place` tells where those of a panel of outputs and of a point are, `[Ci, outputs of a panel]`.
fn transformed(
    weights: &[f32],
    [outputs, inputs]: [usize; 2],
    of_panel: usize,
    place: impl Fn(usize, usize) -> usize,
) -> Vec<f32> {
    let mut transformed = vec![0.0; POINTS * inputs * outputs];
    let mut points = vec![0.0; POINTS * of_panel];
    for (panel, input) in
        (0..outputs / of_panel).flat_map(|panel| (0..inputs).map(move |input| (panel, input)))
    {
        for lane in 0..of_panel {
            let pair = (panel * of_panel + lane) * inputs + input;
            let Some(window) = weights[9 * pair..].first_chunk() else { continue };
            for (row, number) in points.chunks_exact_mut(of_panel).zip(transformed_window(window)) {
                row[lane] = number;
            }
        }
        // Points lie a power of two apart: whole rows are written at once, or each would miss the cache for each output.
        for (point, row) in points.chunks_exact(of_panel).enumerate() {
            transformed[(place(panel, point) * inputs + input) * of_panel..][..of_panel].copy_from_slice(row);
        }
    }
    transformed
}

/// `G·w·Gᵀ` of one window, computed in 64 bits.
fn transformed_window(window: &[f32; 9]) -> [f32; POINTS] {
    const G: [[f64; 3]; 6] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    let mut points = [0.0; POINTS];
    for (left, points) in G.iter().zip(points.as_chunks_mut::<6>().0) {
        let mut row = [0.0; 3];
        for (column, sum) in row.iter_mut().enumerate() {
            *sum = (0..3).map(|at| left[at] * f64::from(window[3 * at + column])).sum();
        }
        for (right, point) in G.iter().zip(points) {
            let sum: f64 = (0..3).map(|at| row[at] * right[at]).sum();
            *point = sum as f32;
        }
    }
    points
}

/// `(x, weights, bias, residual, gate) → y` with `y = gate > 0 ? relu(w ∗ x + bias + residual) : 0`: a convolution or a
/// transposed one of images whose batch is the last axis. `x` is `[C·H·W, N]`, `y`, `residual` and `gate` are `[K·H'·W', N]`;
/// the last two may be left out. `weights` are `[blocks, C, taps, outputs of a block]` with 8, 4, 3 or 1 outputs in a block, filled
/// up with zeros, as is `bias`. Attributes: `input_shape` `[C, H, W]`, `output_shape` `[K, H', W']`, `kernel_shape`, `strides`,
/// `dilations` and `pads` (the first half) of two axes, `transposed`, `relu` and `winograd` 0 or 1. By Winograd's F(4×4, 3×3)
/// the weights `[K/8, 36, C, 8]` are those of [`winograd_weights_batch_last`].
pub const CONVOLUTION_BATCH_LAST: &str = "ConvolutionBatchLast";

/// `(g, weights) → dx`: the gradient of a convolution of images with `O` = 1 or 3 channels. It is ConvTranspose of `g` `[N, C, H, W]` with
/// weights `[C, O, rows, columns]`, one group and no dilation, and its result `[N, O, H', W']`. Attributes of two axes are `output_shape`
/// `[H', W']`, `strides`, and `pads` (the first half), which are below the size of the window.
pub const CONV_IMAGE_GRADIENT: &str = "ConvImageGradient";

/// Images that [`CONVOLUTION_BATCH_LAST`] computes side by side, one in each lane of a register: a batch takes as long as the
/// next multiple of this.
pub const BATCH_LAST_LANES: usize = 16;

/// Attribute of [`LAYER_NORMALIZATION_GRADIENT`], 0 or 1.
pub const CENTRED: &str = "centred";

/// `(x, weights, bias, factor) → factor·(x·w + bias)`: `x` is `[…, K]`, the weights are those of [`float32_panels`] for `w` `[K, N]`, the
/// bias is `[N]`, and the result and the factor are `[…, N]`. Bias and factor may be left out. The attribute [`COLUMNS`] is `N`.
pub const PRODUCT: &str = "Product";

/// [`PRODUCT`] with factors that are rounded to bfloat16 ([`bfloat16`]) and sums in 32 bits; the weights are those of
/// [`bfloat16_panels`].
pub const PRODUCT_BFLOAT16: &str = "ProductBfloat16";

/// Attribute of [`PRODUCT`] and [`PRODUCT_BFLOAT16`].
pub const COLUMNS: &str = "columns";

/// `(a, b) → a·b` with factors that are rounded to bfloat16 and sums in 32 bits, for each of some matrices: `a` is `[…, M, K]`, `b`
/// `[…, K, N]` with the same axes before the last two, the result `[…, M, N]`. Where an entry of the attribute [`TRANSPOSED`] is 1,
/// the last two axes of that input stand the other way round.
pub const MATMUL_BFLOAT16: &str = "MatMulBfloat16";

/// Attribute of [`MATMUL_BFLOAT16`]: two numbers.
pub const TRANSPOSED: &str = "transposed";

/// Columns of a panel of [`float32_panels`] and [`bfloat16_panels`].
pub const PANEL: usize = 16;

/// A matrix `[K, N]`, given by row and column, as panels of sixteen columns, `[⌈N/16⌉, K, 16]`. What is missing in the last panel is
/// zero.
pub fn float32_panels(inner: usize, columns: usize, number: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut panels = vec![0.0; columns.div_ceil(PANEL) * inner * PANEL];
    for (panel, rows) in panels.chunks_exact_mut(inner.max(1) * PANEL).enumerate() {
        let columns = panel * PANEL..columns.min((panel + 1) * PANEL);
        for (row, lanes) in rows.chunks_exact_mut(PANEL).enumerate() {
            for (lane, column) in lanes.iter_mut().zip(columns.clone()) {
                *lane = number(row, column);
            }
        }
    }
    panels
}

/// As [`float32_panels`] in bfloat16, where rows come in pairs: `[⌈N/16⌉, ⌈K/2⌉, 16]`. Each element holds a pair ([`bfloat16_pair`]):
/// two rows of a column. What is missing in the last pair is zero.
pub fn bfloat16_panels(inner: usize, columns: usize, number: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    float32_panels(inner.div_ceil(2), columns, |pair, column| {
        let second = 2 * pair + 1;
        bfloat16_pair(number(2 * pair, column), if second < inner { number(second, column) } else { 0.0 })
    })
}

/// Two numbers in bfloat16, as the lower and the upper half of the 32 bits of one: not a number to compute with.
pub fn bfloat16_pair(first: f32, second: f32) -> f32 {
    f32::from_bits(u32::from(bfloat16(first)) | u32::from(bfloat16(second)) << 16)
}

/// The upper half of the bits of a number, rounded to the nearest, to even halfway. Denormal numbers become zero, and what is not a
/// number stays none: as the instructions of processors do it (`VCVTNE2PS2BF16`, Intel's manual, volume 2).
pub fn bfloat16(number: f32) -> u16 {
    let bits = number.to_bits();
    let rounded = match number.classify() {
        FpCategory::Subnormal => bits & 0x8000_0000,
        FpCategory::Nan => bits | 0x0040_0000,
        // The carry of the largest numbers makes them infinite.
        FpCategory::Zero | FpCategory::Infinite | FpCategory::Normal => bits + 0x7fff + (bits >> 16 & 1),
    };
    (rounded >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_halfway_to_even() {
        let cases: [(f32, f32); 9] = [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (-1.0 - 1.01 / 256.0, -1.0 - 2.0 / 256.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (-0.0, -0.0),
            (f32::MIN_POSITIVE, f32::MIN_POSITIVE),
            (-f32::MIN_POSITIVE / 2.0, -0.0),
        ];
        for (number, wanted) in cases {
            let found = f32::from_bits(u32::from(bfloat16(number)) << 16);
            assert_eq!(found.to_bits(), wanted.to_bits(), "{number}: {found}");
        }
        for bits in [0x7f80_0001, 0xffff_ffff] {
            assert!(f32::from_bits(u32::from(bfloat16(f32::from_bits(bits))) << 16).is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn weights_are_panels_of_columns_and_what_is_missing_is_zero() {
        let weights: Vec<f32> = (0..3 * 17).map(|index| index as f32).collect();
        let found = float32_panels(3, 17, |row, column| weights[row * 17 + column]);
        assert_eq!(found.len(), 2 * 3 * PANEL);
        assert_eq!([found[0], found[15], found[PANEL], found[2 * PANEL + 1]], [0.0, 15.0, 17.0, 35.0]);
        assert_eq!(found[3 * PANEL..][..2], [16.0, 0.0]);
        assert_eq!(found[4 * PANEL], 33.0);
    }

    #[test]
    fn weights_are_panels_of_pairs_and_what_is_missing_is_zero() {
        let weights: Vec<f32> = (0..3 * 17).map(|index| index as f32).collect();
        let found = bfloat16_panels(3, 17, |row, column| weights[row * 17 + column]);
        assert_eq!(found.len(), 2 * 2 * PANEL);
        assert_eq!(found[5].to_bits(), bfloat16_pair(5.0, 22.0).to_bits());
        assert_eq!(found[PANEL + 5].to_bits(), bfloat16_pair(39.0, 0.0).to_bits());
        assert_eq!(found[2 * PANEL].to_bits(), bfloat16_pair(16.0, 33.0).to_bits());
        assert_eq!(found[2 * PANEL + 1].to_bits(), 0);
    }
}
