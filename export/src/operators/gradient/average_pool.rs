//! AveragePool: the mean of each window.
//!
//! `y_o = Σ_k x_{s·o + d·k − p} / c_o` on each spatial axis, where `c_o` counts the elements of the window that lie in
//! the image, or, with `count_include_pad`, in the image and its padding. So `dx_i` is the sum of `g_o / c_o` over the
//! windows that hold `i`. Operator page: ONNX `AveragePool-19`.
//! - Windows that tile the image: each `g_o` is repeated over its window (a Resize).
//! - Stride 1: that is an average of `g` again, padded by the rest of the window.
//! - Others: one product by a constant matrix for each axis.
//!
//! Measured in ONNX Runtime 1.32 (one thread, user CPU time, medians; `g` of 8 images). Tiles of 2 × 2, 64 channels, 56
//! pixels: Resize 0.6 ms, matrices 1.4, ConvTranspose 0.8, Expand 48. Windows of 3 × 3 at stride 1, 256 channels, 28
//! pixels: average 2.3 ms, matrices 2.7, depthwise Conv 2.2, ConvTranspose 4.5; at stride 2, 64 channels, 112 pixels:
//! matrices 9.9 ms, ConvTranspose 10.5; 256 channels, 14 pixels: 0.5 and 1.0.

use super::separable::{self, Matrix};
use super::step::Step;
use super::window::{self, Axis};
use crate::error::Result;
use crate::graph::{Builder, ValueId};
use crate::tensor::Tensor;

/// `dx_i = Σ g_o / c_o` over the windows that hold `i`.
pub(crate) fn average_pool(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g, node) = (step.input(0)?, step.cotangent()?, step.node());
    let kernel = window::kernel_shape(node)?;
    let axes = window::axes(node, &step.shape(x)?, &kernel, &step.shape(g)?)?;
    let padding_counts = node.attributes.int("count_include_pad", 0)? != 0;
    step.send(0, |builder| {
        if axes.iter().all(tiles) {
            return repeated(builder, g, &axes);
        }
        if axes.iter().all(gradient_is_average) {
            return average_of(builder, g, &axes, padding_counts);
        }
        let product =
            |g, (index, axis)| separable::adjoint(builder, g, 2 + index, averages(axis, padding_counts)?);
        axes.iter().enumerate().try_fold(g, product)
    })
}

/// Whether the windows cover each element once.
fn tiles(axis: &Axis) -> bool {
    axis.dilation == 1
        && axis.kernel == axis.stride
        && axis.begin == 0
        && axis.end == 0
        && axis.input == axis.output * axis.stride
}

/// `g / c` repeated over each window.
fn repeated(builder: &mut Builder<'_>, g: ValueId, axes: &[Axis]) -> Result<ValueId> {
    let count: i64 = axes.iter().map(|axis| axis.kernel).product();
    let share = builder.scalar(1.0 / count as f32);
    // Scaled first: there are fewer cotangents than pixels.
    let shares = builder.op("Mul", &[g, share])?;
    enlarged(builder, shares, axes)
}

/// Each element repeated `stride` times along each axis.
fn enlarged(builder: &mut Builder<'_>, value: ValueId, axes: &[Axis]) -> Result<ValueId> {
    let scales: Vec<f32> = [1.0, 1.0].into_iter().chain(axes.iter().map(|axis| axis.stride as f32)).collect();
    let scales = builder.constant(Tensor::from_f32(&[scales.len()], &scales));
    let attributes = crate::graph::Attributes::from_pairs([
        ("coordinate_transformation_mode", "asymmetric".into()),
        ("mode", "nearest".into()),
        ("nearest_mode", "floor".into()),
    ]);
    Ok(builder.node("Resize", vec![Some(value), None, Some(scales)], attributes, 1)?[0])
}

/// Whether the gradient is an average of the cotangent: at stride 1, where no window lies in the padding altogether.
fn gradient_is_average(axis: &Axis) -> bool {
    let [begin, end] = pads_of_gradient(axis);
    axis.stride == 1 && axis.dilation == 1 && begin >= 0 && end >= 0 && begin.max(end) < axis.kernel
}

fn pads_of_gradient(axis: &Axis) -> [i64; 2] {
    [axis.extent() - 1 - axis.begin, axis.input - axis.output + axis.begin]
}

/// `average(g·k / c)` over windows of `k` elements; where all windows are full, the factor is 1.
fn average_of(builder: &mut Builder<'_>, g: ValueId, axes: &[Axis], padding_counts: bool) -> Result<ValueId> {
    let weights = window_weights(axes, padding_counts);
    let g = if weights.iter().all(|weight| *weight == 1.0) {
        g
    } else {
        let dims: Vec<usize> = axes.iter().map(|axis| axis.output as usize).collect();
        let weights = builder.constant(Tensor::from_f32(&dims, &weights));
        builder.op("Mul", &[g, weights])?
    };
    let begins = axes.iter().map(|axis| pads_of_gradient(axis)[0]);
    let ends = axes.iter().map(|axis| pads_of_gradient(axis)[1]);
    let kernel: Vec<i64> = axes.iter().map(|axis| axis.kernel).collect();
    let attributes = [
        ("count_include_pad", 1.into()),
        ("kernel_shape", kernel.into()),
        ("pads", begins.chain(ends).collect::<Vec<i64>>().into()),
    ];
    builder.op_with("AveragePool", &[g], attributes)
}

/// `k / c_o` for each window, row-major.
fn window_weights(axes: &[Axis], padding_counts: bool) -> Vec<f32> {
    axes.iter().fold(vec![1.0], |weights, axis| {
        let own: Vec<f32> =
            (0..axis.output).map(|o| axis.kernel as f32 / count(axis, o, padding_counts) as f32).collect();
        weights.iter().flat_map(|weight| own.iter().map(move |factor| weight * factor)).collect()
    })
}

/// The elements of window `o` that the mean is taken over; at least one.
fn count(axis: &Axis, o: i64, padding_counts: bool) -> i64 {
    let counts = |position: i64| {
        if padding_counts { position < axis.input + axis.end } else { (0..axis.input).contains(&position) }
    };
    let counted = (0..axis.kernel).filter(|k| counts(axis.position(o, *k))).count();
    (counted as i64).max(1)
}

/// The means along one axis, `[windows, elements]`.
fn averages(axis: &Axis, padding_counts: bool) -> Result<Matrix> {
    let mut matrix = Matrix::zeros(axis.output as usize, axis.input as usize)?;
    for o in 0..axis.output {
        let share = 1.0 / count(axis, o, padding_counts) as f32;
        let inside = (0..axis.kernel).map(|k| axis.position(o, k)).filter(|at| (0..axis.input).contains(at));
        inside.for_each(|at| matrix.add(o as usize, at as usize, share));
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, backward_text, batched, check, function};
    use crate::testing::attributes;

    /// (input, attributes)
    type Case = (&'static [usize], &'static str);

    #[rustfmt::skip]
    const CASES: [Case; 18] = [
        (&[2, 6, 4], "kernel_shape=[3,2] strides=[3,2]"),
        (&[2, 6, 5], "kernel_shape=[3,3] pads=[1,1,1,1]"),
        (&[2, 6, 5], "kernel_shape=[3,3] pads=[1,1,1,1] count_include_pad=1"),
        (&[2, 6, 5], "kernel_shape=[3,2] pads=[2,0,1,1]"),
        (&[2, 6, 7], "kernel_shape=[5,5] pads=[1,1,1,1]"),
        (&[2, 7, 8], "kernel_shape=[3,2] strides=[2,3]"),
        (&[2, 7, 8], "kernel_shape=[3,3] strides=[2,2] pads=[1,0,1,2]"),
        (&[2, 7, 8], "kernel_shape=[3,3] strides=[2,2] pads=[1,0,1,2] count_include_pad=1"),
        (&[2, 8, 8], "kernel_shape=[3,3] strides=[2,2] ceil_mode=1"),
        (&[2, 8, 8], "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1] ceil_mode=1"),
        (&[2, 8, 8], "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1] ceil_mode=1 count_include_pad=1"),
        (&[2, 9, 9], "kernel_shape=[2,3] strides=[1,2] dilations=[3,2]"),
        (&[2, 9, 9], "kernel_shape=[2,3] dilations=[3,2] pads=[1,2,1,2] count_include_pad=1"),
        (&[2, 5, 6], "kernel_shape=[2,2] strides=[2,2] auto_pad=SAME_UPPER"),
        (&[2, 5, 6], "kernel_shape=[2,2] auto_pad=SAME_LOWER"),
        (&[2, 5, 6], "kernel_shape=[2,2] strides=[2,1] auto_pad=VALID"),
        (&[2, 7], "kernel_shape=[3] strides=[2] pads=[1,1]"),
        (&[1, 4, 5, 6], "kernel_shape=[2,3,2] strides=[2,1,3] pads=[0,1,0,0,1,0]"),
    ];

    #[test]
    fn gradients_match_central_differences() {
        for (input, text) in CASES {
            check(&format!("{input:?} {text}"), Domain::Real, batched(input), |builder, x| {
                Ok(builder.node("AveragePool", vec![Some(x)], attributes(text), 1)?[0])
            });
        }
    }

    #[test]
    fn a_volume_of_tiles_and_one_of_averages() {
        for text in ["kernel_shape=[2,1,3] strides=[2,1,3]", "kernel_shape=[3,3,3] pads=[1,1,1,1,1,1]"] {
            check(text, Domain::Real, batched(&[1, 4, 3, 6]), |builder, x| {
                Ok(builder.node("AveragePool", vec![Some(x)], attributes(text), 1)?[0])
            });
        }
    }

    fn text(input: &[usize], text: &str) -> String {
        let pooled = function(batched(input), |builder, x| {
            Ok(builder.node("AveragePool", vec![Some(x)], attributes(text), 1)?[0])
        });
        backward_text(&pooled.unwrap())
    }

    #[test]
    fn tiles_are_repeated() {
        insta::assert_snapshot!(text(&[2, 4, 4], "kernel_shape=[2,2] strides=[2,2]"), @r#"
        const %gradient/f/AveragePool/constant: f32[] = [0.25]
        const %gradient/f/AveragePool/constant_2: f32[4] = [1.0, 1.0, 2.0, 2.0]
        %gradient/f/AveragePool/Mul: f32[N, 2, 2, 2] = Mul(%g, %gradient/f/AveragePool/constant)
        %gradient/f/AveragePool/Resize: f32[N, 2, 4, 4] = Resize(%gradient/f/AveragePool/Mul, _, %gradient/f/AveragePool/constant_2) {coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"}
        %dx/Identity: f32[N, 2, 4, 4] = Identity(%gradient/f/AveragePool/Resize)
        "#);
    }

    #[test]
    fn stride_one_is_an_average_again() {
        insta::assert_snapshot!(text(&[2, 3, 3], "kernel_shape=[3,3] pads=[1,1,1,1]"), @r"
        const %gradient/f/AveragePool/constant: f32[3, 3] = sha256:9db370a0c3e313657aaf7c00eff8ab7f5d1344b3af17eb6df6424d2a34142b82
        %gradient/f/AveragePool/Mul: f32[N, 2, 3, 3] = Mul(%g, %gradient/f/AveragePool/constant)
        %gradient/f/AveragePool/AveragePool: f32[N, 2, 3, 3] = AveragePool(%gradient/f/AveragePool/Mul) {count_include_pad = 1, kernel_shape = [3, 3], pads = [1, 1, 1, 1]}
        %dx/Identity: f32[N, 2, 3, 3] = Identity(%gradient/f/AveragePool/AveragePool)
        ");
    }

    #[test]
    fn other_windows_are_matrices() {
        insta::assert_snapshot!(text(&[2, 5, 5], "kernel_shape=[3,3] strides=[2,2]"), @r"
        const %gradient/f/AveragePool/constant: f32[5, 2] = sha256:8601e0b51c7971a95c93770af3cd9382664250076bcd718dacc8427af54b7cea
        const %gradient/f/AveragePool/constant_2: f32[2, 5] = sha256:e44e336e51b521d017ec0fd31badc19f40050cbc85e7b0403e74e4c7462dcf74
        %gradient/f/AveragePool/MatMul: f32[N, 2, 5, 2] = MatMul(%gradient/f/AveragePool/constant, %g)
        %gradient/f/AveragePool/MatMul_2: f32[N, 2, 5, 5] = MatMul(%gradient/f/AveragePool/MatMul, %gradient/f/AveragePool/constant_2)
        %dx/Identity: f32[N, 2, 5, 5] = Identity(%gradient/f/AveragePool/MatMul_2)
        ");
    }
}
