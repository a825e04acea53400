//! One rule per operator: what a node does to cotangents.
//!
//! Every family has a file of the same inner order: the formula and its source, the rules, helpers, tests (central
//! differences through ONNX Runtime, and a snapshot of the subgraph). [`matmul`] is the one to copy.
//! In the formulas `x`, `a`, `b` are inputs, `y` is the output, `g` its cotangent, and `Σ` over broadcast axes is
//! [`unbroadcast`](super::broadcast::unbroadcast).

mod arithmetic;
mod batch_normalization;
mod clip;
mod concat;
mod conv;
pub(super) mod dropout;
mod expand;
mod gather;
mod gelu;
mod gemm;
mod identity;
mod layer_normalization;
mod matmul;
mod patches;
mod pointwise;
mod reduce;
mod relu;
mod reshape;
mod select;
mod slice;
mod softmax;
mod split;
mod transpose;

use super::step::Step;
use crate::error::Result;

/// Sends the contribution of one node to the cotangents of its inputs.
pub(super) type Rule = fn(&mut Step<'_, '_>) -> Result<()>;

/// Operators with a rule, in alphabetical order.
const RULES: &[(&str, Rule)] = &[
    ("Add", arithmetic::add),
    ("BatchNormalization", batch_normalization::batch_normalization),
    ("Cast", identity::identity),
    ("Clip", clip::clip),
    ("Concat", concat::concat),
    ("Conv", conv::conv),
    ("Div", arithmetic::div),
    ("Dropout", dropout::dropout),
    ("Erf", pointwise::erf),
    ("Exp", pointwise::exp),
    ("Expand", expand::expand),
    ("Flatten", reshape::reshape),
    ("Gather", gather::gather),
    ("Gelu", gelu::gelu),
    ("Gemm", gemm::gemm),
    ("GlobalAveragePool", reduce::global_average_pool),
    ("Identity", identity::identity),
    ("LayerNormalization", layer_normalization::layer_normalization),
    ("Log", pointwise::log),
    ("LogSoftmax", softmax::log_softmax),
    ("MatMul", matmul::matmul),
    ("Mul", arithmetic::mul),
    ("Neg", arithmetic::neg),
    ("Pow", pointwise::pow),
    ("ReduceMean", reduce::reduce_mean),
    ("ReduceSum", reduce::reduce_sum),
    ("Relu", relu::relu),
    ("Reshape", reshape::reshape),
    ("Sigmoid", pointwise::sigmoid),
    ("Slice", slice::slice),
    ("Softmax", softmax::softmax),
    ("Split", split::split),
    ("Sqrt", pointwise::sqrt),
    ("Squeeze", reshape::reshape),
    ("Sub", arithmetic::sub),
    ("Tanh", pointwise::tanh),
    ("Transpose", transpose::transpose),
    ("Unsqueeze", reshape::reshape),
    ("Where", select::where_),
];

/// Operators with float outputs whose derivative is zero wherever it exists: a draw does not move with the input that
/// gives its shape or its probability. Those with other outputs need no entry.
const ZERO_DERIVATIVE: &[&str] = &[
    "Bernoulli",
    "Ceil",
    "ConstantOfShape",
    "EyeLike",
    "Floor",
    "Hardmax",
    "OneHot",
    "RandomNormalLike",
    "RandomUniformLike",
    "Range",
    "Round",
    "Sign",
];

/// The rule of an operator.
pub(super) fn find(op_type: &str) -> Option<Rule> {
    RULES.iter().find(|(name, _)| *name == op_type).map(|(_, rule)| *rule)
}

/// The operators that have a rule, in alphabetical order.
pub(super) fn supported() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name)
}

/// Whether no gradient passes the operator, although it is a function of its inputs.
pub(super) fn cuts(op_type: &str) -> bool {
    ZERO_DERIVATIVE.contains(&op_type)
}
