//! MaxPool: the largest element of each window.
//!
//! The cotangent of a window goes to the first element, in row-major order, that equals the maximum (as in PyTorch).
//! Operator page: ONNX `MaxPool-12`.
//!
//! There is a kernel for it (`autodiff/kernels.rs`); this is how standard operators do it:
//!
//! The elements of the windows at one kernel offset are a shifted part of one *phase* of the image, the elements
//! `s·i + f` of an axis with stride `s`; SpaceToDepth separates the phases. For one offset after the other, what is
//! left of the cotangent goes where the element equals the maximum; the mask is `min(1, max(0, 1 − (y − x)·MAX))`,
//! which HardSigmoid computes. What arrives in each phase is summed, and DepthToSpace puts the phases together again.
//! At stride 1 the axes follow each other, which takes `2k` offsets instead of `k²`: the first row that holds the
//! maximum, then the first element in that row.
//!
//! The operator's second output, the indices of the maxima, would serve ScatterElements, but a pooling that returns
//! them takes seven times as long, and rten has none. Measured in ONNX Runtime 1.32 (one thread, user CPU time of
//! pooling and gradient, medians of 5 to 7, 8 images), with indices and so: 3 × 3 at stride 1, 256 channels, 28 pixels
//! 54 and 28 ms; 5 × 5 100 and 59 ms; 2 × 2 at stride 2, 64 channels, 112 pixels 55 and 50 ms; 3 × 3 at stride 2 72 and
//! 82 ms (98 and 175 ms with two older forms: x padded first, strided Slices and Where).

use std::cmp::Ordering;

use super::phases::Phases;
use super::step::Step;
use super::window::{self, Axis};
use crate::error::Result;
use crate::graph::own_operators::MAX_POOL_GRADIENT;
use crate::graph::{Builder, Node, ValueId};

/// `dx` is the sum, over the windows, of `g` at the first maximum.
pub(crate) fn max_pool(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, y, g) = (step.input(0)?, step.output()?, step.cotangent()?);
    let kernel = window::kernel_shape(step.node())?;
    let axes = window::axes(step.node(), &step.shape(x)?, &kernel, &step.shape(y)?)?;
    let each = |of: fn(&Axis) -> i64| -> Vec<i64> { axes.iter().map(of).collect() };
    let attributes = [
        ("dilations", each(|axis| axis.dilation).into()),
        ("kernel_shape", each(|axis| axis.kernel).into()),
        ("pads", [each(|axis| axis.begin), each(|axis| axis.end)].concat().into()),
        ("strides", each(|axis| axis.stride).into()),
    ];
    step.send(0, |builder| builder.op_with(MAX_POOL_GRADIENT, &[x, y, g], attributes))
}

/// The gradient in standard operators.
pub(crate) fn lower(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let [x, y, g] = [node.input(0)?, node.input(1)?, node.input(2)?];
    let kernel = window::kernel_shape(node)?;
    let axes = window::axes(node, builder.graph().shape(x)?, &kernel, builder.graph().shape(y)?)?;
    if axes.iter().all(|axis| axis.stride == 1) {
        axis_by_axis(builder, [x, y, g], &axes)
    } else {
        to_first_maximum(builder, [x, y, g], &axes)
    }
}

/// The axes one after the other: first the row of a window that holds its maximum, then the element within the row.
fn axis_by_axis(builder: &mut Builder<'_>, [x, y, g]: [ValueId; 3], axes: &[Axis]) -> Result<ValueId> {
    // The maxima over the last axis, over the last two, …
    let mut pooled = vec![x];
    for index in (1..axes.len()).rev() {
        let inner = pooled[pooled.len() - 1];
        pooled.push(pool(builder, inner, &only(axes, index))?);
    }
    pooled.push(y);
    (0..axes.len()).try_fold(g, |g, index| {
        let (inner, outer) = (pooled[axes.len() - 1 - index], pooled[axes.len() - index]);
        to_first_maximum(builder, [inner, outer, g], &only(axes, index))
    })
}

/// The windows of one axis, when the axes behind it are pooled and those before it are not.
fn only(axes: &[Axis], index: usize) -> Vec<Axis> {
    let whole =
        |size| Axis { input: size, output: size, kernel: 1, stride: 1, dilation: 1, begin: 0, end: 0 };
    let of = |(at, axis): (usize, &Axis)| match at.cmp(&index) {
        Ordering::Less => whole(axis.input),
        Ordering::Equal => *axis,
        Ordering::Greater => whole(axis.output),
    };
    axes.iter().enumerate().map(of).collect()
}

fn pool(builder: &mut Builder<'_>, x: ValueId, axes: &[Axis]) -> Result<ValueId> {
    let each = |of: fn(&Axis) -> i64| -> Vec<i64> { axes.iter().map(of).collect() };
    let attributes = [
        ("dilations", each(|axis| axis.dilation).into()),
        ("kernel_shape", each(|axis| axis.kernel).into()),
        ("pads", [each(|axis| axis.begin), each(|axis| axis.end)].concat().into()),
    ];
    builder.op_with("MaxPool", &[x], attributes)
}

/// The cotangent of `x`: each `g` at the first element of its window that equals `y`.
fn to_first_maximum(builder: &mut Builder<'_>, [x, y, g]: [ValueId; 3], axes: &[Axis]) -> Result<ValueId> {
    let phases = Phases::new(&builder.graph().shape(x)?.clone(), axes)?;
    let separated = phases.separate(builder, x)?;
    let mut sums: Vec<Option<ValueId>> = vec![None; phases.count()];
    let mut left = g;
    let mut offsets = phases.kernel_offsets().into_iter().peekable();
    while let Some(offset) = offsets.next() {
        let mut part = left;
        // What has found no place before the last element of the window belongs there.
        if offsets.peek().is_some() {
            let elements = phases.read(builder, separated, &offset)?;
            let mask = equality_mask(builder, elements, y)?;
            part = builder.op("Mul", &[left, mask])?;
            left = builder.op("Sub", &[left, part])?;
        }
        let part = phases.write(builder, part, &offset)?;
        let sum = &mut sums[offset.phase];
        *sum = Some(match *sum {
            Some(sum) => builder.op("Add", &[sum, part])?,
            None => part,
        });
    }
    phases.join(builder, &sums)
}

/// 1 where `x = y`, 0 where `x < y`; where they differ by less than a normal number, something between.
fn equality_mask(builder: &mut Builder<'_>, x: ValueId, y: ValueId) -> Result<ValueId> {
    let difference = builder.op("Sub", &[x, y])?;
    let attributes = [("alpha", f32::MAX.into()), ("beta", 1.0_f32.into())];
    builder.op_with("HardSigmoid", &[difference], attributes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::Kernels;
    use crate::autodiff::testing::{
        Domain, Numbers, adjoint_with, backward_text, batched, dot, float, function, kernel_text, run,
        session,
    };
    use crate::graph::Graph;
    use crate::testing::attributes;

    fn pooled(input: &[usize], text: &str) -> Graph {
        let build = |builder: &mut Builder<'_>, x| {
            Ok(builder.node("MaxPool", vec![Some(x)], attributes(text), 1)?[0])
        };
        function(batched(input), build).unwrap()
    }

    /// (input, attributes)
    type Case = (&'static [usize], &'static str);

    #[rustfmt::skip]
    const CASES: [Case; 19] = [
        (&[2, 6, 4], "kernel_shape=[2,2] strides=[2,2]"),
        (&[2, 7, 5], "kernel_shape=[2,2] strides=[2,2]"),
        (&[2, 7, 5], "kernel_shape=[2,2] strides=[2,2] ceil_mode=1"),
        (&[2, 6, 7], "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]"),
        (&[2, 8, 8], "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1] ceil_mode=1"),
        (&[2, 8, 8], "kernel_shape=[3,3] strides=[2,2] ceil_mode=1"),
        (&[2, 5, 6], "kernel_shape=[3,2] pads=[1,0,1,1]"),
        (&[2, 5, 6], "kernel_shape=[5,5] pads=[2,2,2,2]"),
        (&[2, 9, 9], "kernel_shape=[3,2] dilations=[2,3] pads=[1,1,0,1]"),
        (&[2, 9, 9], "kernel_shape=[3,3] strides=[2,2] dilations=[3,2] pads=[2,1,2,1]"),
        (&[2, 9, 8], "kernel_shape=[2,3] strides=[3,2] pads=[0,1,1,0]"),
        (&[2, 9, 8], "kernel_shape=[1,1] strides=[2,2]"),
        (&[2, 9, 8], "kernel_shape=[2,1] strides=[3,3] storage_order=1"),
        (&[2, 5, 6], "kernel_shape=[3,3] strides=[2,2] auto_pad=SAME_UPPER"),
        (&[2, 5, 6], "kernel_shape=[2,3] auto_pad=SAME_LOWER"),
        (&[2, 5, 6], "kernel_shape=[2,2] strides=[2,1] auto_pad=VALID"),
        (&[2, 7], "kernel_shape=[3] strides=[2] pads=[1,1]"),
        (&[1, 4, 5, 6], "kernel_shape=[2,3,2] strides=[2,1,3] pads=[0,1,0,0,1,0]"),
        (&[1, 4, 5, 6], "kernel_shape=[2,3,2] pads=[0,1,1,1,0,0]"),
    ];

    /// Numbers that are further from each other than the differences reach would have to be far apart; instead the
    /// output is compared with `⟨dx, x⟩`, because `y` is linear in `x` as long as the maxima stay where they are.
    #[test]
    fn the_gradient_picks_the_maxima() {
        for (input, text) in CASES {
            let forward = pooled(input, text);
            let dims =
                |id| forward.shape(id).unwrap().0.iter().map(|dim| dim.at_batch(2)).collect::<Vec<_>>();
            let (x_dims, y_dims) = (dims(forward.inputs()[0]), dims(forward.outputs()[0]));
            let x = Numbers::new(3).draw(Domain::Real, x_dims.iter().product());
            let y = run(&mut session(&forward), &[float("x", &x_dims, &x)]);
            for kernels in [Kernels::Standard, Kernels::Mimir] {
                let mut backward = session(&adjoint_with(&forward, kernels).unwrap());
                for seed in 0..3 {
                    let g = Numbers::new(seed).draw(Domain::Real, y.len());
                    let dx = run(&mut backward, &[float("x", &x_dims, &x), float("g", &y_dims, &g)]);
                    let (found, wanted) = (dot(&dx, &x), dot(&g, &y));
                    assert!(
                        (found - wanted).abs() < 1e-4,
                        "{input:?} {text}, {kernels:?}: {found}, wanted {wanted}"
                    );
                }
            }
        }
    }

    fn gradient(input: &[usize], text: &str, x: &[f32], g: &[f32]) -> Vec<f32> {
        let forward = pooled(input, text);
        let outputs = forward.shape(forward.outputs()[0]).unwrap().0.iter().map(|dim| dim.at_batch(1));
        let (x_dims, g_dims) = ([&[1], input].concat(), outputs.collect::<Vec<usize>>());
        let [standard, ours] = [Kernels::Standard, Kernels::Mimir].map(|kernels| {
            let mut backward = session(&adjoint_with(&forward, kernels).unwrap());
            run(&mut backward, &[float("x", &x_dims, x), float("g", &g_dims, g)])
        });
        assert_eq!(standard, ours, "{input:?} {text}");
        ours
    }

    #[test]
    fn of_equal_maxima_the_first_gets_all() {
        let tile = gradient(&[1, 2, 2], "kernel_shape=[2,2] strides=[2,2]", &[1.0, 5.0, 5.0, 5.0], &[7.0]);
        assert_eq!(tile, [0.0, 7.0, 0.0, 0.0]);
        let g = [1.0, 2.0, 3.0, 4.0];
        let sliding = gradient(&[1, 3, 3], "kernel_shape=[2,2]", &[-6.0; 9], &g);
        assert_eq!(sliding, [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
        let anti_diagonal = [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let sliding = gradient(&[1, 3, 3], "kernel_shape=[2,2]", &anti_diagonal, &g);
        assert_eq!(sliding, [0.0, 0.0, 2.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
        // The padding equals no maximum, whatever the elements are.
        let strided =
            gradient(&[1, 3, 3], "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", &[-1e30; 9], &g);
        assert_eq!(strided, [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn numbers_that_differ_in_the_last_bit_are_told_apart() {
        let x = [1.0, f32::from_bits(1.0_f32.to_bits() + 1), 1e-25, f32::from_bits(1e-25_f32.to_bits() + 1)];
        let dx = gradient(&[1, 4], "kernel_shape=[2] strides=[2]", &x, &[3.0, 5.0]);
        assert_eq!(dx, [0.0, 3.0, 0.0, 5.0]);
    }

    #[test]
    fn an_engine_with_our_kernels_gets_one_node() {
        let text = kernel_text(&pooled(&[2, 5, 6], "kernel_shape=[1,3] strides=[2,2] auto_pad=SAME_UPPER"));
        insta::assert_snapshot!(text, @r"
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient: f32[N, 2, 5, 6] = ai.mimir::MaxPoolGradient(%x, %f/MaxPool, %g) {dilations = [1, 1], kernel_shape = [1, 3], pads = [0, 0, 0, 1], strides = [2, 2]}
        %dx/Identity: f32[N, 2, 5, 6] = Identity(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient)
        ");
    }

    #[test]
    fn phases_are_separated_and_joined() {
        let text = |text| backward_text(&pooled(&[2, 5, 6], text));
        insta::assert_snapshot!(text("kernel_shape=[1,3] strides=[2,2] pads=[0,1,0,1]"), @r"
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant: i64[8] = [0, 0, 0, 0, 0, 0, 1, 0]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_2: f32[] = [-3.4028235e38]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_3: i64[8] = [0, -2, 0, 1, 0, -4, 0, -1]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_4: f32[] = [-3.4028235e38]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_5: i64[8] = [0, 0, 0, -1, 0, 0, 0, 1]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_6: i64[8] = [0, 0, 0, 0, 0, -6, 0, 0]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_7: f32[] = [-3.4028235e38]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_8: i64[8] = [0, 0, 0, 0, 0, 4, 0, 0]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_9: i64[8] = [0, 0, 0, 0, 0, 0, -1, 0]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/constant: i64[6] = [-1, 2, 3, 2, 3, 2]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/constant_2: i64[4] = [-1, 8, 3, 3]
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad: f32[N, 2, 6, 6] = Pad(%x, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_2)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/Reshape: f32[N, 2, 3, 2, 3, 2] = Reshape(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/constant)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/Transpose: f32[N, 2, 2, 2, 3, 3] = Transpose(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/Reshape) {perm = [0, 3, 5, 1, 2, 4]}
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/Reshape_2: f32[N, 8, 3, 3] = Reshape(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/Transpose, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/constant_2)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth: f32[N, 8, 3, 3] = Identity(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth/Reshape_2)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_2: f32[N, 2, 3, 3] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_3, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_4)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub: f32[N, 2, 3, 3] = Sub(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_2, %f/MaxPool)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/HardSigmoid: f32[N, 2, 3, 3] = HardSigmoid(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub) {alpha = 3.4028235e38, beta = 1.0}
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul: f32[N, 2, 3, 3] = Mul(%g, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/HardSigmoid)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_2: f32[N, 2, 3, 3] = Sub(%g, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_3: f32[N, 2, 3, 3] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_5)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_4: f32[N, 2, 3, 3] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/SpaceToDepth, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_6, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_7)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_3: f32[N, 2, 3, 3] = Sub(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_4, %f/MaxPool)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/HardSigmoid_2: f32[N, 2, 3, 3] = HardSigmoid(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_3) {alpha = 3.4028235e38, beta = 1.0}
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul_2: f32[N, 2, 3, 3] = Mul(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_2, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/HardSigmoid_2)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_4: f32[N, 2, 3, 3] = Sub(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_2, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul_2)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Add: f32[N, 2, 3, 3] = Add(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_3, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_4)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_5: f32[N, 6, 3, 3] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Add, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_8)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Concat: f32[N, 8, 3, 3] = Concat(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul_2, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_5) {axis = 1}
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/DepthToSpace: f32[N, 2, 6, 6] = DepthToSpace(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Concat) {blocksize = 2}
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_6: f32[N, 2, 5, 6] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/DepthToSpace, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_9)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient: f32[N, 2, 5, 6] = Identity(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_6)
        %dx/Identity: f32[N, 2, 5, 6] = Identity(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient)
        ");
    }

    #[test]
    fn at_stride_one_the_axes_follow_each_other() {
        insta::assert_snapshot!(backward_text(&pooled(&[2, 4, 4], "kernel_shape=[2,2]")), @r"
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant: i64[8] = [0, 0, 0, 0, 0, 0, -1, 0]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_2: f32[] = [-3.4028235e38]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_3: i64[8] = [0, 0, 0, 0, 0, 0, 1, 0]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_4: i64[8] = [0, 0, 1, 0, 0, 0, 0, 0]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_5: i64[8] = [0, 0, 0, 0, 0, 0, 0, -1]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_6: f32[] = [-3.4028235e38]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_7: i64[8] = [0, 0, 0, 0, 0, 0, 0, 1]
        const %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_8: i64[8] = [0, 0, 0, 1, 0, 0, 0, 0]
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/MaxPool: f32[N, 2, 4, 3] = MaxPool(%x) {dilations = [1, 1], kernel_shape = [1, 2], pads = [0, 0, 0, 0]}
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad: f32[N, 2, 3, 3] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/MaxPool, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_2)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub: f32[N, 2, 3, 3] = Sub(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad, %f/MaxPool)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/HardSigmoid: f32[N, 2, 3, 3] = HardSigmoid(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub) {alpha = 3.4028235e38, beta = 1.0}
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul: f32[N, 2, 3, 3] = Mul(%g, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/HardSigmoid)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_2: f32[N, 2, 3, 3] = Sub(%g, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_2: f32[N, 2, 4, 3] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_3)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_3: f32[N, 2, 4, 3] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_2, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_4)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Add: f32[N, 2, 4, 3] = Add(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_2, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_3)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_4: f32[N, 2, 4, 3] = Pad(%x, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_5, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_6)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_3: f32[N, 2, 4, 3] = Sub(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_4, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/MaxPool)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/HardSigmoid_2: f32[N, 2, 4, 3] = HardSigmoid(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_3) {alpha = 3.4028235e38, beta = 1.0}
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul_2: f32[N, 2, 4, 3] = Mul(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Add, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/HardSigmoid_2)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_4: f32[N, 2, 4, 3] = Sub(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Add, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul_2)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_5: f32[N, 2, 4, 4] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Mul_2, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_7)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_6: f32[N, 2, 4, 4] = Pad(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Sub_4, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/constant_8)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Add_2: f32[N, 2, 4, 4] = Add(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_5, %gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Pad_6)
        %gradient/f/MaxPool/ai.mimir::MaxPoolGradient: f32[N, 2, 4, 4] = Identity(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient/Add_2)
        %dx/Identity: f32[N, 2, 4, 4] = Identity(%gradient/f/MaxPool/ai.mimir::MaxPoolGradient)
        ");
    }
}
