//! ScatterElements and ScatterND: elements of a tensor replaced, or added to.
//!
//! Replaced: the cotangent of an update is `g` at its place, and `g` with zeros at these places is the cotangent of the
//! data. Added: `g`, and `g` at the place of each update. Operator pages: ONNX `ScatterElements-18`, `ScatterND-18`.
//! Updates that replace the same element twice have no defined result; where the indices are constant, they are
//! refused.

use std::collections::HashSet;

use super::broadcast::reshape;
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};
use crate::tensor::{DataType, Tensor};

/// Zeros up to this number are stored.
const LARGEST_STORED: usize = 1 << 12;

/// What an update does to its element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScatterMode {
    Replace,
    Add,
}

/// `d data = scatter_elements(g, indices, 0)`, `d updates = gather_elements(g, indices)`.
pub(crate) fn scatter_elements(step: &mut Step<'_, '_>) -> Result<()> {
    let shape = step.shape(step.input(0)?)?;
    let axis = shape.axis(step.node().attributes.int("axis", 0)?)?;
    let places = |indices: &Tensor| element_places(indices, axis, shape.0[axis]);
    let [indices, updates] = [step.input(1)?, step.input(2)?];
    let reduction = reduction(step, places)?;
    let (g, axis) = (step.cotangent()?, axis as i64);
    step.send(0, |builder| {
        if reduction == ScatterMode::Add {
            return Ok(g);
        }
        let zeros = zeros_like(builder, updates)?;
        builder.op_with("ScatterElements", &[g, indices, zeros], [("axis", axis.into())])
    })?;
    step.send(2, |builder| builder.op_with("GatherElements", &[g, indices], [("axis", axis.into())]))
}

/// `d data = scatter_nd(g, indices, 0)`, `d updates = gather_nd(g, indices)`.
pub(crate) fn scatter_nd(step: &mut Step<'_, '_>) -> Result<()> {
    let shape = step.shape(step.input(0)?)?;
    let [indices, updates] = [step.input(1)?, step.input(2)?];
    let reduction = reduction(step, |indices| coordinate_places(indices, &shape))?;
    let g = step.cotangent()?;
    step.send(0, |builder| {
        if reduction == ScatterMode::Add {
            return Ok(g);
        }
        let zeros = zeros_like(builder, updates)?;
        builder.op("ScatterND", &[g, indices, zeros])
    })?;
    step.send(2, |builder| builder.op("GatherND", &[g, indices]))
}

/// The reduction, after a look at constant indices; `places` gives where each update goes.
fn reduction(step: &Step<'_, '_>, places: impl Fn(&Tensor) -> Option<Vec<Vec<i64>>>) -> Result<ScatterMode> {
    match step.node().attributes.text("reduction", "none")? {
        "add" => Ok(ScatterMode::Add),
        "none" => {
            let places = step.constant(step.input(1)?).and_then(places).unwrap_or_default();
            let mut seen = HashSet::new();
            match places.into_iter().find(|place| !seen.insert(place.clone())) {
                Some(place) => Err(Error::unsupported(format!(
                    "it replaces element {place:?} twice, with an undefined result; export the model with distinct \
                     indices"
                ))),
                None => Ok(ScatterMode::Replace),
            }
        }
        other => Err(Error::unsupported(format!(
            "no gradient rule for reduction `{other}`, only for `none` and `add`"
        ))),
    }
}

/// Where each update of a ScatterElements goes.
fn element_places(indices: &Tensor, axis: usize, size: Dim) -> Option<Vec<Vec<i64>>> {
    let (values, dims) = (indices.to_i64()?, indices.dims());
    let place = |(flat, index): (usize, &i64)| {
        let mut place = coordinates(flat, dims);
        place[axis] = counted(*index, size);
        place
    };
    Some(values.iter().enumerate().map(place).collect())
}

/// Where each update of a ScatterND goes.
fn coordinate_places(indices: &Tensor, shape: &Shape) -> Option<Vec<Vec<i64>>> {
    let depth = *indices.dims().last()?;
    let counted = |row: &[i64]| row.iter().zip(&shape.0).map(|(index, dim)| counted(*index, *dim)).collect();
    (depth > 0).then(|| Some(indices.to_i64()?.chunks(depth).map(counted).collect()))?
}

fn coordinates(flat: usize, dims: &[usize]) -> Vec<i64> {
    let mut rest = flat;
    let mut coordinates: Vec<i64> = dims
        .iter()
        .rev()
        .map(|dim| {
            let at = rest % dim;
            rest /= dim;
            at as i64
        })
        .collect();
    coordinates.reverse();
    coordinates
}

/// An index counted from the begin, where the size of the axis is known.
fn counted(index: i64, size: Dim) -> i64 {
    match size.fixed() {
        Some(size) if index < 0 => index.saturating_add(size as i64),
        _ => index,
    }
}

/// Zeros of the shape of `value`, for any batch.
///
/// # Errors
/// When shape inference refuses a node.
pub(super) fn zeros_like(builder: &mut Builder<'_>, value: ValueId) -> Result<ValueId> {
    let dims = builder.graph().shape(value)?.to_fixed();
    match dims.filter(|dims| dims.iter().product::<usize>() <= LARGEST_STORED) {
        Some(dims) => {
            let zeros = vec![0.0; dims.iter().product()];
            Ok(builder.constant(Tensor::from_f32(&dims, &zeros)))
        }
        None => {
            let shape = builder.op("Shape", &[value])?;
            builder.op("ConstantOfShape", &[shape])
        }
    }
}

/// The cotangent of `x` for a Gather along `axis` by any indices; `g` has one axis for those of the indices.
///
/// # Errors
/// When shape inference refuses a node.
pub(super) fn along_axis(
    builder: &mut Builder<'_>,
    [x, indices, g]: [ValueId; 3],
    axis: usize,
) -> Result<ValueId> {
    let shape = builder.graph().shape(g)?.clone();
    let mut column = vec![Dim::Fixed(1); shape.rank()];
    column[axis] = shape.0[axis];
    let indices = builder.cast(indices, DataType::Int64)?;
    let column = reshape(builder, indices, &Shape(column))?;
    let target = builder.op("Shape", &[g])?;
    let places = builder.op("Expand", &[column, target])?;
    let zeros = zeros_like(builder, x)?;
    let attributes = [("axis", (axis as i64).into()), ("reduction", "add".into())];
    builder.op_with("ScatterElements", &[zeros, places, g], attributes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, Numbers, adjoint, backward_text, batched, check, function};
    use crate::graph::Graph;

    /// `x` `[3, 4]` with three updates that depend on it too.
    fn scattered(reduction: &str, indices: [i64; 3]) -> Result<Graph> {
        function(Shape::fixed(&[3, 4]), |builder, x| {
            let square = builder.op("Mul", &[x, x])?;
            let updates = updates(builder, square, &[3, 1])?;
            let indices = builder.constant(Tensor::from_i64(&[3, 1], &indices));
            let attributes = [("axis", 1.into()), ("reduction", reduction.into())];
            let y = builder.op_with("ScatterElements", &[x, indices, updates], attributes)?;
            let factor = builder.constant(Numbers::new(3).tensor(&[3, 4]));
            builder.op("Mul", &[y, factor])
        })
    }

    /// The first elements of `x`.
    fn updates(builder: &mut Builder<'_>, x: ValueId, dims: &[i64]) -> Result<ValueId> {
        let count: i64 = dims.iter().product();
        let (all, starts, ends) = (builder.ints(&[-1]), builder.ints(&[0]), builder.ints(&[count]));
        let flat = builder.op("Reshape", &[x, all])?;
        let first = builder.op("Slice", &[flat, starts, ends])?;
        let dims = builder.ints(dims);
        builder.op("Reshape", &[first, dims])
    }

    #[test]
    fn elements() {
        for reduction in ["none", "add"] {
            let graph = scattered(reduction, [2, -1, 0]).unwrap();
            crate::autodiff::testing::check_graph(reduction, Domain::Real, &graph);
        }
        check("added twice", Domain::Real, Shape::fixed(&[4, 2]), |builder, x| {
            let updates = updates(builder, x, &[3, 2])?;
            let indices = builder.constant(Tensor::from_i64(&[3, 2], &[1, 1, 1, 0, -3, 3]));
            let y =
                builder.op_with("ScatterElements", &[x, indices, updates], [("reduction", "add".into())])?;
            builder.op("Mul", &[y, y])
        });
    }

    #[test]
    fn coordinates() {
        /// (reduction, dimensions and elements of the indices, dimensions of the updates)
        type Case = (&'static str, &'static [usize], &'static [i64], &'static [i64]);
        let cases: [Case; 3] = [
            ("none", &[2, 1], &[2, 0], &[2, 4]),
            ("none", &[2, 2], &[2, 0, -3, 1], &[2]),
            ("add", &[3, 1], &[2, 0, -1], &[3, 4]),
        ];
        for (reduction, dims, indices, updates_dims) in cases {
            check(&format!("{reduction} {dims:?}"), Domain::Real, Shape::fixed(&[3, 4]), |builder, x| {
                let square = builder.op("Mul", &[x, x])?;
                let updates = updates(builder, square, updates_dims)?;
                let indices = builder.constant(Tensor::from_i64(dims, indices));
                let attributes = [("reduction", reduction.into())];
                builder.op_with("ScatterND", &[x, indices, updates], attributes)
            });
        }
    }

    #[test]
    fn images_scattered_into_a_constant() {
        check("rows of a table", Domain::Real, Shape::fixed(&[2, 3]), |builder, x| {
            let table = builder.constant(Numbers::new(1).tensor(&[4, 3]));
            let indices = builder.constant(Tensor::from_i64(&[2, 1], &[3, 1]));
            let y = builder.op("ScatterND", &[table, indices, x])?;
            builder.op("Mul", &[y, y])
        });
    }

    #[test]
    fn an_element_that_is_replaced_twice_is_refused() {
        // −2 is element 2 of 4.
        let graph = function(Shape::fixed(&[2, 4]), |builder, x| {
            let indices = builder.constant(Tensor::from_i64(&[2, 2], &[2, -2, 0, 1]));
            let updates = updates(builder, x, &[2, 2])?;
            builder.op_with("ScatterElements", &[x, indices, updates], [("axis", 1.into())])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("replaces element [0, 2] twice"), "{error}");
        let error = adjoint(&scattered("mul", [0, 1, 2]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("no gradient rule for reduction `mul`"), "{error}");
    }

    #[test]
    fn replaced_elements_pass_no_gradient() {
        let graph = function(batched(&[3, 2]), |builder, x| {
            let by_image = builder.op_with("Transpose", &[x], [("perm", vec![1, 0, 2].into())])?;
            let indices = builder.constant(Tensor::from_i64(&[1, 1], &[0]));
            let axes = builder.ints(&[0]);
            let updates = builder.op_with("ReduceMean", &[by_image, axes], [("keepdims", 1.into())])?;
            builder.op("ScatterND", &[by_image, indices, updates])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
        const %gradient/f/ReduceMean/constant: f32[] = [0.33333334]
        const %gradient/f/ReduceMean/constant_2: i64[3] = [3, 1, 2]
        %gradient/f/ScatterND/Shape: i64[3] = Shape(%f/ReduceMean)
        %gradient/f/ScatterND/ConstantOfShape: f32[1, N, 2] = ConstantOfShape(%gradient/f/ScatterND/Shape)
        %gradient/f/ScatterND/ScatterND: f32[3, N, 2] = ScatterND(%g, %f/constant, %gradient/f/ScatterND/ConstantOfShape)
        %gradient/f/ScatterND/GatherND: f32[1, N, 2] = GatherND(%g, %f/constant)
        %gradient/f/ReduceMean/Mul: f32[1, N, 2] = Mul(%gradient/f/ScatterND/GatherND, %gradient/f/ReduceMean/constant)
        %gradient/f/ReduceMean/Expand: f32[3, N, 2] = Expand(%gradient/f/ReduceMean/Mul, %gradient/f/ReduceMean/constant_2)
        %gradient/f/Transpose/Add: f32[3, N, 2] = Add(%gradient/f/ScatterND/ScatterND, %gradient/f/ReduceMean/Expand)
        %gradient/f/Transpose/Transpose: f32[N, 3, 2] = Transpose(%gradient/f/Transpose/Add) {perm = [1, 0, 2]}
        %dx/Identity: f32[N, 3, 2] = Identity(%gradient/f/Transpose/Transpose)
        ");
    }

    #[test]
    fn one_index_in_each_line_replaces_no_element_twice() {
        for (axis, dims) in [(1, [2, 1]), (0, [1, 2])] {
            check(&format!("axis {axis}"), Domain::Real, Shape::fixed(&[2, 2]), |builder, x| {
                let square = builder.op("Mul", &[x, x])?;
                let updates = updates(builder, square, &dims)?;
                let indices = builder.constant(Tensor::from_i64(&dims.map(|dim| dim as usize), &[1, 1]));
                builder.op_with("ScatterElements", &[x, indices, updates], [("axis", axis.into())])
            });
        }
    }
}
