//! Which rule an operator has.

use super::view::NodeView;
use super::{
    broadcast, constant, convolution, elementwise, gather, join, matmul, move_axes, normalise, pool, random,
    reduce, reshape, select, slice,
};
use crate::error::Result;
use crate::graph::TensorType;

/// Computes the types of all outputs that the operator may have, in their order.
pub(super) type Rule = fn(&NodeView) -> Result<Vec<TensorType>>;

/// The rule of that operator of the default domain.
#[expect(clippy::too_many_lines, reason = "a list of operators")]
pub(super) fn rule(op_type: &str) -> Option<Rule> {
    Some(match op_type {
        "Abs" | "Acos" | "Asin" | "Atan" | "Ceil" | "Celu" | "Cos" | "CumSum" | "Elu" | "Erf" | "Exp"
        | "Floor" | "Gelu" | "HardSigmoid" | "HardSwish" | "Identity" | "LeakyRelu" | "Log" | "Mish"
        | "Neg" | "Not" | "Reciprocal" | "Relu" | "Round" | "Selu" | "Sigmoid" | "Sign" | "Sin"
        | "Softplus" | "Softsign" | "Sqrt" | "Tan" | "Tanh" | "ThresholdedRelu" | "Trilu" => {
            elementwise::unary
        }
        "Clip" => elementwise::clip,
        "Dropout" => elementwise::dropout,
        "Softmax" | "LogSoftmax" | "Hardmax" => elementwise::along_axis,
        "Cast" => elementwise::cast,
        "IsNaN" | "IsInf" => elementwise::predicate,
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Min" | "Max" | "Sum" | "Mean" | "And" | "Or" | "Xor" => {
            broadcast::same_type
        }
        "Pow" | "PRelu" => broadcast::type_of_the_first,
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => broadcast::comparison,
        "Where" => broadcast::where_,
        "Conv" => convolution::conv,
        "ConvTranspose" => convolution::conv_transpose,
        "MaxPool" => pool::max_pool,
        "AveragePool" => pool::average_pool,
        "GlobalAveragePool" | "GlobalMaxPool" => pool::global,
        "MatMul" => matmul::matmul,
        "Gemm" => matmul::gemm,
        "BatchNormalization" => normalise::batch,
        "LayerNormalization" => normalise::layer,
        "InstanceNormalization" => normalise::instance,
        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMean"
        | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => reduce::reduce,
        "ArgMax" | "ArgMin" => reduce::arg,
        "Reshape" => reshape::reshape,
        "Flatten" => reshape::flatten,
        "Squeeze" => reshape::squeeze,
        "Unsqueeze" => reshape::unsqueeze,
        "Transpose" => move_axes::transpose,
        "Expand" => move_axes::expand,
        "Tile" => move_axes::tile,
        "Pad" => move_axes::pad,
        "DepthToSpace" => move_axes::depth_to_space,
        "SpaceToDepth" => move_axes::space_to_depth,
        "Concat" => join::concat,
        "Split" => join::split,
        "Slice" => slice::slice,
        "Gather" => gather::gather,
        "GatherElements" => gather::gather_elements,
        "GatherND" => gather::gather_nd,
        "ScatterElements" => gather::scatter_elements,
        "ScatterND" => gather::scatter_nd,
        "Constant" => constant::constant,
        "ConstantOfShape" => constant::constant_of_shape,
        "EyeLike" => constant::eye_like,
        "Range" => constant::range,
        "Shape" => constant::shape,
        "Size" => constant::size,
        "RandomNormal" | "RandomUniform" => random::of_shape,
        "RandomNormalLike" | "RandomUniformLike" | "Bernoulli" => random::like,
        "Multinomial" => random::multinomial,
        "OneHot" => select::one_hot,
        "TopK" => select::top_k,
        _ => return None,
    })
}
