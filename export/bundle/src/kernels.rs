//! Operators of our own that a prepared gradient graph may hold, where the engine that will run it has kernels for
//! them.
//!
//! Each is what several standard operators compute, in one pass over memory. They are of version 1 of [`DOMAIN`], on
//! 32-bit floats; shapes are those of the first input unless stated. No file that leaves the process holds them.

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

/// `(x, weights, bias, residual, mask) → y`: convolution 3 × 3 of stride 1 with zeros around, by Winograd's algorithm
/// F(4×4, 3×3). Channels are last: `x` is `[N, H, W, Ci]`, `residual`, `mask` and `y` are `[N, H, W, Co]`, the bias `[Co]`, and
/// numbers of channels multiples of 16. The weights `[36, Ci, Co]` are those of [`winograd_weights`]. The residual is added to
/// the sums; where the attribute [`RELU`] is 1, what is negative becomes zero then; at last what has a mask below the smallest
/// normal number. The last three inputs may be left out.
pub const WINOGRAD_CONV: &str = "WinogradConv";

/// Attribute of [`WINOGRAD_CONV`], 0 or 1.
pub const RELU: &str = "relu";

/// Attribute of [`WINOGRAD_CONV`]: four numbers, 1 where images, residual, mask and result have their channels first,
/// `[N, C, H, W]`. Absent where all have them last.
pub const CHANNELS_FIRST: &str = "channels_first";

/// Points of a tile of [`WINOGRAD_CONV`].
pub const POINTS: usize = 36;

/// `G·w·Gᵀ` for each pair of channels of weights `[Co, Ci, 3, 3]`: `[36, Ci, Co]`.
pub fn winograd_weights(weights: &[f32], outputs: usize, inputs: usize) -> Vec<f32> {
    const G: [[f64; 3]; 6] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    let mut transformed = vec![0.0; POINTS * inputs * outputs];
    for (pair, window) in weights.chunks_exact(9).take(inputs * outputs).enumerate() {
        let (output, input) = (pair / inputs, pair % inputs);
        for point in 0..POINTS {
            let (left, right) = (G[point / 6], G[point % 6]);
            let sum: f64 = (0..9).map(|at| left[at / 3] * f64::from(window[at]) * right[at % 3]).sum();
            transformed[(point * inputs + input) * outputs + output] = sum as f32;
        }
    }
    transformed
}

/// `(x, weights, bias, residual, gate) → y` with `y = gate > 0 ? relu(w ∗ x + bias + residual) : 0`: a convolution or a
/// transposed one of images whose batch is the last axis. `x` is `[C·H·W, N]`, `y`, `residual` and `gate` are `[K·H'·W', N]`;
/// the last two may be left out. `weights` are `[blocks, C, taps, outputs of a block]` with 8, 4, 3 or 1 outputs in a block, filled
/// up with zeros, as is `bias`. Attributes: `input_shape` `[C, H, W]`, `output_shape` `[K, H', W']`, `kernel_shape`, `strides`,
/// `dilations` and `pads` (the first half) of two axes, `transposed`, `relu` and `winograd` 0 or 1. By Winograd's F(4×4, 3×3)
/// the weights are transformed, `[K/8, 36, C, 8]`.
pub const CONVOLUTION_BATCH_LAST: &str = "ConvolutionBatchLast";

/// Attribute of [`LAYER_NORMALIZATION_GRADIENT`], 0 or 1.
pub const CENTRED: &str = "centred";
