//! LpPool: the p-norm of each window.
//!
//! `y = (Σ |x|^p)^(1/p)`, so `dx = sign(x)·|x|^(p−1) · Σ g / y^(p−1)`, the sum over the windows that hold `x`; zero
//! where the window is zero, as PyTorch has it. Operator page: ONNX `LpPool-18`.

use super::separable::{self, Matrix};
use super::step::Step;
use super::window::{self, Axis};
use crate::error::{Error, Result};
use crate::graph::{Builder, Node, ValueId};

/// `dx = sign(x)·|x|^(p−1) · Σ g / y^(p−1)`.
pub(crate) fn lp_pool(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, y, g, node) = (step.input(0)?, step.output()?, step.cotangent()?, step.node());
    let p = exponent(node)?;
    let axes = window::axes(node, &step.shape(x)?, &window::kernel_shape(node)?, &step.shape(y)?)?;
    step.send(0, |builder| {
        let shares = shares(builder, g, y, p)?;
        let product = |shares, (index, axis)| separable::adjoint(builder, shares, 2 + index, sums(axis)?);
        let sum = axes.iter().enumerate().try_fold(shares, product)?;
        scaled(builder, x, sum, p)
    })
}

fn exponent(node: &Node) -> Result<f32> {
    match node.attributes.int("p", 2)? {
        p if (1..=1 << 20).contains(&p) => Ok(p as f32),
        p => Err(Error::format(format!("attribute `p` is {p}, wanted a positive number"))),
    }
}

/// `g / y^(p−1)`
fn shares(builder: &mut Builder<'_>, g: ValueId, y: ValueId, p: f32) -> Result<ValueId> {
    if p == 1.0 {
        return Ok(g);
    }
    // Where y is zero, so is every x, and the least number keeps the quotient from being NaN.
    let least = builder.scalar(f32::MIN_POSITIVE.powf(1.0 / p));
    let positive = builder.op("Max", &[y, least])?;
    let power = power(builder, positive, p - 1.0)?;
    builder.op("Div", &[g, power])
}

/// `sign(x)·|x|^(p−1) · factor`
fn scaled(builder: &mut Builder<'_>, x: ValueId, factor: ValueId, p: f32) -> Result<ValueId> {
    if p == 2.0 {
        return builder.op("Mul", &[x, factor]);
    }
    let mut slope = builder.op("Sign", &[x])?;
    if p != 1.0 {
        let size = builder.op("Abs", &[x])?;
        let power = power(builder, size, p - 1.0)?;
        slope = builder.op("Mul", &[slope, power])?;
    }
    builder.op("Mul", &[slope, factor])
}

fn power(builder: &mut Builder<'_>, value: ValueId, exponent: f32) -> Result<ValueId> {
    if exponent == 1.0 {
        return Ok(value);
    }
    let exponent = builder.scalar(exponent);
    builder.op("Pow", &[value, exponent])
}

/// Which elements a window holds, `[windows, elements]`.
fn sums(axis: &Axis) -> Result<Matrix> {
    let mut matrix = Matrix::zeros(axis.output as usize, axis.input as usize)?;
    for o in 0..axis.output {
        let inside = (0..axis.kernel).map(|k| axis.position(o, k)).filter(|at| (0..axis.input).contains(at));
        inside.for_each(|at| matrix.add(o as usize, at as usize, 1.0));
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::testing::attributes;

    #[test]
    fn gradients_match_central_differences() {
        let cases: [(&[usize], &str); 9] = [
            (&[2, 5, 6], "kernel_shape=[2,3]"),
            (&[2, 5, 6], "kernel_shape=[2,3] p=1"),
            (&[2, 5, 6], "kernel_shape=[3,3] p=3 strides=[2,1] pads=[1,1,1,1]"),
            (&[2, 6, 6], "kernel_shape=[3,3] strides=[2,2] ceil_mode=1"),
            (&[2, 7, 7], "kernel_shape=[2,2] dilations=[2,3] p=4"),
            (&[2, 5, 6], "kernel_shape=[2,2] auto_pad=SAME_UPPER"),
            (&[2, 5, 6], "kernel_shape=[2,2] strides=[2,2] auto_pad=SAME_LOWER"),
            (&[2, 7], "kernel_shape=[3] strides=[2]"),
            (&[1, 3, 4, 3], "kernel_shape=[2,2,2]"),
        ];
        for (dims, text) in cases {
            check(&format!("{dims:?} {text}"), Domain::AwayFromZero, batched(dims), |builder, x| {
                Ok(builder.node("LpPool", vec![Some(x)], attributes(text), 1)?[0])
            });
        }
    }

    #[test]
    fn zero_passes_nothing() {
        for text in ["kernel_shape=[2]", "kernel_shape=[2] p=1", "kernel_shape=[2] p=3"] {
            let graph = function(batched(&[1, 2]), |builder, x| {
                Ok(builder.node("LpPool", vec![Some(x)], attributes(text), 1)?[0])
            });
            let inputs = [float("x", &[1, 1, 2], &[0.0, 0.0]), float("g", &[1, 1, 1], &[3.0])];
            assert_eq!(run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs), [0.0, 0.0], "{text}");
        }
    }

    #[test]
    fn the_sum_is_a_matrix_for_each_axis() {
        let graph = function(batched(&[1, 2, 3]), |builder, x| {
            Ok(builder.node("LpPool", vec![Some(x)], attributes("kernel_shape=[2,2]"), 1)?[0])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
        const %gradient/f/LpPool/constant: f32[] = [1.0842022e-19]
        const %gradient/f/LpPool/constant_2: f32[2, 1] = [1.0, 1.0]
        const %gradient/f/LpPool/constant_3: f32[2, 3] = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
        %gradient/f/LpPool/Max: f32[N, 1, 1, 2] = Max(%f/LpPool, %gradient/f/LpPool/constant)
        %gradient/f/LpPool/Div: f32[N, 1, 1, 2] = Div(%g, %gradient/f/LpPool/Max)
        %gradient/f/LpPool/MatMul: f32[N, 1, 2, 2] = MatMul(%gradient/f/LpPool/constant_2, %gradient/f/LpPool/Div)
        %gradient/f/LpPool/MatMul_2: f32[N, 1, 2, 3] = MatMul(%gradient/f/LpPool/MatMul, %gradient/f/LpPool/constant_3)
        %gradient/f/LpPool/Mul: f32[N, 1, 2, 3] = Mul(%x, %gradient/f/LpPool/MatMul_2)
        %dx/Identity: f32[N, 1, 2, 3] = Identity(%gradient/f/LpPool/Mul)
        ");
    }
}
