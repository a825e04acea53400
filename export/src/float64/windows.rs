//! Convolution and average pooling in float64: the elements under each window are gathered, then multiplied or averaged.

use super::number::number;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Builder, Dim, Node, Shape, ValueId};
use crate::operators::gradient::window::{Axis, axes, kernel_shape, spatial};
use crate::tensor::Tensor;

/// Positions of a gathered tensor, at most: what is larger stays as it is, and the engine refuses the graph.
const MOST_POSITIONS: usize = 1 << 24;

/// `[N, C, …]` and `[M, C/G, k…]` to `[N, M, …]`.
pub(super) fn conv(builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
    let (x, weight, y) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let result = builder.graph().shape(y)?.clone();
    let kernel = fixed(builder.graph().shape(weight)?)?;
    let [outputs, channels, window @ ..] = kernel.as_slice() else {
        return Err(Error::shape(format!("the weight has dimensions {kernel:?}")).at_node(node));
    };
    let groups = usize::try_from(node.attributes.int("group", 1)?).unwrap_or(1);
    let axes = axes(node, builder.graph().shape(x)?, window, &result)?;
    let Some(patches) = patches(builder, x, &axes, groups)? else { return Ok(None) };
    let rows = (channels * window.iter().product::<usize>()) as i64;
    let target = builder.ints(&[groups as i64, (*outputs / groups) as i64, rows]);
    let weight = builder.op("Reshape", &[weight, target])?;
    let product = builder.op("MatMul", &[weight, patches])?; // [N, G, M/G, L]
    let target = builder.ints(&result.reshape_target()?);
    let product = builder.op("Reshape", &[product, target])?;
    let Some(bias) = node.optional_input(2) else { return Ok(Some(product)) };
    let mut target = vec![1; result.rank() - 1];
    target[0] = *outputs as i64;
    let target = builder.ints(&target);
    let bias = builder.op("Reshape", &[bias, target])?;
    builder.op("Add", &[product, bias]).map(Some)
}

/// Where no window reaches into padding that does not count.
pub(super) fn average_pool(builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
    let (x, y) = (node.input(0)?, node.output(0)?);
    let result = builder.graph().shape(y)?.clone();
    let axes = axes(node, builder.graph().shape(x)?, &kernel_shape(node)?, &result)?;
    let is_padded = |axis: &Axis| axis.begin > 0 || axis.span() - axis.begin > axis.input;
    let counts =
        node.attributes.int("count_include_pad", 0)? != 0 && node.attributes.int("ceil_mode", 0)? == 0;
    if axes.iter().any(is_padded) && !counts {
        return Ok(None);
    }
    let channels = builder.graph().shape(x)?.0[1].fixed().unwrap_or(1);
    let Some(patches) = patches(builder, x, &axes, channels)? else { return Ok(None) };
    mean(builder, patches, &[2], &result).map(Some)
}

/// Over all spatial axes.
pub(super) fn global_average_pool(builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
    let result = builder.graph().shape(node.output(0)?)?.clone();
    let spatial: Vec<i64> = (2..result.rank() as i64).collect();
    mean(builder, node.input(0)?, &spatial, &result).map(Some)
}

fn mean(builder: &mut Builder<'_>, x: ValueId, axes: &[i64], result: &Shape) -> Result<ValueId> {
    let axes = builder.ints(axes);
    let mean = builder.op_with("ReduceMean", &[x, axes], [("keepdims", Attribute::Int(0))])?;
    let target = builder.ints(&result.reshape_target()?);
    builder.op("Reshape", &[mean, target])
}

/// `[N, C, …]` to `[N, G, C/G·K, L]`: for each of `L` windows, the `K` elements under it of the channels of each group.
fn patches(builder: &mut Builder<'_>, x: ValueId, axes: &[Axis], groups: usize) -> Result<Option<ValueId>> {
    let shape = builder.graph().shape(x)?.clone();
    spatial(&shape)?;
    let Some(channels) = shape.0.get(1).and_then(|dim| dim.fixed()) else {
        return Err(Error::shape(format!("{shape} has no channels")));
    };
    let padded = pad(builder, x, axes)?;
    let rows = channels / groups * axes.iter().map(|axis| axis.kernel as usize).product::<usize>();
    let windows: usize = axes.iter().map(|axis| axis.output as usize).product();
    if rows.saturating_mul(windows).saturating_mul(groups) > MOST_POSITIONS {
        return Ok(None);
    }
    let size: i64 = axes.iter().map(length).product();
    let positions = positions(axes, channels);
    let positions = builder.constant(Tensor::from_i64(&[groups, rows, windows], &positions));
    let flat = builder.ints(&[-1, channels as i64 * size]);
    let flat = builder.op("Reshape", &[padded, flat])?;
    builder.op_with("Gather", &[flat, positions], [("axis", Attribute::Int(1))]).map(Some)
}

fn pad(builder: &mut Builder<'_>, x: ValueId, axes: &[Axis]) -> Result<ValueId> {
    if axes.iter().all(|axis| axis.begin == 0 && length(axis) == axis.input) {
        return Ok(x);
    }
    let begins = axes.iter().map(|axis| axis.begin);
    let ends = axes.iter().map(|axis| length(axis) - axis.begin - axis.input);
    let pads: Vec<i64> = [0, 0].into_iter().chain(begins).chain([0, 0]).chain(ends).collect();
    let (pads, zero) = (builder.ints(&pads), number(builder, 0.0));
    builder.op("Pad", &[x, pads, zero])
}

/// Elements of an axis with its padding.
fn length(axis: &Axis) -> i64 {
    axis.span().max(axis.begin + axis.input)
}

/// Where the elements of `[C·K, L]` stand in one flattened image: channels, then window elements, then windows, each in
/// row-major order.
fn positions(axes: &[Axis], channels: usize) -> Vec<i64> {
    // The element and the window of each axis join those of the axes before.
    let mut elements = vec![0];
    let mut windows = vec![0];
    for axis in axes {
        let steps = |from: &[i64], count: i64, step: i64| -> Vec<i64> {
            let each = |start: &i64| {
                let start = start * length(axis);
                (0..count).map(move |index| index * step + start)
            };
            from.iter().flat_map(each).collect()
        };
        elements = steps(&elements, axis.kernel, axis.dilation);
        windows = steps(&windows, axis.output, axis.stride);
    }
    let size: i64 = axes.iter().map(length).product();
    (0..channels as i64)
        .flat_map(|channel| elements.iter().map(move |element| channel * size + element))
        .flat_map(|start| windows.iter().map(move |window| start + window))
        .collect()
}

fn fixed(shape: &Shape) -> Result<Vec<usize>> {
    let dims: Option<Vec<usize>> = shape.0.iter().copied().map(Dim::fixed).collect();
    dims.ok_or_else(|| Error::shape(format!("a weight of shape {shape}")))
}
