//! ConvTranspose: the adjoint of a convolution, by a weight that does not depend on the images.
//!
//! One spatial axis: `y_{s·i + d·k − p} = Σ w_k·x_i`, so `dx_i = Σ_k w_k·g_{s·i + d·k − p}`: the convolution of `g` by
//! the same weight. Operator page: ONNX `ConvTranspose-11`.

use super::step::Step;
use super::window;
use crate::error::Result;
use crate::graph::{Attributes, Builder, Node, ValueId};

/// `dx = conv(g, w)`.
pub(crate) fn conv_transpose(step: &mut Step<'_, '_>) -> Result<()> {
    step.refuse(1, "weight")?;
    step.refuse(2, "bias")?;
    let (x, weight, g, node) = (step.input(0)?, step.input(1)?, step.cotangent()?, step.node());
    let kernel = window::spatial(&step.shape(weight)?)?;
    let (inputs, outputs) = (window::spatial(&step.shape(x)?)?, window::spatial(&step.shape(g)?)?);
    let strides = window::numbers(node, "strides", kernel.len(), 1)?;
    let dilations = window::numbers(node, "dilations", kernel.len(), 1)?;
    let mut pads = vec![0; 2 * kernel.len()];
    for index in 0..kernel.len() {
        let extent = dilations[index] * (kernel[index] - 1) + 1;
        // The output without padding, beside the one that there is.
        let cut = (inputs[index] - 1) * strides[index] + extent - outputs[index];
        pads[index] = begin_pad(node, index, kernel.len(), cut)?;
        pads[index + kernel.len()] = cut - pads[index];
    }
    let attributes = Attributes::from_pairs([
        ("dilations", dilations.into()),
        ("group", node.attributes.int("group", 1)?.into()),
        ("strides", strides.into()),
    ]);
    step.send(0, |builder| convolved(builder, [g, weight], attributes, &pads))
}

/// What ConvTranspose cuts off at the begin of an axis, of all that it cuts off.
fn begin_pad(node: &Node, index: usize, axes: usize, cut: i64) -> Result<i64> {
    let upper = node.attributes.text("auto_pad", "NOTSET")? == "SAME_UPPER";
    let computed = node.attributes.ints("output_shape")?.is_some()
        || node.attributes.text("auto_pad", "NOTSET")?.starts_with("SAME");
    if computed {
        let cut = cut.max(0);
        return Ok(if upper { cut / 2 } else { cut - cut / 2 });
    }
    if node.attributes.text("auto_pad", "NOTSET")? == "VALID" {
        return Ok(0);
    }
    Ok(window::numbers(node, "pads", 2 * axes, 0)?[index])
}

/// Conv with pads of either sign.
fn convolved(
    builder: &mut Builder<'_>,
    [g, weight]: [ValueId; 2],
    mut attributes: Attributes,
    pads: &[i64],
) -> Result<ValueId> {
    let g = cropped(builder, g, pads)?;
    attributes.0.insert("pads".to_owned(), pads.iter().map(|pad| *pad.max(&0)).collect::<Vec<i64>>().into());
    Ok(builder.node("Conv", vec![Some(g), Some(weight)], attributes, 1)?[0])
}

/// What `output_padding` added belongs to no element of `x`.
fn cropped(builder: &mut Builder<'_>, g: ValueId, pads: &[i64]) -> Result<ValueId> {
    if pads.iter().all(|pad| *pad >= 0) {
        return Ok(g);
    }
    let crops =
        |pads: &[i64]| [0, 0].into_iter().chain(pads.iter().map(|pad| *pad.min(&0))).collect::<Vec<i64>>();
    let (begins, ends) = pads.split_at(pads.len() / 2);
    let crop = builder.ints(&[crops(begins), crops(ends)].concat());
    builder.op("Pad", &[g, crop])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, adjoint, backward_text, batched, check, function};
    use crate::error::Result;
    use crate::graph::{Builder, Graph, Shape, ValueId};
    use crate::testing::attributes;

    /// (input, weight, attributes)
    type Case = (&'static [usize], &'static [usize], &'static str);

    #[rustfmt::skip]
    const CASES: [Case; 15] = [
        (&[2, 4, 3], &[2, 3, 3, 3], ""),
        (&[2, 4, 3], &[2, 3, 3, 2], "strides=[2,2] pads=[1,0,1,1]"),
        (&[2, 4, 3], &[2, 3, 3, 2], "strides=[2,3] output_padding=[1,2]"),
        (&[2, 4, 3], &[2, 3, 3, 3], "strides=[2,2] pads=[1,1,1,1] output_padding=[1,1]"),
        (&[4, 4, 3], &[4, 3, 2, 2], "strides=[2,2] group=2"),
        (&[3, 4, 3], &[3, 1, 3, 3], "group=3 dilations=[2,1]"),
        (&[2, 4, 3], &[2, 3, 3, 3], "strides=[3,2] output_shape=[10,8]"),
        (&[2, 4, 3], &[2, 3, 3, 3], "strides=[3,2] output_shape=[10,6] auto_pad=SAME_UPPER"),
        (&[2, 4, 3], &[2, 3, 4, 3], "strides=[3,2] output_shape=[9,6] auto_pad=SAME_LOWER"),
        (&[2, 4, 3], &[2, 3, 4, 3], "strides=[1,2] auto_pad=SAME_UPPER"),
        (&[2, 4, 3], &[2, 3, 4, 3], "strides=[1,2] auto_pad=SAME_LOWER"),
        (&[2, 4, 3], &[2, 3, 2, 3], "strides=[3,2] auto_pad=VALID"),
        (&[2, 4, 3], &[2, 3, 1, 1], "strides=[3,2] output_padding=[2,1]"),
        (&[2, 5], &[2, 3, 3], "strides=[2] pads=[1,0]"),
        (&[1, 2, 3, 2], &[1, 2, 2, 3, 2], "strides=[2,1,2] pads=[0,1,0,1,1,0]"),
    ];

    fn upsampled(builder: &mut Builder<'_>, x: ValueId, weight: &[usize], text: &str) -> Result<ValueId> {
        let group = attributes(text).int("group", 1)? as usize;
        let bias = builder.constant(Numbers::new(2).tensor(&[weight[1] * group]));
        let weight = builder.constant(Numbers::new(1).tensor(weight));
        Ok(builder.node("ConvTranspose", vec![Some(x), Some(weight), Some(bias)], attributes(text), 1)?[0])
    }

    #[test]
    fn gradients_match_central_differences() {
        for (input, weight, text) in CASES {
            let case = format!("{input:?} {weight:?} {text}");
            check(&case, Domain::Real, batched(input), |builder, x| upsampled(builder, x, weight, text));
        }
    }

    #[test]
    fn the_gradient_is_a_convolution() {
        let text = |input: &[usize], weight: &[usize], text: &str| {
            backward_text(
                &function(batched(input), |builder, x| upsampled(builder, x, weight, text)).unwrap(),
            )
        };
        insta::assert_snapshot!(text(&[2, 4, 3], &[2, 3, 3, 3], "strides=[2,2] pads=[1,1,1,1] output_padding=[1,1]"), @r"
        %gradient/f/ConvTranspose/Conv: f32[N, 2, 4, 3] = Conv(%g, %f/constant_2) {dilations = [1, 1], group = 1, pads = [1, 1, 0, 0], strides = [2, 2]}
        %dx/Identity: f32[N, 2, 4, 3] = Identity(%gradient/f/ConvTranspose/Conv)
        ");
        insta::assert_snapshot!(text(&[2, 4, 3], &[2, 3, 1, 1], "strides=[3,2] output_padding=[2,1]"), @r"
        const %gradient/f/ConvTranspose/constant: i64[8] = [0, 0, 0, 0, 0, 0, -2, -1]
        %gradient/f/ConvTranspose/Pad: f32[N, 3, 10, 5] = Pad(%g, %gradient/f/ConvTranspose/constant)
        %gradient/f/ConvTranspose/Conv: f32[N, 2, 4, 3] = Conv(%gradient/f/ConvTranspose/Pad, %f/constant_2) {dilations = [1, 1], group = 1, pads = [0, 0, 0, 0], strides = [3, 2]}
        %dx/Identity: f32[N, 2, 4, 3] = Identity(%gradient/f/ConvTranspose/Conv)
        ");
    }

    #[test]
    fn a_weight_that_depends_on_the_images_is_refused() {
        let by_itself: Result<Graph> = function(batched(&[2, 3, 3]), |builder, x| {
            let axes = builder.ints(&[0]);
            let weight = builder.op_with("ReduceSum", &[x, axes], [("keepdims", 1.into())])?;
            let rows = builder.ints(&[2, 1, 3, 3]);
            let weight = builder.op("Reshape", &[weight, rows])?;
            builder.op("ConvTranspose", &[x, weight])
        });
        let error = adjoint(&by_itself.unwrap()).unwrap_err().to_string();
        assert!(error.contains("its weight depends on the images"), "{error}");
    }

    #[test]
    fn a_bias_that_depends_on_the_images_is_refused() {
        let graph = function(Shape::fixed(&[1, 2, 3, 3]), |builder, x| {
            let weight = builder.constant(Numbers::new(1).tensor(&[2, 2, 3, 3]));
            let axes = builder.ints(&[0, 2, 3]);
            let bias = builder.op_with("ReduceSum", &[x, axes], [("keepdims", 0.into())])?;
            builder.op("ConvTranspose", &[x, weight, bias])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("its bias depends on the images"), "{error}");
    }
}
