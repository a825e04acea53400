//! Which rule an operator has.

use super::view::NodeView;
use super::{
    broadcast, constant, convolution, einsum, elementwise, gather, join, matmul, move_axes, normalise, pool,
    random, reduce, reshape, resize, select, slice,
};
use crate::autodiff::kernels;
use crate::error::Result;
use crate::graph::TensorType;

/// Computes the types of all outputs that the operator may have, in their order.
pub(super) type Rule = fn(&NodeView) -> Result<Vec<TensorType>>;

/// The operators of the default domain that are known, in alphabetical order.
const RULES: &[(&str, Rule)] = &[
    ("Abs", elementwise::unary),
    ("Acos", elementwise::unary),
    ("Acosh", elementwise::unary),
    ("Add", broadcast::same_type),
    ("And", broadcast::same_type),
    ("ArgMax", reduce::arg),
    ("ArgMin", reduce::arg),
    ("Asin", elementwise::unary),
    ("Asinh", elementwise::unary),
    ("Atan", elementwise::unary),
    ("Atanh", elementwise::unary),
    ("AveragePool", pool::average_pool),
    ("BatchNormalization", normalise::batch),
    ("Bernoulli", random::like),
    ("BitShift", broadcast::same_type),
    ("BitwiseAnd", broadcast::same_type),
    ("BitwiseNot", elementwise::unary),
    ("BitwiseOr", broadcast::same_type),
    ("BitwiseXor", broadcast::same_type),
    ("Cast", elementwise::cast),
    ("CastLike", elementwise::cast_like),
    ("Ceil", elementwise::unary),
    ("Celu", elementwise::unary),
    ("Clip", elementwise::clip),
    ("Concat", join::concat),
    ("Constant", constant::constant),
    ("ConstantOfShape", constant::constant_of_shape),
    ("Conv", convolution::conv),
    ("ConvTranspose", convolution::conv_transpose),
    ("Cos", elementwise::unary),
    ("Cosh", elementwise::unary),
    ("CumSum", elementwise::unary),
    ("DepthToSpace", move_axes::depth_to_space),
    ("Div", broadcast::same_type),
    ("Dropout", elementwise::dropout),
    ("Einsum", einsum::einsum),
    ("Elu", elementwise::unary),
    ("Equal", broadcast::comparison),
    ("Erf", elementwise::unary),
    ("Exp", elementwise::unary),
    ("Expand", move_axes::expand),
    ("EyeLike", constant::eye_like),
    ("Flatten", reshape::flatten),
    ("Floor", elementwise::unary),
    ("Gather", gather::gather),
    ("GatherElements", gather::gather_elements),
    ("GatherND", gather::gather_nd),
    ("Gelu", elementwise::unary),
    ("Gemm", matmul::gemm),
    ("GlobalAveragePool", pool::global),
    ("GlobalMaxPool", pool::global),
    ("Greater", broadcast::comparison),
    ("GreaterOrEqual", broadcast::comparison),
    ("GroupNormalization", normalise::group),
    ("HardSigmoid", elementwise::unary),
    ("HardSwish", elementwise::unary),
    ("Hardmax", elementwise::along_axis),
    ("Identity", elementwise::unary),
    ("InstanceNormalization", normalise::instance),
    ("IsInf", elementwise::predicate),
    ("IsNaN", elementwise::predicate),
    ("LRN", normalise::across_channels),
    ("LayerNormalization", normalise::layer),
    ("LeakyRelu", elementwise::unary),
    ("Less", broadcast::comparison),
    ("LessOrEqual", broadcast::comparison),
    ("Log", elementwise::unary),
    ("LogSoftmax", elementwise::along_axis),
    ("LpNormalization", elementwise::along_axis),
    ("LpPool", pool::average_pool),
    ("MatMul", matmul::matmul),
    ("Max", broadcast::same_type),
    ("MaxPool", pool::max_pool),
    ("Mean", broadcast::same_type),
    ("MeanVarianceNormalization", normalise::over_axes),
    ("Min", broadcast::same_type),
    ("Mish", elementwise::unary),
    ("Mod", broadcast::same_type),
    ("Mul", broadcast::same_type),
    ("Multinomial", random::multinomial),
    ("Neg", elementwise::unary),
    ("NonZero", select::non_zero),
    ("Not", elementwise::unary),
    ("OneHot", select::one_hot),
    ("Or", broadcast::same_type),
    ("PRelu", broadcast::type_of_the_first),
    ("Pad", move_axes::pad),
    ("Pow", broadcast::type_of_the_first),
    ("RMSNormalization", normalise::root_mean_square),
    ("RandomNormal", random::of_shape),
    ("RandomNormalLike", random::like),
    ("RandomUniform", random::of_shape),
    ("RandomUniformLike", random::like),
    ("Range", constant::range),
    ("Reciprocal", elementwise::unary),
    ("ReduceL1", reduce::reduce),
    ("ReduceL2", reduce::reduce),
    ("ReduceLogSum", reduce::reduce),
    ("ReduceLogSumExp", reduce::reduce),
    ("ReduceMax", reduce::reduce),
    ("ReduceMean", reduce::reduce),
    ("ReduceMin", reduce::reduce),
    ("ReduceProd", reduce::reduce),
    ("ReduceSum", reduce::reduce),
    ("ReduceSumSquare", reduce::reduce),
    ("Relu", elementwise::unary),
    ("Reshape", reshape::reshape),
    ("Resize", resize::resize),
    ("Round", elementwise::unary),
    ("ScatterElements", gather::scatter_elements),
    ("ScatterND", gather::scatter_nd),
    ("Selu", elementwise::unary),
    ("Shape", constant::shape),
    ("Shrink", elementwise::unary),
    ("Sigmoid", elementwise::unary),
    ("Sign", elementwise::unary),
    ("Sin", elementwise::unary),
    ("Sinh", elementwise::unary),
    ("Size", constant::size),
    ("Slice", slice::slice),
    ("Softmax", elementwise::along_axis),
    ("Softplus", elementwise::unary),
    ("Softsign", elementwise::unary),
    ("SpaceToDepth", move_axes::space_to_depth),
    ("Split", join::split),
    ("Sqrt", elementwise::unary),
    ("Squeeze", reshape::squeeze),
    ("Sub", broadcast::same_type),
    ("Sum", broadcast::same_type),
    ("Swish", elementwise::unary),
    ("Tan", elementwise::unary),
    ("Tanh", elementwise::unary),
    ("ThresholdedRelu", elementwise::unary),
    ("Tile", move_axes::tile),
    ("TopK", select::top_k),
    ("Transpose", move_axes::transpose),
    ("Trilu", elementwise::triangle),
    ("Unsqueeze", reshape::unsqueeze),
    ("Where", broadcast::where_),
    ("Xor", broadcast::same_type),
    (kernels::GELU_GRADIENT, broadcast::like_the_first),
    (kernels::LAYER_NORMALIZATION_GRADIENT, broadcast::like_the_first),
    (kernels::SOFTMAX_GRADIENT, broadcast::like_the_first),
];

/// The rule of that operator of the default domain.
pub(super) fn rule(op_type: &str) -> Option<Rule> {
    let place = RULES.binary_search_by_key(&op_type, |(name, _)| *name).ok()?;
    Some(RULES[place].1)
}

/// The operators that a file may have, in alphabetical order.
pub(crate) fn known() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name).filter(|name| !kernels::is_ours(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_for_the_search() {
        assert!(RULES.is_sorted_by(|(left, _), (right, _)| left < right));
    }
}
