//! ReduceSum, ReduceMean and GlobalAveragePool.
//!
//! Sum: `dx = g`, mean over `k` elements: `dx = g/k`, repeated along the reduced axes. The scale comes before the
//! repetition, where `g` is `k` times smaller. Operator pages: ONNX `ReduceSum-13`, `ReduceMean-18`,
//! `GlobalAveragePool-1`.

use super::broadcast::{expand, reshape};
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Dim, Shape};

/// `dx = g`, repeated.
pub(crate) fn reduce_sum(step: &mut Step<'_, '_>) -> Result<()> {
    let axes = reduced_axes(step)?;
    spread(step, &axes, Scale::Sum)
}

/// `dx = g/k`, repeated.
pub(crate) fn reduce_mean(step: &mut Step<'_, '_>) -> Result<()> {
    let axes = reduced_axes(step)?;
    spread(step, &axes, Scale::Mean)
}

/// `dx = g/k`, repeated over the spatial axes.
pub(crate) fn global_average_pool(step: &mut Step<'_, '_>) -> Result<()> {
    let rank = step.shape(step.input(0)?)?.rank();
    let axes: Vec<usize> = (2..rank).collect();
    spread(step, &axes, Scale::Mean)
}

/// What the reduction divides by.
#[derive(Clone, Copy)]
enum Scale {
    /// Nothing.
    Sum,
    /// The number of elements.
    Mean,
}

/// The axes of the node: its second input, or all of them where that is left out or empty.
pub(super) fn reduced_axes(step: &Step<'_, '_>) -> Result<Vec<usize>> {
    let shape = step.shape(step.input(0)?)?;
    let axes = step.ints(1)?.unwrap_or_default();
    if axes.is_empty() {
        let keeps_all = step.node().attributes.int("noop_with_empty_axes", 0)? != 0;
        return Ok(if keeps_all { Vec::new() } else { (0..shape.rank()).collect() });
    }
    axes.into_iter().map(|axis| shape.axis(axis)).collect()
}

fn spread(step: &mut Step<'_, '_>, axes: &[usize], scale: Scale) -> Result<()> {
    let shape = step.shape(step.input(0)?)?;
    let g = step.cotangent()?;
    let kept = kept(&shape, axes);
    let factor = match scale {
        Scale::Sum => None,
        Scale::Mean => Some(1.0 / count(&shape, axes)? as f32),
    };
    step.send(0, |builder| {
        let g = reshape(builder, g, &kept)?;
        let scaled = match factor {
            None => g,
            Some(factor) => {
                let factor = builder.scalar(factor);
                builder.op("Mul", &[g, factor])?
            }
        };
        expand(builder, scaled, &shape)
    })
}

/// The shape with one element on each of the axes.
pub(super) fn kept(shape: &Shape, axes: &[usize]) -> Shape {
    let dims = shape.0.iter().enumerate();
    Shape(dims.map(|(axis, dim)| if axes.contains(&axis) { Dim::Fixed(1) } else { *dim }).collect())
}

/// Number of elements that are reduced to one.
fn count(shape: &Shape, axes: &[usize]) -> Result<usize> {
    let dims = Shape(axes.iter().map(|axis| shape.0[*axis]).collect());
    dims.elements().and_then(Dim::fixed).filter(|count| *count > 0).ok_or_else(|| {
        Error::unsupported(format!(
            "it averages axes {axes:?} of {shape}, whose size depends on the batch or is zero"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, adjoint, backward_text, batched, check, function};

    #[test]
    fn gradients_match_central_differences() {
        for op_type in ["ReduceSum", "ReduceMean"] {
            for axes in [&[1][..], &[-1], &[2, 3], &[1, -1]] {
                for keepdims in [0, 1] {
                    let case = format!("{op_type} over {axes:?}, keepdims {keepdims}");
                    check(&case, Domain::Real, batched(&[2, 3, 4]), |builder, x| {
                        let axes = builder.ints(axes);
                        builder.op_with(op_type, &[x, axes], [("keepdims", keepdims.into())])
                    });
                }
            }
            check(&format!("{op_type} over all"), Domain::Real, Shape::fixed(&[2, 3]), |builder, x| {
                builder.op_with(op_type, &[x], [("keepdims", 0.into())])
            });
            check(&format!("{op_type} over none"), Domain::Real, batched(&[3]), |builder, x| {
                builder.op_with(op_type, &[x], [("noop_with_empty_axes", 1.into())])
            });
        }
        check("GlobalAveragePool", Domain::Real, batched(&[2, 3, 4]), |builder, x| {
            builder.op("GlobalAveragePool", &[x])
        });
    }

    #[test]
    fn a_mean_over_the_batch_is_refused() {
        let graph = function(batched(&[3]), |builder, x| {
            let axes = builder.ints(&[0]);
            builder.op_with("ReduceMean", &[x, axes], [("keepdims", 1.into())])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err();
        assert!(error.to_string().contains("whose size depends on the batch"), "{error}");
    }

    #[test]
    fn the_scale_comes_before_the_repetition() {
        let mean = function(batched(&[4, 3]), |builder, x| {
            let axes = builder.ints(&[1]);
            builder.op_with("ReduceMean", &[x, axes], [("keepdims", 0.into())])
        });
        insta::assert_snapshot!(backward_text(&mean.unwrap()), @r"
            const %gradient/f/ReduceMean/constant: i64[3] = [-1, 1, 3]
            const %gradient/f/ReduceMean/constant_2: f32[] = [0.25]
            const %gradient/f/ReduceMean/constant_3: i64[3] = [1, 4, 3]
            %gradient/f/ReduceMean/Reshape: f32[N, 1, 3] = Reshape(%g, %gradient/f/ReduceMean/constant)
            %gradient/f/ReduceMean/Mul: f32[N, 1, 3] = Mul(%gradient/f/ReduceMean/Reshape, %gradient/f/ReduceMean/constant_2)
            %gradient/f/ReduceMean/Expand: f32[N, 4, 3] = Expand(%gradient/f/ReduceMean/Mul, %gradient/f/ReduceMean/constant_3)
            %dx/Identity: f32[N, 4, 3] = Identity(%gradient/f/ReduceMean/Expand)
        ");
    }
}
