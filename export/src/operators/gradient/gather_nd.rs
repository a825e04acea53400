//! GatherND and GatherElements: elements by coordinates, and by index along one axis.
//!
//! `dx_i = Σ g_j` over all `j` whose coordinates are `i`. Operator pages: ONNX `GatherND-13`, `GatherElements-13`.
//! Constant coordinates, as adaptive pooling is exported, are a Gather along the indexed axes flattened to one.

use super::broadcast::reshape;
use super::gather::{from_begin, spread};
use super::scatter::zeros_like;
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};
use crate::tensor::{DataType, Tensor};

/// `dx = scatter_elements(0, indices, g)`, added up.
pub(crate) fn gather_elements(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, indices, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let axis = step.node().attributes.int("axis", 0)?;
    step.send(0, |builder| {
        let zeros = zeros_like(builder, x)?;
        let attributes = [("axis", axis.into()), ("reduction", "add".into())];
        builder.op_with("ScatterElements", &[zeros, indices, g], attributes)
    })
}

/// `dx = scatter_nd(0, indices, g)`, added up.
pub(crate) fn gather_nd(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, indices, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let gather = GatherIndices::from_step(step, &step.shape(x)?, &step.shape(indices)?)?;
    let constant = step.constant(indices).and_then(Tensor::to_i64);
    step.send(0, |builder| {
        if let Some(constant) = constant
            && let Some(dx) = gather.constant(builder, g, &constant)?
        {
            return Ok(dx);
        }
        if gather.batch.is_empty() {
            let zeros = zeros_like(builder, x)?;
            return builder.op_with("ScatterND", &[zeros, indices, g], [("reduction", "add".into())]);
        }
        gather.computed(builder, [x, indices, g])
    })
}

/// A GatherND from `x` `[batch…, indexed…, rest…]` by indices `[batch…, count…, depth]`.
struct GatherIndices {
    shape: Shape,
    batch: Vec<Dim>,
    indexed: Vec<Dim>,
    rest: Vec<Dim>,
}

impl GatherIndices {
    fn from_step(step: &Step<'_, '_>, x: &Shape, indices: &Shape) -> Result<Self> {
        let batch = step.node().attributes.int("batch_dims", 0)?;
        let depth = indices.0.last().and_then(|dim| dim.fixed());
        let misfit = || Error::shape(format!("indices {indices} do not fit {x} with batch_dims {batch}"));
        let batch = usize::try_from(batch).map_err(|_| misfit())?;
        let rest = depth.and_then(|depth| depth.checked_add(batch)).filter(|rest| *rest <= x.rank());
        let rest = rest.ok_or_else(misfit)?;
        let part = |dims: &[Dim]| dims.to_vec();
        Ok(Self {
            shape: x.clone(),
            batch: part(&x.0[..batch]),
            indexed: part(&x.0[batch..rest]),
            rest: part(&x.0[rest..]),
        })
    }

    /// `dx` for constant indices; `None` where the indexed axes depend on the batch, or are too large.
    fn constant(&self, builder: &mut Builder<'_>, g: ValueId, indices: &[i64]) -> Result<Option<ValueId>> {
        let fixed = |dims: &[Dim]| Shape(dims.to_vec()).to_fixed();
        let (Some(batch), Some(indexed)) = (fixed(&self.batch), fixed(&self.indexed)) else {
            return Ok(None);
        };
        let size: usize = batch.iter().chain(&indexed).product();
        let indices = flattened(indices, batch.iter().product(), &indexed)?;
        let rows = Shape([&[Dim::Fixed(indices.len())], &self.rest[..]].concat());
        let rows = reshape(builder, g, &rows)?; // [picks, rest..]
        match spread(builder, rows, 0, &indices, size)? {
            Some(dx) => reshape(builder, dx, &self.shape).map(Some),
            None => Ok(None),
        }
    }

    /// `dx` for indices that are computed, with at least one batch axis: the batch axes become one, the indexed
    /// another.
    fn computed(&self, builder: &mut Builder<'_>, [x, indices, g]: [ValueId; 3]) -> Result<ValueId> {
        let product = |dims: &[Dim]| {
            let product = Shape(dims.to_vec()).elements();
            product.ok_or_else(|| Error::unsupported(format!("{} depends on the batch twice", self.shape)))
        };
        let indexed = Shape(self.indexed.clone()).to_fixed();
        let indexed = indexed.ok_or_else(|| {
            Error::unsupported(format!("it picks from the batch of {} with batch_dims", self.shape))
        })?;
        let (batch, rest) = (product(&self.batch)?, product(&self.rest)?);
        let size: usize = indexed.iter().product();
        let counts = builder.graph().shape(indices)?.0.clone();
        let counts = product(&counts[self.batch.len()..counts.len() - 1])?;
        let (Some(rows), Some(places)) = (batch.times(Dim::Fixed(size)), batch.times(counts)) else {
            return Err(Error::unsupported(format!("{} depends on the batch twice", self.shape)));
        };

        let within = flat_indices(builder, indices, &indexed)?;
        let within = reshape(builder, within, &Shape(vec![batch, counts]))?;
        let starts = row_starts(builder, within, size)?; // [batch, 1]
        let places_in_all = builder.op("Add", &[within, starts])?;
        let indices = reshape(builder, places_in_all, &Shape(vec![places, Dim::Fixed(1)]))?;
        let g = reshape(builder, g, &Shape(vec![places, rest]))?;
        let zeros = zeros_like(builder, x)?;
        let zeros = reshape(builder, zeros, &Shape(vec![rows, rest]))?;
        let dx = builder.op_with("ScatterND", &[zeros, indices, g], [("reduction", "add".into())])?;
        reshape(builder, dx, &self.shape)
    }
}

/// Coordinates `[batch, count, depth]` as places in the flattened batch and indexed axes.
fn flattened(indices: &[i64], batch: usize, indexed: &[usize]) -> Result<Vec<usize>> {
    let depth = indexed.len();
    if depth == 0 || batch == 0 || indices.is_empty() || !indices.len().is_multiple_of(depth * batch) {
        return Err(Error::unsupported("it picks no element"));
    }
    let per_row = indices.len() / depth / batch;
    let place = |(row, coordinates): (usize, &[i64])| {
        let mut place = row / per_row;
        for (index, dim) in coordinates.iter().zip(indexed) {
            place = place * dim + from_begin(&[*index], *dim)?[0];
        }
        Ok(place)
    };
    indices.chunks(depth).enumerate().map(place).collect()
}

/// Coordinates `[…, depth]` as places `[…]` in the flattened indexed axes.
fn flat_indices(builder: &mut Builder<'_>, indices: ValueId, indexed: &[usize]) -> Result<ValueId> {
    let indices = builder.cast(indices, DataType::Int64)?;
    let dims: Vec<i64> = indexed.iter().map(|dim| *dim as i64).collect();
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    let (dims, strides) = (builder.ints(&dims), builder.ints(&strides));
    let zero = builder.ints(&[0]);
    let counted_back = builder.op("Add", &[indices, dims])?;
    let negative = builder.op("Less", &[indices, zero])?;
    let counted = builder.op("Where", &[negative, counted_back, indices])?;
    let scaled = builder.op("Mul", &[counted, strides])?;
    let last = builder.ints(&[-1]);
    builder.op_with("ReduceSum", &[scaled, last], [("keepdims", 0.into())])
}

/// `[0, size, 2·size, …]` as a column with as many rows as `like` has.
fn row_starts(builder: &mut Builder<'_>, like: ValueId, size: usize) -> Result<ValueId> {
    let shape = builder.op("Shape", &[like])?;
    let (first, step) =
        (builder.constant(Tensor::from_i64(&[], &[0])), builder.constant(Tensor::from_i64(&[], &[1])));
    let rows = builder.op_with("Gather", &[shape, first], [("axis", 0.into())])?;
    let numbers = builder.op("Range", &[first, rows, step])?;
    let size = builder.ints(&[size as i64]);
    let starts = builder.op("Mul", &[numbers, size])?;
    let axes = builder.ints(&[1]);
    builder.op("Unsqueeze", &[starts, axes])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, backward_text, batched, check, function};

    /// Whether the rule sees the indices.
    #[derive(Clone, Copy, Debug)]
    enum Indices {
        Constant,
        Computed,
    }

    fn picked(
        builder: &mut Builder<'_>,
        x: ValueId,
        indices: Tensor,
        batch_dims: i64,
        known: Indices,
    ) -> Result<ValueId> {
        let mut indices = builder.constant(indices);
        if matches!(known, Indices::Computed) {
            indices = builder.op("Identity", &[indices])?;
        }
        let y = builder.op_with("GatherND", &[x, indices], [("batch_dims", batch_dims.into())])?;
        builder.op("Mul", &[y, y])
    }

    #[test]
    fn coordinates() {
        let cases = [
            ("one, with repetition", vec![3, 4, 2], Tensor::from_i64(&[4, 1], &[0, 2, 0, -1]), 0),
            ("two", vec![3, 4, 2], Tensor::from_i64(&[2, 2, 2], &[0, 3, 2, -1, -3, 0, 1, 1]), 0),
            ("all", vec![3, 4], Tensor::from_i64(&[3, 2], &[1, 1, 2, 3, 0, 0]), 0),
            ("a batch of three", vec![3, 4, 2], Tensor::from_i64(&[3, 2, 1], &[0, 3, 1, 1, -1, 2]), 1),
            ("a batch of three, all", vec![3, 4, 2], Tensor::from_i64(&[3, 2], &[0, 1, 1, 0, -1, -2]), 1),
            ("two batch axes", vec![2, 2, 3], Tensor::from_i64(&[2, 2, 1], &[0, 2, 1, 1]), 2),
        ];
        for (name, dims, indices, batch_dims) in cases {
            for known in [Indices::Constant, Indices::Computed] {
                check(&format!("{name}, {known:?}"), Domain::Real, Shape::fixed(&dims), |builder, x| {
                    picked(builder, x, indices.clone(), batch_dims, known)
                });
            }
        }
    }

    /// An index for each image.
    #[test]
    fn the_batch_as_batch_dimension() {
        check("per image", Domain::Real, batched(&[4, 3]), |builder, x| {
            // Of each image the token whose number is the image's shape: known only when it runs.
            let zero = builder.scalar(0.0);
            let axes = builder.ints(&[1, 2]);
            let sums = builder.op_with("ReduceSum", &[x, axes], [("keepdims", 0.into())])?;
            let nothing = builder.op("Mul", &[sums, zero])?;
            let three = builder.scalar(3.0);
            let indices = builder.op("Add", &[nothing, three])?;
            let indices = builder.cast(indices, DataType::Int64)?; // [N]
            let last = builder.ints(&[1]);
            let indices = builder.op("Unsqueeze", &[indices, last])?;
            let y = builder.op_with("GatherND", &[x, indices], [("batch_dims", 1.into())])?;
            builder.op("Mul", &[y, y])
        });
    }

    #[test]
    fn the_batch_behind_the_indexed_axes() {
        let graph = || {
            function(batched(&[2, 3, 3]), |builder, x| {
                let front = builder.op_with("Transpose", &[x], [("perm", vec![2, 3, 0, 1].into())])?;
                let corners = builder.constant(Tensor::from_i64(&[2, 2, 2], &[0, 0, 1, 1, 1, 1, 2, 2]));
                let picked = builder.op("GatherND", &[front, corners])?; // [2, 2, N, 2]
                builder.op_with("Transpose", &[picked], [("perm", vec![2, 3, 0, 1].into())])
            })
        };
        crate::autodiff::testing::check_graph("corners", Domain::Real, &graph().unwrap());
        insta::assert_snapshot!(backward_text(&graph().unwrap()), @r"
        const %gradient/f/GatherND/constant: i64[3] = [4, -1, 2]
        const %gradient/f/GatherND/constant_2: f32[9, 4] = sha256:acf43294313d0bf30de0354e69b774205948b622b31139e9fcc8703b350cf5e3
        const %gradient/f/GatherND/constant_3: i64[2] = [4, -1]
        const %gradient/f/GatherND/constant_4: i64[3] = [9, -1, 2]
        const %gradient/f/GatherND/constant_5: i64[4] = [3, 3, -1, 2]
        %gradient/f/Transpose_2/Transpose: f32[2, 2, N, 2] = Transpose(%g) {perm = [2, 3, 0, 1]}
        %gradient/f/GatherND/Reshape: f32[4, N, 2] = Reshape(%gradient/f/Transpose_2/Transpose, %gradient/f/GatherND/constant)
        %gradient/f/GatherND/Reshape_2: f32[4, 2N] = Reshape(%gradient/f/GatherND/Reshape, %gradient/f/GatherND/constant_3)
        %gradient/f/GatherND/MatMul: f32[9, 2N] = MatMul(%gradient/f/GatherND/constant_2, %gradient/f/GatherND/Reshape_2)
        %gradient/f/GatherND/Reshape_3: f32[9, N, 2] = Reshape(%gradient/f/GatherND/MatMul, %gradient/f/GatherND/constant_4)
        %gradient/f/GatherND/Reshape_4: f32[3, 3, N, 2] = Reshape(%gradient/f/GatherND/Reshape_3, %gradient/f/GatherND/constant_5)
        %gradient/f/Transpose/Transpose: f32[N, 2, 3, 3] = Transpose(%gradient/f/GatherND/Reshape_4) {perm = [2, 3, 0, 1]}
        %dx/Identity: f32[N, 2, 3, 3] = Identity(%gradient/f/Transpose/Transpose)
        ");
    }

    #[test]
    fn elements_along_an_axis() {
        for (axis, indices) in [(1, [0, 2, 2, 1, -1, 0]), (-1, [1, 1, 0, -1, 0, 1])] {
            check(&format!("axis {axis}"), Domain::Real, Shape::fixed(&[3, 3, 2]), |builder, x| {
                let indices = builder.constant(Tensor::from_i64(&[1, 3, 2], &indices));
                let y = builder.op_with("GatherElements", &[x, indices], [("axis", axis.into())])?;
                builder.op("Mul", &[y, y])
            });
        }
    }

    #[test]
    fn the_first_axis_is_the_default_of_elements() {
        check("GatherElements", Domain::Real, Shape::fixed(&[3, 2]), |builder, x| {
            let indices = builder.constant(Tensor::from_i64(&[2, 2], &[2, 0, 1, -1]));
            let y = builder.op("GatherElements", &[x, indices])?;
            builder.op("Mul", &[y, y])
        });
    }
}
