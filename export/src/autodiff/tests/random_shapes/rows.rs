//! One row or more for each operator that has a rule.

use std::ops::RangeInclusive;

use super::sketch::Sketch;
use crate::autodiff::testing::Domain::{self, AboveOne, AwayFromZero, Distinct, Positive, Real, Unit};
use crate::error::Result;
use crate::graph::{Attribute, Attributes, ValueId};
use crate::tensor::{DataType, Tensor};

/// Adds a random node of that operator and returns its output.
type Build = fn(&mut Sketch<'_, '_>, &str) -> Result<ValueId>;

/// How to draw nodes of one operator.
pub(super) struct Row {
    pub(super) op_type: &'static str,
    /// Where the input is drawn from.
    pub(super) domain: Domain,
    /// Ranks of the input.
    pub(super) ranks: RangeInclusive<usize>,
    pub(super) build: Build,
}

const fn any(op_type: &'static str, domain: Domain, build: Build) -> Row {
    Row { op_type, domain, ranks: 1..=5, build }
}

pub(super) const fn of_rank(
    op_type: &'static str,
    domain: Domain,
    ranks: RangeInclusive<usize>,
    build: Build,
) -> Row {
    Row { op_type, domain, ranks, build }
}

/// In alphabetical order within each group.
pub(super) const ROWS: &[Row] = &[
    // Functions of one variable.
    any("Abs", AwayFromZero, unary),
    any("Acos", Unit, unary),
    any("Acosh", AboveOne, unary),
    any("Asin", Unit, unary),
    any("Asinh", Real, unary),
    any("Atan", Real, unary),
    any("Atanh", Unit, unary),
    any("Cast", Real, cast),
    any("CastLike", Real, cast_like),
    any("Celu", AwayFromZero, with_alpha),
    any("Clip", Distinct, clip),
    any("Cos", Real, unary),
    any("Cosh", Real, unary),
    any("Dropout", Real, unary),
    any("Elu", AwayFromZero, with_alpha),
    any("Erf", Real, unary),
    any("Exp", Real, unary),
    any("Gelu", Real, gelu),
    any("HardSigmoid", Distinct, unary),
    any("HardSwish", Distinct, unary),
    any("Identity", Real, unary),
    any("LeakyRelu", AwayFromZero, with_alpha),
    any("Log", Positive, unary),
    any("Mish", Real, unary),
    any("Neg", Real, unary),
    any("Reciprocal", Positive, unary),
    any("Relu", AwayFromZero, unary),
    any("Selu", AwayFromZero, with_alpha),
    any("Shrink", Distinct, shrink),
    any("Sigmoid", Real, unary),
    any("Sin", Real, unary),
    any("Sinh", Real, unary),
    any("Softplus", Real, unary),
    any("Softsign", AwayFromZero, unary),
    any("Sqrt", Positive, unary),
    any("Swish", Real, with_alpha),
    any("Tan", Unit, unary),
    any("Tanh", Real, unary),
    any("ThresholdedRelu", Distinct, with_alpha),
    // Operators that broadcast.
    any("Add", Real, binary),
    any("Div", Positive, binary),
    any("Max", Distinct, variadic),
    any("Mean", Real, variadic),
    any("Min", Distinct, variadic),
    any("Mod", Distinct, modulo),
    any("Mul", Real, binary),
    any("PRelu", AwayFromZero, p_relu),
    any("Pow", Positive, pow),
    any("Sub", Real, binary),
    any("Sum", Real, variadic),
    any("Where", Real, where_),
    // Reductions and running sums.
    any("CumSum", Real, cum_sum),
    of_rank("GlobalAveragePool", Real, 3..=5, unary),
    of_rank("GlobalMaxPool", Distinct, 3..=5, unary),
    any("ReduceL1", AwayFromZero, reduction),
    any("ReduceL2", AwayFromZero, reduction),
    any("ReduceLogSum", Positive, reduction),
    any("ReduceLogSumExp", Real, reduction),
    any("ReduceMax", Distinct, reduction),
    any("ReduceMean", Real, reduction),
    any("ReduceMin", Distinct, reduction),
    any("ReduceProd", AwayFromZero, reduction_of_one_axis),
    any("ReduceSum", Real, reduction),
    any("ReduceSumSquare", Real, reduction),
    any("TopK", Distinct, top_k),
    // Normalisations.
    of_rank("BatchNormalization", Real, 2..=5, batch_normalization),
    of_rank("GroupNormalization", Distinct, 3..=5, group_normalization),
    of_rank("InstanceNormalization", Distinct, 3..=5, instance_normalization),
    of_rank("LRN", Real, 4..=4, lrn),
    any("LayerNormalization", Distinct, over_last_axes),
    any("LogSoftmax", Real, along_axis),
    any("LpNormalization", AwayFromZero, lp_normalization),
    any("MeanVarianceNormalization", Distinct, mean_variance_normalization),
    any("RMSNormalization", AwayFromZero, over_last_axes),
    any("Softmax", Real, along_axis),
    // Windows.
    of_rank("AveragePool", Real, 3..=5, pool),
    of_rank("MaxPool", Distinct, 3..=5, pool),
    // Products.
    of_rank("Conv", Real, 3..=5, conv),
    of_rank("ConvTranspose", Real, 3..=5, conv_transpose),
    of_rank("Gemm", Real, 2..=2, gemm),
    any("MatMul", Real, matmul),
    // Movement.
    any("Concat", Real, concat),
    any("Expand", Real, expand),
    any("Flatten", Real, flatten),
    any("Gather", Real, gather),
    any("Pad", Real, pad),
    any("Reshape", Real, reshape),
    any("Slice", Real, slice),
    any("Split", Real, split),
    any("Squeeze", Real, squeeze),
    any("Transpose", Real, transpose),
    of_rank("Trilu", Real, 2..=5, trilu),
    any("Unsqueeze", Real, unsqueeze),
];

pub(super) fn node(
    sketch: &mut Sketch<'_, '_>,
    op_type: &str,
    inputs: &[ValueId],
    attributes: &[(&str, Attribute)],
) -> Result<ValueId> {
    let inputs = inputs.iter().copied().map(Some).collect();
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Ok(sketch.builder.node(op_type, inputs, Attributes(attributes), 1)?[0])
}

fn unary(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    sketch.builder.op(op_type, &[sketch.x])
}

fn with_alpha(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let alpha = sketch.one_of(&[0.25_f32, 1.0, 1.5]);
    node(sketch, op_type, &[sketch.x], &[("alpha", alpha.into())])
}

fn shrink(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let lambda = sketch.one_of(&[0.25_f32, 1.0, 1.5]);
    node(sketch, op_type, &[sketch.x], &[("lambd", lambda.into()), ("bias", 0.5.into())])
}

fn gelu(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let form = sketch.one_of(&["none", "tanh"]);
    node(sketch, op_type, &[sketch.x], &[("approximate", form.into())])
}

fn cast(sketch: &mut Sketch<'_, '_>, _: &str) -> Result<ValueId> {
    sketch.builder.cast(sketch.x, DataType::Float32)
}

fn cast_like(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let like = sketch.builder.scalar(0.0);
    node(sketch, op_type, &[sketch.x, like], &[])
}

fn clip(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let bounds = [sketch.constant(Distinct, &[]), sketch.constant(Distinct, &[])];
    let low = sketch.builder.op("Min", &bounds)?;
    let high = sketch.builder.op("Max", &bounds)?;
    node(sketch, op_type, &[sketch.x, low, high], &[])
}

fn binary(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let domain = if op_type == "Div" { Positive } else { Real };
    let partner = sketch.partner(domain)?;
    let operands = if sketch.flag() == 0 { [sketch.x, partner] } else { [partner, sketch.x] };
    node(sketch, op_type, &operands, &[])
}

fn variadic(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let mut inputs = vec![sketch.x];
    for _ in 0..sketch.below(3) {
        let dims = sketch.broadcastable();
        inputs.push(sketch.constant(Distinct, &dims));
    }
    if sketch.flag() == 1 {
        inputs.push(sketch.partner(Distinct)?);
    }
    inputs.swap_remove(0);
    inputs.push(sketch.x);
    node(sketch, op_type, &inputs, &[])
}

fn modulo(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let divisor = sketch.one_of(&[0.5_f32, 1.0, -2.0]);
    let dims = sketch.broadcastable();
    let divisor = sketch.builder.constant(Tensor::from_f32(&dims, &vec![divisor; dims.iter().product()]));
    node(sketch, op_type, &[sketch.x, divisor], &[("fmod", 1.into())])
}

fn p_relu(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let dims = sketch.narrower();
    let slope = sketch.constant(Real, &dims);
    node(sketch, op_type, &[sketch.x, slope], &[])
}

fn pow(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let dims = sketch.broadcastable();
    let exponent = if sketch.flag() == 0 {
        let exponent = sketch.one_of(&[-1, 0, 1, 2, 3]);
        sketch.builder.constant(Tensor::from_i64(&dims, &vec![exponent; dims.iter().product()]))
    } else {
        sketch.constant(Real, &dims)
    };
    node(sketch, op_type, &[sketch.x, exponent], &[])
}

fn where_(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let dims = sketch.broadcastable();
    let (numbers, zero) = (sketch.constant(Real, &dims), sketch.builder.scalar(0.0));
    let condition = sketch.builder.op("Greater", &[numbers, zero])?;
    let partner = sketch.partner(Real)?;
    let branches = if sketch.flag() == 0 { [sketch.x, partner] } else { [partner, sketch.x] };
    node(sketch, op_type, &[condition, branches[0], branches[1]], &[])
}

fn reduction(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let axes = sketch.axes();
    let attributes = [("keepdims", sketch.flag().into()), ("noop_with_empty_axes", 1.into())];
    if axes.is_empty() && sketch.flag() == 0 {
        return node(sketch, op_type, &[sketch.x], &attributes);
    }
    let axes = sketch.builder.ints(&axes);
    node(sketch, op_type, &[sketch.x, axes], &attributes)
}

fn reduction_of_one_axis(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let axes: Vec<i64> = sketch.axis().map(|(axis, _)| axis).into_iter().collect();
    let attributes = [("keepdims", sketch.flag().into()), ("noop_with_empty_axes", 1.into())];
    let axes = sketch.builder.ints(&axes);
    node(sketch, op_type, &[sketch.x, axes], &attributes)
}

fn cum_sum(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, _)) = sketch.axis() else { return Ok(sketch.x) };
    let attributes = [("exclusive", sketch.flag().into()), ("reverse", sketch.flag().into())];
    let axis = sketch.builder.constant(Tensor::from_i64(&[], &[axis]));
    let y = node(sketch, op_type, &[sketch.x, axis], &attributes)?;
    // The exclusive sum of a single element does not depend on it.
    sketch.builder.op("Add", &[y, sketch.x])
}

fn top_k(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, size)) = sketch.axis() else { return Ok(sketch.x) };
    let k = sketch.below(size) as i64 + 1;
    let attributes = [("axis", axis), ("largest", sketch.flag()), ("sorted", sketch.flag())];
    let attributes = attributes.map(|(name, value)| (name, value.into()));
    let k = sketch.builder.ints(&[k]);
    Ok(sketch.builder.node(op_type, vec![Some(sketch.x), Some(k)], Attributes::from_pairs(attributes), 2)?[0])
}

/// Constants of one element per channel, one for each of those domains.
fn per_channel<const COUNT: usize>(
    sketch: &mut Sketch<'_, '_>,
    domains: [Domain; COUNT],
) -> [ValueId; COUNT] {
    let channels = sketch.dims[1];
    domains.map(|domain| sketch.constant(domain, &[channels]))
}

/// Large enough that two nearly equal numbers are not told apart by rounding.
const EPSILON: (&str, Attribute) = ("epsilon", Attribute::Float(0.1));

fn batch_normalization(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let [scale, bias, mean, variance] = per_channel(sketch, [Real, Real, Real, Positive]);
    node(sketch, op_type, &[sketch.x, scale, bias, mean, variance], &[EPSILON])
}

fn instance_normalization(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let [scale, bias] = per_channel(sketch, [Real, Real]);
    node(sketch, op_type, &[sketch.x, scale, bias], &[EPSILON])
}

fn group_normalization(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let channels = sketch.dims[1];
    let divisors: Vec<usize> = (1..=channels).filter(|groups| channels.is_multiple_of(*groups)).collect();
    let groups = sketch.one_of(&divisors) as i64;
    let [scale, bias] = per_channel(sketch, [Real, Real]);
    node(sketch, op_type, &[sketch.x, scale, bias], &[EPSILON, ("num_groups", groups.into())])
}

fn lrn(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let size = sketch.one_of(&[1, 3, 5]);
    node(sketch, op_type, &[sketch.x], &[("size", size.into()), ("alpha", 0.5.into())])
}

fn over_last_axes(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, _)) = sketch.axis() else { return Ok(sketch.x) };
    let first = axis.rem_euclid(sketch.dims.len() as i64) as usize;
    let dims = sketch.dims[first..].to_vec();
    let scale = sketch.constant(Real, &dims);
    node(sketch, op_type, &[sketch.x, scale], &[EPSILON, ("axis", axis.into())])
}

fn along_axis(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, _)) = sketch.axis() else { return Ok(sketch.x) };
    node(sketch, op_type, &[sketch.x], &[("axis", axis.into())])
}

fn lp_normalization(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, _)) = sketch.axis() else { return Ok(sketch.x) };
    let p = sketch.one_of(&[1, 2]);
    node(sketch, op_type, &[sketch.x], &[("axis", axis.into()), ("p", p.into())])
}

fn mean_variance_normalization(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let axes = sketch.axes();
    let count: usize =
        axes.iter().map(|axis| sketch.dims[axis.rem_euclid(sketch.dims.len() as i64) as usize]).product();
    // One value has no deviation, and two are normalised to −1 and 1 whatever they are.
    if count < 3 {
        return Ok(sketch.x);
    }
    node(sketch, op_type, &[sketch.x], &[("axes", axes.into())])
}

/// Sizes, strides and pads of a window that fits the spatial axes.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<i64>,
    pads: Vec<i64>,
}

impl Window {
    fn draw(sketch: &mut Sketch<'_, '_>) -> Self {
        let spatial = sketch.dims[2..].to_vec();
        let kernel: Vec<usize> = spatial.iter().map(|size| 1 + sketch.below(*size.min(&3))).collect();
        let strides = spatial.iter().map(|_| 1 + sketch.flag()).collect();
        let largest = |axis: usize| kernel[axis % spatial.len()] as i64 - 1;
        let pads = (0..2 * spatial.len()).map(|axis| sketch.flag().min(largest(axis))).collect();
        Self { kernel, strides, pads }
    }

    fn attributes(&self) -> [(&'static str, Attribute); 2] {
        [("strides", self.strides.clone().into()), ("pads", self.pads.clone().into())]
    }
}

fn conv(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let (channels, window) = (sketch.dims[1], Window::draw(sketch));
    let groups = sketch.one_of(&[1, channels]);
    let weight = sketch.constant(Real, &[&[2 * groups, channels / groups], &window.kernel[..]].concat());
    let [strides, pads] = window.attributes();
    node(sketch, op_type, &[sketch.x, weight], &[("group", (groups as i64).into()), strides, pads])
}

fn conv_transpose(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let (channels, mut window) = (sketch.dims[1], Window::draw(sketch));
    // Pads shorten the output here, of which at least one element must be left.
    window.pads.fill(0);
    let groups = sketch.one_of(&[1, channels]);
    let weight = sketch.constant(Real, &[&[channels, 2], &window.kernel[..]].concat());
    let [strides, pads] = window.attributes();
    node(sketch, op_type, &[sketch.x, weight], &[("group", (groups as i64).into()), strides, pads])
}

fn pool(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let window = Window::draw(sketch);
    let kernel: Vec<i64> = window.kernel.iter().map(|size| *size as i64).collect();
    let [strides, pads] = window.attributes();
    let mut attributes = vec![("kernel_shape", kernel.into()), strides, pads];
    if op_type == "AveragePool" {
        attributes.push(("count_include_pad", sketch.flag().into()));
    }
    node(sketch, op_type, &[sketch.x], &attributes)
}

fn pad(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let rank = sketch.dims.len();
    let pads: Vec<i64> = (0..2 * rank)
        .map(|side| if sketch.is_batched && side % rank == 0 { 0 } else { sketch.below(3) as i64 })
        .collect();
    let pads = sketch.builder.ints(&pads);
    node(sketch, op_type, &[sketch.x, pads], &[])
}

fn gemm(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let transposed = sketch.flag();
    let inner = sketch.dims[1];
    let dims = if transposed == 1 { [3, inner] } else { [inner, 3] };
    let (weight, bias) = (sketch.constant(Real, &dims), sketch.constant(Real, &[3]));
    let attributes = [("transB", transposed.into()), ("alpha", 0.5.into()), ("beta", 2.0.into())];
    node(sketch, op_type, &[sketch.x, weight, bias], &attributes)
}

fn matmul(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let inner = sketch.dims[sketch.dims.len() - 1];
    if sketch.is_batched && sketch.dims.len() == 1 {
        return Ok(sketch.x);
    }
    let dims = if sketch.flag() == 0 { vec![inner] } else { vec![inner, 3] };
    let weight = sketch.constant(Real, &dims);
    node(sketch, op_type, &[sketch.x, weight], &[])
}

fn concat(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, _)) = sketch.axis() else { return Ok(sketch.x) };
    let doubled = sketch.builder.op("Add", &[sketch.x, sketch.x])?;
    node(sketch, op_type, &[sketch.x, doubled], &[("axis", axis.into())])
}

fn expand(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let dims: Vec<i64> = sketch.broadcastable().into_iter().map(|dim| dim as i64).collect();
    let target = sketch.builder.ints(&dims);
    node(sketch, op_type, &[sketch.x, target], &[])
}

fn flatten(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let axis = sketch.below(sketch.dims.len() + 1) as i64;
    node(sketch, op_type, &[sketch.x], &[("axis", axis.into())])
}

fn gather(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, size)) = sketch.axis() else { return Ok(sketch.x) };
    let count = 1 + sketch.below(3);
    let indices: Vec<i64> = (0..count).map(|_| sketch.below(2 * size) as i64 - size as i64).collect();
    let indices = sketch.builder.constant(Tensor::from_i64(&[1, count], &indices));
    node(sketch, op_type, &[sketch.x, indices], &[("axis", axis.into())])
}

fn reshape(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let target = if sketch.is_batched { vec![0, -1, 1] } else { vec![1, -1] };
    let target = sketch.builder.ints(&target);
    node(sketch, op_type, &[sketch.x, target], &[])
}

fn slice(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, size)) = sketch.axis() else { return Ok(sketch.x) };
    let start = sketch.below(size) as i64;
    let (step, end) = sketch.one_of(&[(1, i64::MAX), (2, i64::MAX), (-1, i64::MIN + 1), (-2, i64::MIN + 1)]);
    let inputs: Vec<ValueId> =
        [start, end, axis, step].into_iter().map(|value| sketch.builder.ints(&[value])).collect();
    let inputs = [&[sketch.x], &inputs[..]].concat();
    node(sketch, op_type, &inputs, &[])
}

fn split(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, size)) = sketch.axis() else { return Ok(sketch.x) };
    if size == 1 {
        return Ok(sketch.x);
    }
    let first = 1 + sketch.below(size - 1);
    let sizes = sketch.builder.ints(&[first as i64, (size - first) as i64]);
    let inputs = vec![Some(sketch.x), Some(sizes)];
    let attributes = Attributes::from_pairs([("axis", axis.into())]);
    let parts = sketch.builder.node(op_type, inputs, attributes, 2)?;
    Ok(sketch.one_of(&parts))
}

fn squeeze(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let start = usize::from(sketch.is_batched);
    let ones: Vec<usize> = (start..sketch.dims.len()).filter(|axis| sketch.dims[*axis] == 1).collect();
    let axes: Vec<i64> = ones.into_iter().map(|axis| sketch.signed(axis)).collect();
    if axes.is_empty() {
        return Ok(sketch.x);
    }
    let axes = sketch.builder.ints(&axes);
    node(sketch, op_type, &[sketch.x, axes], &[])
}

fn unsqueeze(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let axis = sketch.one_of(&[0, 1, -1]);
    let axes = sketch.builder.ints(&[axis]);
    node(sketch, op_type, &[sketch.x, axes], &[])
}

fn transpose(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let mut order: Vec<i64> = (0..sketch.dims.len() as i64).collect();
    for last in (1..order.len()).rev() {
        let other = sketch.below(last + 1);
        order.swap(last, other);
    }
    node(sketch, op_type, &[sketch.x], &[("perm", order.into())])
}

fn trilu(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let diagonal = sketch.below(5) as i64 - 2;
    let diagonal = sketch.builder.constant(Tensor::from_i64(&[], &[diagonal]));
    let upper = sketch.flag();
    node(sketch, op_type, &[sketch.x, diagonal], &[("upper", upper.into())])
}
