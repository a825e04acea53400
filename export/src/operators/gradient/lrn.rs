//! LRN: each value divided by a power of the mean square of its neighbour channels.
//!
//! `y = x·s^−β` with `s = bias + α·A(x²)`, where `A` averages over a window of `size` channels, zeros outside. The
//! window is its own mirror image, so `dx = g·s^−β − 2αβ·x·A(g·y/s)`. Windows of an even size, which lean to one side,
//! are refused: ONNX Runtime does not compute them either. Operator page: ONNX `LRN-13`; Krizhevsky et al. 2012,
//! section 3.3.
//!
//! A window over channels is an AveragePool with channels as rows of an image: its cost does not grow with the number
//! of channels, as a product with a band matrix would.

use super::broadcast::reshape;
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};

/// `dx = g·s^−β − 2αβ·x·A(g·y/s)`.
pub(crate) fn lrn(step: &mut Step<'_, '_>) -> Result<()> {
    let attributes = &step.node().attributes;
    let (alpha, beta) = (attributes.float("alpha", 1e-4)?, attributes.float("beta", 0.75)?);
    let bias = attributes.float("bias", 1.0)?;
    let size = window_size(attributes.int("size", 0)?)?;
    let (x, y, g) = (step.input(0)?, step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let square = builder.op("Mul", &[x, x])?;
        let energy = average(builder, square, size)?;
        let (alpha_scalar, bias) = (builder.scalar(alpha), builder.scalar(bias));
        let scaled = builder.op("Mul", &[energy, alpha_scalar])?;
        let s = builder.op("Add", &[scaled, bias])?;
        let exponent = builder.scalar(-beta);
        let power = builder.op("Pow", &[s, exponent])?;
        let own = builder.op("Mul", &[g, power])?;

        let relative = builder.op("Div", &[y, s])?;
        let weighted = builder.op("Mul", &[g, relative])?;
        let spread = average(builder, weighted, size)?;
        let factor = builder.scalar(2.0 * alpha * beta);
        let scaled = builder.op("Mul", &[spread, factor])?;
        let neighbours = builder.op("Mul", &[x, scaled])?;
        builder.op("Sub", &[own, neighbours])
    })
}

fn window_size(size: i64) -> Result<i64> {
    match size {
        ..1 => Err(Error::format(format!("attribute `size` is {size}, wanted a positive number"))),
        size if size % 2 == 0 => Err(Error::unsupported(format!(
            "its window of {size} channels is not symmetric; export the model with an odd size"
        ))),
        size => Ok(size),
    }
}

/// Sum over a window of channels around each, divided by its size, zeros outside, of a value `[N, C, …]`.
fn average(builder: &mut Builder<'_>, value: ValueId, size: i64) -> Result<ValueId> {
    let shape = builder.graph().shape(value)?.clone();
    let pixels = Shape(shape.0[2..].to_vec()).elements();
    let pixels = pixels.ok_or_else(|| Error::shape(format!("{shape} depends on the batch twice")))?;
    let rows = Shape(vec![shape.0[0], Dim::Fixed(1), shape.0[1], pixels]); // [N, 1, C, pixels]
    let rows = reshape(builder, value, &rows)?;
    let attributes = [
        ("kernel_shape", vec![size, 1].into()),
        ("pads", vec![size / 2, 0, size / 2, 0].into()),
        ("count_include_pad", 1.into()),
    ];
    let averaged = builder.op_with("AveragePool", &[rows], attributes)?;
    reshape(builder, averaged, &shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, adjoint, backward_text, batched, check, function};

    fn normalised(builder: &mut Builder<'_>, x: ValueId, size: i64) -> Result<ValueId> {
        let attributes = [
            ("size", size.into()),
            ("alpha", 0.8_f32.into()),
            ("beta", 0.6_f32.into()),
            ("bias", 1.5_f32.into()),
        ];
        builder.op_with("LRN", &[x], attributes)
    }

    #[test]
    fn gradients_match_central_differences() {
        for size in [1, 3, 5, 9] {
            check(&format!("size {size}"), Domain::Real, batched(&[5, 2, 2]), |builder, x| {
                normalised(builder, x, size)
            });
        }
    }

    #[test]
    fn windows_that_are_empty_or_lean_are_refused() {
        for (size, wanted) in [
            (0, "attribute `size` is 0, wanted a positive number"),
            (4, "its window of 4 channels is not symmetric"),
        ] {
            let graph = function(batched(&[3, 2, 2]), |builder, x| normalised(builder, x, size));
            let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn the_subgraph_averages_over_channels() {
        let graph = function(batched(&[3, 2, 2]), |builder, x| normalised(builder, x, 3));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/LRN/constant: i64[4] = [-1, 1, 3, 4]
            const %gradient/f/LRN/constant_2: i64[4] = [-1, 3, 2, 2]
            const %gradient/f/LRN/constant_3: f32[] = [0.8]
            const %gradient/f/LRN/constant_4: f32[] = [1.5]
            const %gradient/f/LRN/constant_5: f32[] = [-0.6]
            const %gradient/f/LRN/constant_6: i64[4] = [-1, 1, 3, 4]
            const %gradient/f/LRN/constant_7: i64[4] = [-1, 3, 2, 2]
            const %gradient/f/LRN/constant_8: f32[] = [0.96000004]
            %gradient/f/LRN/Mul: f32[N, 3, 2, 2] = Mul(%x, %x)
            %gradient/f/LRN/Reshape: f32[N, 1, 3, 4] = Reshape(%gradient/f/LRN/Mul, %gradient/f/LRN/constant)
            %gradient/f/LRN/AveragePool: f32[N, 1, 3, 4] = AveragePool(%gradient/f/LRN/Reshape) {count_include_pad = 1, kernel_shape = [3, 1], pads = [1, 0, 1, 0]}
            %gradient/f/LRN/Reshape_2: f32[N, 3, 2, 2] = Reshape(%gradient/f/LRN/AveragePool, %gradient/f/LRN/constant_2)
            %gradient/f/LRN/Mul_2: f32[N, 3, 2, 2] = Mul(%gradient/f/LRN/Reshape_2, %gradient/f/LRN/constant_3)
            %gradient/f/LRN/Add: f32[N, 3, 2, 2] = Add(%gradient/f/LRN/Mul_2, %gradient/f/LRN/constant_4)
            %gradient/f/LRN/Pow: f32[N, 3, 2, 2] = Pow(%gradient/f/LRN/Add, %gradient/f/LRN/constant_5)
            %gradient/f/LRN/Mul_3: f32[N, 3, 2, 2] = Mul(%g, %gradient/f/LRN/Pow)
            %gradient/f/LRN/Div: f32[N, 3, 2, 2] = Div(%f/LRN, %gradient/f/LRN/Add)
            %gradient/f/LRN/Mul_4: f32[N, 3, 2, 2] = Mul(%g, %gradient/f/LRN/Div)
            %gradient/f/LRN/Reshape_3: f32[N, 1, 3, 4] = Reshape(%gradient/f/LRN/Mul_4, %gradient/f/LRN/constant_6)
            %gradient/f/LRN/AveragePool_2: f32[N, 1, 3, 4] = AveragePool(%gradient/f/LRN/Reshape_3) {count_include_pad = 1, kernel_shape = [3, 1], pads = [1, 0, 1, 0]}
            %gradient/f/LRN/Reshape_4: f32[N, 3, 2, 2] = Reshape(%gradient/f/LRN/AveragePool_2, %gradient/f/LRN/constant_7)
            %gradient/f/LRN/Mul_5: f32[N, 3, 2, 2] = Mul(%gradient/f/LRN/Reshape_4, %gradient/f/LRN/constant_8)
            %gradient/f/LRN/Mul_6: f32[N, 3, 2, 2] = Mul(%x, %gradient/f/LRN/Mul_5)
            %gradient/f/LRN/Sub: f32[N, 3, 2, 2] = Sub(%gradient/f/LRN/Mul_3, %gradient/f/LRN/Mul_6)
            %dx/Identity: f32[N, 3, 2, 2] = Identity(%gradient/f/LRN/Sub)
        ");
    }
}
