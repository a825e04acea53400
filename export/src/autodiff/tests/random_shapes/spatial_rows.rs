//! Rows of operators that move elements in space, and of gathers and scatters.

use super::rows::{Row, node, of_rank};
use super::sketch::Sketch;
use crate::autodiff::testing::Domain::{AwayFromZero, Real};
use crate::error::Result;
use crate::graph::ValueId;
use crate::tensor::{DataType, Tensor};

/// In alphabetical order.
pub(super) const SPATIAL_ROWS: &[Row] = &[
    of_rank("DepthToSpace", Real, 4..=4, depth_to_space),
    of_rank("Einsum", Real, 3..=3, einsum),
    of_rank("GatherElements", Real, 1..=4, gather_elements),
    of_rank("GatherND", Real, 2..=4, gather_nd),
    of_rank("GridSample", Real, 4..=4, grid_sample),
    of_rank("LpPool", AwayFromZero, 3..=5, lp_pool),
    of_rank("Resize", Real, 4..=4, resize),
    of_rank("ScatterElements", Real, 1..=4, scatter_elements),
    of_rank("ScatterND", Real, 2..=4, scatter_nd),
    of_rank("SpaceToDepth", Real, 4..=4, space_to_depth),
    of_rank("Tile", Real, 1..=4, tile),
];

/// The image at places that depend on it a little, away from the lines where the slope changes.
fn grid_sample(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let mode = sketch.one_of(&["linear", "nearest", "cubic"]);
    let padding = sketch.one_of(&["zeros", "border", "reflection"]);
    let align = sketch.one_of(&[0, 1]);
    let [_, _, height, width] = sketch.dims[..] else { return Ok(sketch.x) };
    if align == 1 && (height == 1 || width == 1) {
        return Ok(sketch.x);
    }
    // Odd multiples of a quarter of a pixel, in the order x, y.
    let place = |index: usize, size: usize| {
        let (quarters, size) = ((2 * (index * 7 % (2 * size + 3)) as i64 - 3) as f32 / 4.0, size as f32);
        if align == 1 { 2.0 * quarters / (size - 1.0) - 1.0 } else { (2.0 * quarters + 1.0) / size - 1.0 }
    };
    let places: Vec<f32> = (0..6).flat_map(|index| [place(index, width), place(index + 3, height)]).collect();
    let places = sketch.builder.constant(Tensor::from_f32(&[1, 2, 3, 2], &places));
    let axes = sketch.builder.ints(&[1, 2, 3]);
    let mean = node(sketch, "ReduceMean", &[sketch.x, axes], &[("keepdims", 1.into())])?;
    let share = sketch.builder.scalar(if mode == "nearest" { 0.0 } else { 0.002 });
    let little = sketch.builder.op("Mul", &[mean, share])?;
    let grid = sketch.builder.op("Add", &[places, little])?;
    let attributes =
        [("mode", mode.into()), ("padding_mode", padding.into()), ("align_corners", align.into())];
    node(sketch, op_type, &[sketch.x, grid], &attributes)
}

fn copies(sketch: &mut Sketch<'_, '_>, x: ValueId, count: usize, axis: i64) -> Result<ValueId> {
    node(sketch, "Concat", &vec![x; count], &[("axis", axis.into())])
}

fn depth_to_space(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let wide = copies(sketch, sketch.x, 4, 1)?;
    let mode = sketch.one_of(&["DCR", "CRD"]);
    node(sketch, op_type, &[wide], &[("blocksize", 2.into()), ("mode", mode.into())])
}

fn space_to_depth(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let block = sketch.one_of(&[2, 3]);
    let high = copies(sketch, sketch.x, block, 2)?;
    let image = copies(sketch, high, block, 3)?;
    node(sketch, op_type, &[image], &[("blocksize", (block as i64).into())])
}

fn einsum(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let [_, rows, columns] = sketch.dims[..] else { return Ok(sketch.x) };
    let cases: [(&str, &[usize]); 5] = [
        ("bij,jk->bik", &[columns, 2]),
        ("bij,jk", &[columns, 2]),
        ("bij,ij->b", &[rows, columns]),
        ("bij,j->jbi", &[columns]),
        ("bij,k->bk", &[3]),
    ];
    let (equation, dims) = sketch.one_of(&cases);
    let other = sketch.constant(Real, dims);
    let square = sketch.builder.op("Mul", &[sketch.x, sketch.x])?;
    node(sketch, op_type, &[square, other], &[("equation", equation.into())])
}

/// Zeros of the shape of a value, as indices that are known only when the graph runs.
fn no_offset(sketch: &mut Sketch<'_, '_>, value: ValueId) -> Result<ValueId> {
    let zero = sketch.builder.scalar(0.0);
    let zeros = sketch.builder.op("Mul", &[value, zero])?;
    sketch.builder.cast(zeros, DataType::Int64)
}

/// Means along the axis, and indices of that shape: one element of each line, from either end.
fn one_of_each_line(sketch: &mut Sketch<'_, '_>, axis: i64, size: usize) -> Result<[ValueId; 2]> {
    let axes = sketch.builder.ints(&[axis]);
    let means = node(sketch, "ReduceMean", &[sketch.x, axes], &[("keepdims", 1.into())])?;
    let zeros = no_offset(sketch, means)?;
    let chosen = sketch.below(2 * size) as i64 - size as i64;
    let chosen = sketch.builder.ints(&[chosen]);
    Ok([means, sketch.builder.op("Add", &[zeros, chosen])?])
}

fn gather_elements(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, size)) = sketch.axis() else { return Ok(sketch.x) };
    let [_, indices] = one_of_each_line(sketch, axis, size)?;
    let [_, others] = one_of_each_line(sketch, axis, size)?;
    let both = node(sketch, "Concat", &[indices, others], &[("axis", axis.into())])?;
    node(sketch, op_type, &[sketch.x, both], &[("axis", axis.into())])
}

fn gather_nd(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let count = 1 + sketch.below(3);
    let index = |sketch: &mut Sketch<'_, '_>, axis: usize| {
        let size = sketch.dims[axis];
        sketch.below(2 * size) as i64 - size as i64
    };
    if sketch.is_batched {
        let rank = sketch.dims.len() as i64;
        let axes = sketch.builder.ints(&(1..rank).collect::<Vec<i64>>());
        let means = node(sketch, "ReduceMean", &[sketch.x, axes], &[("keepdims", 0.into())])?;
        let zeros = no_offset(sketch, means)?; // [N]
        let behind = sketch.builder.ints(&[1, 2]);
        let zeros = sketch.builder.op("Unsqueeze", &[zeros, behind])?;
        let chosen: Vec<i64> = (0..count).map(|_| index(sketch, 1)).collect();
        let chosen = sketch.builder.constant(Tensor::from_i64(&[1, count, 1], &chosen));
        let indices = sketch.builder.op("Add", &[zeros, chosen])?; // [N, count, 1]
        return node(sketch, op_type, &[sketch.x, indices], &[("batch_dims", 1.into())]);
    }
    let depth = 1 + sketch.below(sketch.dims.len());
    let indices: Vec<i64> = (0..count * depth).map(|at| index(sketch, at % depth)).collect();
    let indices = sketch.builder.constant(Tensor::from_i64(&[count, depth], &indices));
    node(sketch, op_type, &[sketch.x, indices], &[])
}

fn scatter_elements(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let Some((axis, size)) = sketch.axis() else { return Ok(sketch.x) };
    let [means, indices] = one_of_each_line(sketch, axis, size)?;
    let reduction = sketch.one_of(&["none", "add"]);
    let attributes = [("axis", axis.into()), ("reduction", reduction.into())];
    node(sketch, op_type, &[sketch.x, indices, means], &attributes)
}

fn scatter_nd(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    // The batch comes last, out of the way of the indices.
    let reversed = sketch.builder.op("Transpose", &[sketch.x])?;
    let size = sketch.dims[sketch.dims.len() - 1];
    let axes = sketch.builder.ints(&[0]);
    let means = node(sketch, "ReduceMean", &[reversed, axes], &[("keepdims", 1.into())])?;
    let chosen = sketch.below(2 * size) as i64 - size as i64;
    let indices = sketch.builder.constant(Tensor::from_i64(&[1, 1], &[chosen]));
    let reduction = sketch.one_of(&["none", "add"]);
    node(sketch, op_type, &[reversed, indices, means], &[("reduction", reduction.into())])
}

fn lp_pool(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let p = sketch.one_of(&[1_i64, 2, 3]);
    let kernel: Vec<i64> = sketch.dims[2..].iter().map(|dim| (*dim as i64).min(2)).collect();
    let strides: Vec<i64> = kernel.iter().map(|_| 1 + sketch.flag()).collect();
    let attributes = [("p", p.into()), ("kernel_shape", kernel.into()), ("strides", strides.into())];
    node(sketch, op_type, &[sketch.x], &attributes)
}

fn resize(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let mode = sketch.one_of(&["nearest", "linear", "cubic"]);
    let coordinates = sketch.one_of(&["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"]);
    let sizes = [1 + sketch.below(7) as i64, 1 + sketch.below(7) as i64];
    let antialias = if mode == "nearest" { 0 } else { sketch.flag() };
    let inputs = vec![Some(sketch.x), None, None, Some(sketch.builder.ints(&sizes))];
    let attributes = crate::graph::Attributes::from_pairs([
        ("antialias", antialias.into()),
        ("axes", vec![2, 3].into()),
        ("coordinate_transformation_mode", coordinates.into()),
        ("mode", mode.into()),
    ]);
    Ok(sketch.builder.node(op_type, inputs, attributes, 1)?[0])
}

fn tile(sketch: &mut Sketch<'_, '_>, op_type: &str) -> Result<ValueId> {
    let repeats: Vec<i64> = (0..sketch.dims.len()).map(|_| 1 + sketch.below(3) as i64).collect();
    let kept = usize::from(sketch.is_batched);
    let repeats: Vec<i64> = [&vec![1; kept], &repeats[kept..]].concat();
    let repeats = sketch.builder.ints(&repeats);
    let tiled = node(sketch, op_type, &[sketch.x, repeats], &[])?;
    sketch.builder.op("Mul", &[tiled, tiled])
}
