//! The table of operators: one row each, in the order of their names.
//!
//! Everything that is decided by an operator's name is decided here, and every row states every column. The columns are
//! explained in `row.rs`. Operators that [`upgrade`](crate::upgrade) decomposes have no row: they are gone before.

use std::cmp::Ordering;

use super::constants::arithmetic::Elementwise;
use super::row::Batch::{Followed, NotFollowed, SizesOnly};
use super::row::Bounds::{Flat, Known, Saturating, Unknown};
use super::row::Constants::{Converted, Elements, Evaluated, NotEvaluated, Parts};
use super::row::Gradient::{
    Exact, Selects, StraightThrough, Subgradient, Undifferentiated, Zero, ZeroExcept,
};
use super::row::Limits::{MinusOneAndOne, OneOfRow, ZeroAndOne};
use super::row::Portable::{ExtraOutputs, Itself, KernelOnly, Nodes, NodesAmong};
use super::row::Random::{Always, If, Never};
use super::row::Row;
use super::row::Saves::{Nothing, Outputs};
use super::{batch, bounds, constants, dropout, gradient, types};
use crate::graph::own_operators;

/// Reasons that several rows share.
pub(super) const BOOLEANS: &str = "its results are Boolean";
pub(super) const INTEGERS: &str = "its results are integers";
const NO_INPUTS: &str = "has no inputs";
const RANDOM: &str = "draws numbers";
const NO_SHAPES: &str = "no exporter computes shapes with it";
const KERNEL: &str = "stands in graphs that are simplified already";
const DIFFERENTIATED: &str = "stands in graphs that are differentiated already";

/// What the rules of the quantisations estimate.
const QUANTISATION: &str =
    "straight through inside the range, zero where the integer saturates; scale and zero point are constants";

/// The rows, for [`find`] in the order of bytes.
#[rustfmt::skip]
static ROWS: &[Row] = &[
    Row {
        name: "Abs", since: 1, types: types::elementwise::unary,
        constants: Elements(Elementwise::ABS), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::piecewise::abs, "zero at 0"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::arithmetic::abs),
    },
    Row {
        name: "Acos", since: 7, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::acos, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Acosh", since: 9, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::acosh, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Add", since: 1, types: types::broadcast::same_type,
        constants: Elements(Elementwise::ADD), batch: Followed(batch::elementwise::broadcast),
        gradient: Exact(gradient::arithmetic::add, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "And", since: 7, types: types::broadcast::same_type,
        constants: Elements(Elementwise::Logical(|a, b| a && b)), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "ArgMax", since: 1, types: types::reduce::arg,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "ArgMin", since: 1, types: types::reduce::arg,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Asin", since: 7, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::asin, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Asinh", since: 9, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::asinh, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Atan", since: 7, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::atan, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Atanh", since: 9, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::atanh, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "AveragePool", since: 1, types: types::pool::average_pool,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::average_pool::average_pool, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "BatchNormalization", since: 1, types: types::normalise::batch,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::batch_normalization),
        gradient: Exact(gradient::batch_normalization::batch_normalization, "inference form; statistics, scale and bias must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_or_falling),
    },
    Row {
        name: "Bernoulli", since: 15, types: types::random::like,
        constants: NotEvaluated(RANDOM), batch: Followed(batch::elementwise::unary),
        gradient: Zero,
        saves: Nothing, random: Always, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "BitShift", since: 11, types: types::broadcast::same_type,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "BitwiseAnd", since: 18, types: types::broadcast::same_type,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "BitwiseNot", since: 18, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "BitwiseOr", since: 18, types: types::broadcast::same_type,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "BitwiseXor", since: 18, types: types::broadcast::same_type,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Cast", since: 1, types: types::elementwise::cast,
        constants: Converted(constants::arithmetic::cast), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::identity::identity, "from float to float; conversions to integers cut the path"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "CastLike", since: 15, types: types::elementwise::cast_like,
        constants: Converted(constants::arithmetic::cast), batch: NotFollowed("a second input that gives the type only is not followed"),
        gradient: Exact(gradient::identity::identity, "from float to float; conversions to integers cut the path"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Ceil", since: 1, types: types::elementwise::unary,
        constants: Elements(Elementwise::Function(f64::ceil)), batch: Followed(batch::elementwise::unary),
        gradient: StraightThrough(gradient::identity::identity, "as if it were not there"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Celu", since: 12, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::elu::celu, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Flat(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Clip", since: 1, types: types::elementwise::clip,
        constants: Evaluated(constants::arithmetic::clip), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::clip::clip, "passes at both bounds, but not at those of ReLU6 (0 and 6); the bounds must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Flat(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Concat", since: 1, types: types::join::concat,
        constants: Evaluated(constants::movement::concat), batch: Followed(batch::layout::concat),
        gradient: Exact(gradient::concat::concat, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Constant", since: 1, types: types::constant::constant,
        constants: Evaluated(constants::create::constant), batch: NotFollowed("has no inputs"),
        gradient: Undifferentiated(NO_INPUTS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "ConstantOfShape", since: 9, types: types::constant::constant_of_shape,
        constants: Evaluated(constants::create::constant_of_shape), batch: SizesOnly,
        gradient: Zero,
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Conv", since: 1, types: types::convolution::conv,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::conv::conv, "weight and bias must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::product::conv),
    },
    Row {
        name: "ConvTranspose", since: 1, types: types::convolution::conv_transpose,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::conv_transpose::conv_transpose, "weight and bias must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::product::conv),
    },
    Row {
        name: "Cos", since: 7, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::cos, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Cosh", since: 9, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::cosh, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "CumSum", since: 11, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::cum_sum),
        gradient: Exact(gradient::cum_sum::cum_sum, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "DepthToSpace", since: 1, types: types::move_axes::depth_to_space,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::blocks::depth_to_space, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "DequantizeLinear", since: 10, types: types::quantize::dequantize_linear,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::quantize::dequantize, "scale and zero point must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Div", since: 1, types: types::broadcast::same_type,
        constants: Elements(Elementwise::DIV), batch: Followed(batch::elementwise::broadcast),
        gradient: Exact(gradient::arithmetic::div, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::arithmetic::div),
    },
    Row {
        name: "Dropout", since: 1, types: types::elementwise::dropout,
        constants: Evaluated(constants::movement::dropout), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::dropout::dropout, ""),
        saves: Outputs(gradient::dropout::add_mask), random: If(dropout::may_drop), portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "DynamicQuantizeLinear", since: 11, types: types::quantize::dynamic_quantize_linear,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::whole_tensor),
        gradient: StraightThrough(gradient::quantize::dynamic_quantize, QUANTISATION),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Einsum", since: 12, types: types::einsum::einsum,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::product::einsum),
        gradient: Exact(gradient::einsum::einsum, "any equation in which no operand has a letter twice"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Elu", since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::elu::elu, "alpha at 0"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Flat(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Equal", since: 7, types: types::broadcast::comparison,
        constants: Elements(Elementwise::Equality), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Erf", since: 9, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::pointwise::erf, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Saturating(bounds::ends::rising, MinusOneAndOne),
    },
    Row {
        name: "Exp", since: 1, types: types::elementwise::unary,
        constants: Elements(Elementwise::Function(f64::exp)), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::pointwise::exp, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Expand", since: 8, types: types::move_axes::expand,
        constants: Evaluated(constants::movement::expand), batch: Followed(batch::layout::repeat),
        gradient: Exact(gradient::expand::expand, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "EyeLike", since: 9, types: types::constant::eye_like,
        constants: NotEvaluated(NO_SHAPES), batch: SizesOnly,
        gradient: Zero,
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Flatten", since: 1, types: types::reshape::flatten,
        constants: Evaluated(constants::movement::reshape), batch: Followed(batch::layout::reshape),
        gradient: Exact(gradient::reshape::reshape, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Floor", since: 1, types: types::elementwise::unary,
        constants: Elements(Elementwise::Function(f64::floor)), batch: Followed(batch::elementwise::unary),
        gradient: StraightThrough(gradient::identity::identity, "as if it were not there"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Gather", since: 1, types: types::gather::gather,
        constants: Evaluated(constants::movement::gather), batch: Followed(batch::indexing::gather),
        gradient: Exact(gradient::gather::gather, "along any axis but the batch; no gradient passes the indices"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "GatherElements", since: 11, types: types::gather::gather_elements,
        constants: Evaluated(constants::scatter::gather_elements), batch: Followed(batch::indexing::elements),
        gradient: Exact(gradient::gather_nd::gather_elements, "no gradient passes the indices"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "GatherND", since: 11, types: types::gather::gather_nd,
        constants: Evaluated(constants::scatter::gather_nd), batch: Followed(batch::indexing::gather_nd),
        gradient: Exact(gradient::gather_nd::gather_nd, "no gradient passes the indices"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Gelu", since: 20, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::gelu::gelu, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::slope::gelu),
    },
    Row {
        name: "Gemm", since: 1, types: types::matmul::gemm,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::product::gemm),
        gradient: Exact(gradient::gemm::gemm, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::product::gemm),
    },
    Row {
        name: "GlobalAveragePool", since: 1, types: types::pool::global,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::reduce::global_average_pool, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "GlobalMaxPool", since: 1, types: types::pool::global,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Subgradient(gradient::reduce_extrema::global_max_pool, "a tie is split evenly"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Greater", since: 7, types: types::broadcast::comparison,
        constants: Elements(Elementwise::Relation(Ordering::is_gt)), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "GreaterOrEqual", since: 12, types: types::broadcast::comparison,
        constants: Elements(Elementwise::Relation(Ordering::is_ge)), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "GridSample", since: 16, types: types::grid_sample::grid_sample,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::images_together),
        gradient: Subgradient(gradient::grid_sample::grid_sample, "between two pixels of a line the slope of the right one; none to the grid of mode `nearest`"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "GroupNormalization", since: 18, types: types::normalise::group,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::instance_normalization::group_normalization, "scale and bias must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "HardSigmoid", since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::hard_sigmoid::hard_sigmoid, "zero at both kinks"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Saturating(bounds::ends::rising, ZeroAndOne),
    },
    Row {
        name: "HardSwish", since: 14, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::hard_sigmoid::hard_swish, "zero at -3, one at 3"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::slope::hard_swish),
    },
    Row {
        name: "Hardmax", since: 1, types: types::elementwise::along_axis,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::last_axis),
        gradient: StraightThrough(gradient::identity::identity, "as if it were not there"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Identity", since: 1, types: types::elementwise::unary,
        constants: Evaluated(constants::movement::identity), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::identity::identity, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "InstanceNormalization", since: 1, types: types::normalise::instance,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::instance_normalization::instance_normalization, "scale and bias must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "IsInf", since: 10, types: types::elementwise::predicate,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "IsNaN", since: 9, types: types::elementwise::predicate,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "LRN", since: 1, types: types::normalise::across_channels,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::lrn::lrn, "the window must have an odd size"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "LayerNormalization", since: 17, types: types::normalise::layer,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::trailing_axes),
        gradient: Exact(gradient::layer_normalization::layer_normalization, "one output; scale and bias must not depend on the images"),
        saves: Outputs(gradient::layer_normalization::add_statistics), random: Never, portable: ExtraOutputs(gradient::layer_normalization::lower_statistics),
        bounds: Unknown,
    },
    Row {
        name: "LeakyRelu", since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::piecewise::leaky_relu, "the slope below 0 at 0"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::slope::leaky_relu),
    },
    Row {
        name: "Less", since: 7, types: types::broadcast::comparison,
        constants: Elements(Elementwise::Relation(Ordering::is_lt)), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "LessOrEqual", since: 12, types: types::broadcast::comparison,
        constants: Elements(Elementwise::Relation(Ordering::is_le)), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Log", since: 1, types: types::elementwise::unary,
        constants: Elements(Elementwise::Function(f64::ln)), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::pointwise::log, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "LogSoftmax", since: 1, types: types::elementwise::along_axis,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::last_axis),
        gradient: Exact(gradient::softmax::log_softmax, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "LpNormalization", since: 1, types: types::elementwise::along_axis,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::last_axis),
        gradient: Subgradient(gradient::lp_normalization::lp_normalization, "zero where the norm is 0"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "LpPool", since: 2, types: types::pool::average_pool,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Subgradient(gradient::lp_pool::lp_pool, "zero where the whole window is zero"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "MatMul", since: 1, types: types::matmul::matmul,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::product::matmul),
        gradient: Exact(gradient::matmul::matmul, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::product::mat_mul),
    },
    Row {
        name: "Max", since: 1, types: types::broadcast::same_type,
        constants: Elements(Elementwise::MAX), batch: Followed(batch::elementwise::broadcast),
        gradient: Subgradient(gradient::variadic::max, "a tie is split evenly"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Flat(bounds::ends::rising),
    },
    Row {
        name: "MaxPool", since: 1, types: types::pool::max_pool,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Subgradient(gradient::max_pool::max_pool, "of equal maxima the first in row-major order; the second output (indices) has no gradient"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Mean", since: 1, types: types::broadcast::same_type,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::broadcast),
        gradient: Exact(gradient::variadic::mean, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "MeanVarianceNormalization", since: 9, types: types::normalise::over_axes,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::mean_variance),
        gradient: Exact(gradient::mean_variance_normalization::mean_variance_normalization, "the axes must not include the batch, as the default ones do"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Min", since: 1, types: types::broadcast::same_type,
        constants: Elements(Elementwise::MIN), batch: Followed(batch::elementwise::broadcast),
        gradient: Subgradient(gradient::variadic::min, "a tie is split evenly"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Flat(bounds::ends::rising),
    },
    Row {
        name: "Mish", since: 18, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::softplus::mish, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Mod", since: 10, types: types::broadcast::same_type,
        constants: Evaluated(constants::arithmetic::modulo), batch: Followed(batch::elementwise::broadcast),
        gradient: Subgradient(gradient::piecewise::modulo, "one at multiples of the divisor"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Mul", since: 1, types: types::broadcast::same_type,
        constants: Elements(Elementwise::MUL), batch: Followed(batch::elementwise::broadcast),
        gradient: Exact(gradient::arithmetic::mul, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::arithmetic::mul),
    },
    Row {
        name: "Multinomial", since: 7, types: types::random::multinomial,
        constants: NotEvaluated(RANDOM), batch: NotFollowed("draws classes from scores, which is not followed"),
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Always, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Neg", since: 1, types: types::elementwise::unary,
        constants: Elements(Elementwise::NEG), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::arithmetic::neg, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_or_falling),
    },
    Row {
        name: "NonZero", since: 9, types: types::select::non_zero,
        constants: Evaluated(constants::create::non_zero), batch: NotFollowed("the number of results depends on the values"),
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Not", since: 1, types: types::elementwise::unary,
        constants: Elements(Elementwise::Negation), batch: Followed(batch::elementwise::unary),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "OneHot", since: 9, types: types::select::one_hot,
        constants: NotEvaluated(NO_SHAPES), batch: NotFollowed("the axis that it inserts is not followed"),
        gradient: ZeroExcept(2),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Or", since: 7, types: types::broadcast::same_type,
        constants: Elements(Elementwise::Logical(|a, b| a || b)), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "PRelu", since: 1, types: types::broadcast::type_of_the_first,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::broadcast),
        gradient: Subgradient(gradient::piecewise::p_relu, "the slope below 0 at 0"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::slope::p_relu),
    },
    Row {
        name: "Pad", since: 1, types: types::move_axes::pad,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::layout::pad),
        gradient: Exact(gradient::pad::pad, "constant pads; the value must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Pow", since: 1, types: types::broadcast::type_of_the_first,
        constants: Elements(Elementwise::POW), batch: Followed(batch::elementwise::broadcast),
        gradient: Exact(gradient::pointwise::pow, "the exponent must be constant after folding"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "QuantizeLinear", since: 10, types: types::quantize::quantize_linear,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: StraightThrough(gradient::quantize::quantize, QUANTISATION),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "RMSNormalization", since: 23, types: types::normalise::root_mean_square,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::trailing_axes),
        gradient: Exact(gradient::rms_normalization::rms_normalization, "the scale must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "RandomNormal", since: 1, types: types::random::of_shape,
        constants: NotEvaluated(RANDOM), batch: NotFollowed("has no inputs"),
        gradient: Undifferentiated(NO_INPUTS),
        saves: Nothing, random: Always, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "RandomNormalLike", since: 1, types: types::random::like,
        constants: NotEvaluated(RANDOM), batch: SizesOnly,
        gradient: Zero,
        saves: Nothing, random: Always, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "RandomUniform", since: 1, types: types::random::of_shape,
        constants: NotEvaluated(RANDOM), batch: NotFollowed("has no inputs"),
        gradient: Undifferentiated(NO_INPUTS),
        saves: Nothing, random: Always, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "RandomUniformLike", since: 1, types: types::random::like,
        constants: NotEvaluated(RANDOM), batch: SizesOnly,
        gradient: Zero,
        saves: Nothing, random: Always, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Range", since: 11, types: types::constant::range,
        constants: Evaluated(constants::create::range), batch: NotFollowed("its length depends on the values"),
        gradient: Zero,
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Reciprocal", since: 1, types: types::elementwise::unary,
        constants: Elements(Elementwise::Function(|x| 1.0 / x)), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::pointwise::reciprocal, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "ReduceL1", since: 1, types: types::reduce::reduce,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Subgradient(gradient::reduce_norm::reduce_l1, "zero at 0"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "ReduceL2", since: 1, types: types::reduce::reduce,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Subgradient(gradient::reduce_norm::reduce_l2, "zero where the norm is 0"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "ReduceLogSum", since: 1, types: types::reduce::reduce,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Exact(gradient::reduce_norm::reduce_log_sum, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "ReduceLogSumExp", since: 1, types: types::reduce::reduce,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Exact(gradient::reduce_norm::reduce_log_sum_exp, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "ReduceMax", since: 1, types: types::reduce::reduce,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Subgradient(gradient::reduce_extrema::reduce_extremum, "a tie is split evenly"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "ReduceMean", since: 1, types: types::reduce::reduce,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Exact(gradient::reduce::reduce_mean, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "ReduceMin", since: 1, types: types::reduce::reduce,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Subgradient(gradient::reduce_extrema::reduce_extremum, "a tie is split evenly"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "ReduceProd", since: 1, types: types::reduce::reduce,
        constants: Evaluated(constants::reduce::product), batch: Followed(batch::axes::reduction),
        gradient: Exact(gradient::reduce_prod::reduce_prod, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "ReduceSum", since: 1, types: types::reduce::reduce,
        constants: Evaluated(constants::reduce::sum), batch: Followed(batch::axes::reduction),
        gradient: Exact(gradient::reduce::reduce_sum, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "ReduceSumSquare", since: 1, types: types::reduce::reduce,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::reduction),
        gradient: Exact(gradient::reduce_norm::reduce_sum_square, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Relu", since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::relu::relu, "zero at 0"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Flat(bounds::ends::rising),
    },
    Row {
        name: "Reshape", since: 1, types: types::reshape::reshape,
        constants: Evaluated(constants::movement::reshape), batch: Followed(batch::layout::reshape),
        gradient: Exact(gradient::reshape::reshape, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Resize", since: 10, types: types::resize::resize,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::resize::resize, "the sizes of all axes but the batch must be known; not tf_crop_and_resize"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Round", since: 11, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: StraightThrough(gradient::identity::identity, "as if it were not there"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "ScatterElements", since: 11, types: types::gather::scatter_elements,
        constants: Evaluated(constants::scatter::scatter_elements), batch: Followed(batch::indexing::elements),
        gradient: Exact(gradient::scatter::scatter_elements, "reduction none (no element twice) and add; no gradient passes the indices"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "ScatterND", since: 11, types: types::gather::scatter_nd,
        constants: Evaluated(constants::scatter::scatter_nd), batch: NotFollowed("which images the coordinates name is not followed"),
        gradient: Exact(gradient::scatter::scatter_nd, "reduction none (no element twice) and add; no gradient passes the indices"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Selu", since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::elu::selu, "gamma·alpha at 0"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Flat(bounds::ends::rising),
    },
    Row {
        name: "Shape", since: 1, types: types::constant::shape,
        constants: Evaluated(constants::create::shape), batch: SizesOnly,
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Shrink", since: 9, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::piecewise::shrink, "zero at ±lambd"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Sigmoid", since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::pointwise::sigmoid, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Saturating(bounds::ends::rising, ZeroAndOne),
    },
    Row {
        name: "Sign", since: 9, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: StraightThrough(gradient::identity::identity, "only between -1 and 1 where other operators read its operand too"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Sin", since: 7, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::sin, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Sinh", since: 9, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::sinh, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Size", since: 1, types: types::constant::size,
        constants: Evaluated(constants::create::size), batch: SizesOnly,
        gradient: Undifferentiated(INTEGERS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Slice", since: 1, types: types::slice::slice,
        constants: Evaluated(constants::movement::slice), batch: Followed(batch::layout::slice),
        gradient: Exact(gradient::slice::slice, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Softmax", since: 1, types: types::elementwise::along_axis,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::last_axis),
        gradient: Exact(gradient::softmax::softmax, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Saturating(bounds::ends::unknown, OneOfRow),
    },
    Row {
        name: "Softplus", since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::softplus::softplus, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Flat(bounds::ends::rising),
    },
    Row {
        name: "Softsign", since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::softplus::softsign, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "SpaceToDepth", since: 1, types: types::move_axes::space_to_depth,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::image),
        gradient: Exact(gradient::blocks::space_to_depth, ""),
        saves: Nothing, random: Never, portable: Nodes(gradient::blocks::lower_space_to_depth),
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Split", since: 1, types: types::join::split,
        constants: Parts(constants::movement::split), batch: Followed(batch::axes::split),
        gradient: Exact(gradient::split::split, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Sqrt", since: 1, types: types::elementwise::unary,
        constants: Elements(Elementwise::Function(f64::sqrt)), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::pointwise::sqrt, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Squeeze", since: 1, types: types::reshape::squeeze,
        constants: Evaluated(constants::movement::reshape), batch: Followed(batch::layout::reshape),
        gradient: Exact(gradient::reshape::reshape, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Sub", since: 1, types: types::broadcast::same_type,
        constants: Elements(Elementwise::SUB), batch: Followed(batch::elementwise::broadcast),
        gradient: Exact(gradient::arithmetic::sub, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::arithmetic::sub),
    },
    Row {
        name: "Sum", since: 1, types: types::broadcast::same_type,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::broadcast),
        gradient: Exact(gradient::variadic::sum, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising),
    },
    Row {
        name: "Swish", since: 24, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::softplus::swish, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Tan", since: 7, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::trigonometry::tan, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Tanh", since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::pointwise::tanh, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Saturating(bounds::ends::rising, MinusOneAndOne),
    },
    Row {
        name: "ThresholdedRelu", since: 10, types: types::elementwise::unary,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Subgradient(gradient::piecewise::thresholded_relu, "zero at alpha"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Tile", since: 6, types: types::move_axes::tile,
        constants: Evaluated(constants::movement::tile), batch: Followed(batch::layout::repeat),
        gradient: Exact(gradient::tile::tile, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "TopK", since: 1, types: types::select::top_k,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::last_axis),
        gradient: Subgradient(gradient::top_k::top_k, "the elements that the runtime chose at a tie"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Transpose", since: 1, types: types::move_axes::transpose,
        constants: Evaluated(constants::movement::transpose), batch: Followed(batch::layout::transpose),
        gradient: Exact(gradient::transpose::transpose, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Trilu", since: 14, types: types::elementwise::triangle,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::axes::triangle),
        gradient: Exact(gradient::trilu::trilu, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Unsqueeze", since: 1, types: types::reshape::unsqueeze,
        constants: Evaluated(constants::movement::reshape), batch: Followed(batch::layout::reshape),
        gradient: Exact(gradient::reshape::reshape, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Known(bounds::ends::rising_in_the_first),
    },
    Row {
        name: "Where", since: 9, types: types::broadcast::where_,
        constants: Evaluated(constants::movement::where_), batch: Followed(batch::elementwise::broadcast),
        gradient: Selects(gradient::select::where_, ""),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "Xor", since: 7, types: types::broadcast::same_type,
        constants: Elements(Elementwise::Logical(|a, b| a != b)), batch: Followed(batch::elementwise::broadcast),
        gradient: Undifferentiated(BOOLEANS),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: own_operators::ATTENTION, since: 1, types: types::attention::attention,
        constants: NotEvaluated(KERNEL), batch: NotFollowed(KERNEL),
        gradient: Exact(gradient::attention::attention, ""),
        saves: Outputs(gradient::attention::add_probabilities), random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: own_operators::ATTENTION_GRADIENT, since: 1, types: types::attention::gradient,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: own_operators::CONV_IMAGE_GRADIENT, since: 1, types: types::convolution::image_gradient,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: own_operators::CONVOLUTION_BATCH_LAST, since: 1, types: types::convolution::batch_last,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: own_operators::GELU, since: 1, types: types::broadcast::with_slope,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: own_operators::GELU_GRADIENT, since: 1, types: types::broadcast::like_the_first,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: Nodes(gradient::gelu::lower),
        bounds: Unknown,
    },
    Row {
        name: own_operators::LAYER_NORMALIZATION_GRADIENT, since: 1, types: types::broadcast::like_the_first,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: Nodes(gradient::layer_normalization::lower),
        bounds: Unknown,
    },
    Row {
        name: own_operators::MATMUL_BFLOAT16, since: 1, types: types::matmul::matmul_bfloat16,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: own_operators::MAX_POOL_GRADIENT, since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: Nodes(gradient::max_pool::lower),
        bounds: Unknown,
    },
    Row {
        name: own_operators::PRODUCT, since: 1, types: types::matmul::product,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: own_operators::PRODUCT_BFLOAT16, since: 1, types: types::matmul::product_bfloat16,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: own_operators::SOFTMAX, since: 1, types: types::elementwise::unary,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: own_operators::SOFTMAX_GRADIENT, since: 1, types: types::broadcast::like_the_first,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: NodesAmong(gradient::softmax::lower),
        bounds: Unknown,
    },
    Row {
        name: own_operators::WINOGRAD_CONV, since: 1, types: types::convolution::winograd,
        constants: NotEvaluated(DIFFERENTIATED), batch: NotFollowed(DIFFERENTIATED),
        gradient: Undifferentiated(DIFFERENTIATED),
        saves: Nothing, random: Never, portable: KernelOnly,
        bounds: Unknown,
    },
    Row {
        name: "com.microsoft::DequantizeLinear", since: 10, types: types::quantize::dequantize_linear,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: Exact(gradient::quantize::dequantize, "scale and zero point must not depend on the images"),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
    Row {
        name: "com.microsoft::QuantizeLinear", since: 10, types: types::quantize::quantize_linear,
        constants: NotEvaluated(NO_SHAPES), batch: Followed(batch::elementwise::unary),
        gradient: StraightThrough(gradient::quantize::quantize, QUANTISATION),
        saves: Nothing, random: Never, portable: Itself,
        bounds: Unknown,
    },
];

/// The operators that have a row.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

/// The row of an operator.
pub(crate) fn find(op_type: &str) -> Option<&'static Row> {
    let place = ROWS.binary_search_by_key(&op_type, |row| row.name).ok()?;
    Some(&ROWS[place])
}

/// All rows, in the order of their names.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::onnx::OPSETS;

    #[test]
    fn rows_are_sorted_and_unique() {
        let wrong: Vec<&str> =
            ROWS.windows(2).filter(|pair| pair[0].name >= pair[1].name).map(|pair| pair[1].name).collect();
        assert!(wrong.is_empty(), "not behind the row before: {wrong:?}");
    }

    #[test]
    fn every_column_that_is_not_filled_says_why() {
        for row in ROWS {
            let reasons = [
                match row.constants {
                    NotEvaluated(why) => why,
                    _ => "evaluated",
                },
                match row.batch {
                    NotFollowed(why) => why,
                    _ => "followed",
                },
                match row.gradient {
                    Undifferentiated(why) | Subgradient(_, why) | StraightThrough(_, why) => why,
                    _ => "has one",
                },
            ];
            assert!(reasons.iter().all(|why| !why.is_empty()), "{}: {reasons:?}", row.name);
            assert!(
                (1..=*OPSETS.end() as u32).contains(&row.since),
                "{}: since opset {}",
                row.name,
                row.since
            );
        }
    }

    #[test]
    fn what_has_only_a_kernel_is_ours_and_what_draws_is_not_evaluated() {
        for row in ROWS {
            let kernel_only = matches!(row.portable, KernelOnly);
            assert!(!kernel_only || own_operators::is_ours(row.name), "{}", row.name);
            let evaluated = !matches!(row.constants, NotEvaluated(_));
            assert!(!(matches!(row.random, Always) && evaluated), "{} would be frozen", row.name);
        }
    }

    /// Folders whose files decide nothing by an operator's name: what they need is a column of the table.
    const NAMELESS: [&str; 6] =
        ["autodiff/activity.rs", "autodiff/kernels.rs", "autodiff/sweep.rs", "evaluate", "scan", "shape"];

    /// Files beside the table that may hold names, and what for.
    const NAMED: [(&str, &str); 20] = [
        ("bounds", "emits nodes: the box, shares of units, slopes of secants"),
        ("operators/bounds", "rules emit nodes"),
        ("autodiff", "emits nodes: losses, and the Identity that names an output"),
        (
            "classifier",
            "emits nodes around the file's graph, and looks for the Softmax that makes probabilities",
        ),
        ("difference", "knows the Constant that holds a weight"),
        ("float16.rs", "emits a Cast"),
        ("float64", "writes out what engines have no float64 kernel for"),
        ("graph", "emits a Cast, and names our own operators"),
        ("large.rs", "emits large graphs, for tests and benches"),
        ("network", "emits networks"),
        ("normalisation.rs", "emits the arithmetic of a normalisation"),
        ("onnx", "reads and writes forms of nodes: If, Loop, Constant, domains"),
        ("operators/finite.rs", "knows what values operators can give"),
        ("operators/gradient", "rules emit nodes, and look for the nodes around theirs"),
        ("operators/signature", "holds the pages of the operators"),
        ("rebatch.rs", "rewrites Reshape"),
        ("simplify", "matches and emits patterns"),
        ("unroll", "unrolls If and Loop, and emits nodes"),
        ("upgrade", "rewrites older forms"),
        ("working_copy", "decomposes quantised operators"),
    ];

    /// The code of a file before its tests, without comments.
    fn code(path: &Path) -> String {
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name();
            let is_test = ["tests", "tests.rs", "testing.rs"].iter().any(|test| name == *test);
            if path.is_dir() && !is_test {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
                found.push(path);
            }
        }
    }

    #[test]
    fn nothing_else_decides_by_the_name_of_an_operator() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        let mut wrong = Vec::new();
        for file in files {
            let place = file.strip_prefix(&root).unwrap();
            let may_name = NAMED.iter().any(|(folder, _)| place.starts_with(folder))
                && !NAMELESS.iter().any(|folder| place.starts_with(folder));
            if may_name || place == Path::new("operators/table.rs") {
                continue;
            }
            let code = code(&file);
            // An Identity gives a value another name wherever nodes are added, and decides nothing.
            let rows = ROWS.iter().filter(|row| row.name != "Identity");
            let named = rows.filter(|row| code.contains(&format!("\"{}\"", row.name)));
            wrong.extend(named.map(|row| format!("{} names {}", place.display(), row.name)));
        }
        assert!(wrong.is_empty(), "add a column to the table instead: {wrong:#?}");
    }
}
