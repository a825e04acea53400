//! One rule per operator: what a node does to cotangents.
//!
//! Every family has a file of the same inner order: the formula and its source, the rules, helpers, tests (central
//! differences through ONNX Runtime, and a snapshot of the subgraph). [`matmul`] is the one to copy.
//! In the formulas `x`, `a`, `b` are inputs, `y` is the output, `g` its cotangent, and `Σ` over broadcast axes is
//! [`unbroadcast`](unbroadcast::unbroadcast).

pub(crate) mod arithmetic;
pub(crate) mod attention;
pub(crate) mod average_pool;
pub(crate) mod batch_normalization;
pub(crate) mod blocks;
pub(crate) mod broadcast;
pub(crate) mod clip;
pub(crate) mod concat;
pub(crate) mod conv;
pub(crate) mod conv_transpose;
pub(crate) mod cum_sum;
pub(crate) mod dropout;
pub(crate) mod einsum;
pub(crate) mod elu;
pub(crate) mod expand;
pub(crate) mod gather;
pub(crate) mod gather_nd;
pub(crate) mod gelu;
pub(crate) mod gemm;
pub(crate) mod grid_sample;
pub(crate) mod hard_sigmoid;
pub(crate) mod identity;
pub(crate) mod instance_normalization;
pub(crate) mod kind;
pub(crate) mod layer_normalization;
pub(crate) mod ledger;
pub(crate) mod lp_normalization;
pub(crate) mod lp_pool;
pub(crate) mod lrn;
pub(crate) mod matmul;
pub(crate) mod max_pool;
pub(crate) mod mean_variance_normalization;
pub(crate) mod mend;
pub(crate) mod pad;
pub(crate) mod patches;
pub(crate) mod phases;
pub(crate) mod piecewise;
pub(crate) mod pointwise;
pub(crate) mod quantize;
pub(crate) mod reduce;
pub(crate) mod reduce_extrema;
pub(crate) mod reduce_norm;
pub(crate) mod reduce_prod;
pub(crate) mod reduction;
pub(crate) mod relu;
pub(crate) mod reshape;
pub(crate) mod resize;
pub(crate) mod rms_normalization;
pub(crate) mod scatter;
pub(crate) mod select;
pub(crate) mod separable;
pub(crate) mod slice;
pub(crate) mod softmax;
pub(crate) mod softplus;
pub(crate) mod split;
pub(crate) mod standardise;
pub(crate) mod step;
pub(crate) mod sums;
pub(crate) mod tile;
pub(crate) mod top_k;
pub(crate) mod transpose;
pub(crate) mod trigonometry;
pub(crate) mod trilu;
pub(crate) mod unbroadcast;
pub(crate) mod variadic;
pub(crate) mod weights;
pub(crate) mod window;

pub use kind::GradientKind;
