//! Names of the operators of our own, for which `mimir-runtime` has kernels ([`mimir_bundle::kernels`]).

/// The `op_type` of a node of ours. Part of what [`crate::onnx`] writes as domain and name.
pub(crate) const ATTENTION: &str = "ai.mimir::Attention";
pub(crate) const ATTENTION_GRADIENT: &str = "ai.mimir::AttentionGradient";
pub(crate) const CONV_IMAGE_GRADIENT: &str = "ai.mimir::ConvImageGradient";
pub(crate) const CONVOLUTION_BATCH_LAST: &str = "ai.mimir::ConvolutionBatchLast";
pub(crate) const GELU: &str = "ai.mimir::Gelu";
pub(crate) const GELU_GRADIENT: &str = "ai.mimir::GeluGradient";
pub(crate) const LAYER_NORMALIZATION_GRADIENT: &str = "ai.mimir::LayerNormalizationGradient";
pub(crate) const MATMUL_BFLOAT16: &str = "ai.mimir::MatMulBfloat16";
pub(crate) const MAX_POOL_GRADIENT: &str = "ai.mimir::MaxPoolGradient";
pub(crate) const PRODUCT: &str = "ai.mimir::Product";
pub(crate) const PRODUCT_BFLOAT16: &str = "ai.mimir::ProductBfloat16";
pub(crate) const SOFTMAX: &str = "ai.mimir::Softmax";
pub(crate) const SOFTMAX_GRADIENT: &str = "ai.mimir::SoftmaxGradient";
pub(crate) const WINOGRAD_CONV: &str = "ai.mimir::WinogradConv";

/// Whether the operator is one of ours.
pub(crate) fn is_ours(op_type: &str) -> bool {
    op_type.split_once("::").is_some_and(|(domain, _)| domain == mimir_bundle::kernels::DOMAIN)
}
