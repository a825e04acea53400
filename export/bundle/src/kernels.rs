//! Operators of our own that a prepared gradient graph may hold, where the engine that will run it has kernels for
//! them.
//!
//! Each is what several standard operators compute, in one pass over memory. They are of version 1 of [`DOMAIN`], on
//! 32-bit floats; shapes are those of the first input unless stated. No file that leaves the process holds them.

/// Domain of the operators.
pub const DOMAIN: &str = "ai.mimir";

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

/// Attribute of [`LAYER_NORMALIZATION_GRADIENT`], 0 or 1.
pub const CENTRED: &str = "centred";
