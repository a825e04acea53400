//! Conv: a convolution by a weight that does not depend on the images.
//!
//! One spatial axis, with `e = d·(k − 1) + 1` (the extent of the kernel): `y_o = Σ_k w_k · x_{s·o + d·k − p}`, so
//! `dx_i = Σ w_k · g_o` over all `s·o + d·k − p = i`. Operator pages: ONNX `Conv-11`, `ConvTranspose-11`.
//! - Stride 1: that is the convolution of `g` by the kernel reversed and with its channels exchanged within each
//!   group, padded by `e − 1 − p`. The weight is rearranged once, into a constant.
//! - A kernel that tiles the image in few patches: one MatMul ([`patches`]).
//! - Otherwise it is ConvTranspose by the same weight, which crops `p` at the begin.
//!
//! The padding at the end follows from the sizes of `x` and `g`, so rows that a stride leaves over, asymmetric pads
//! and `auto_pad` need no cases of their own. In ONNX Runtime on a CPU the flipped form takes 0.6 to 1.1 times a
//! forward Conv, ConvTranspose 0.9 to 1.7, and 5 to 9 times where it is depthwise.

use super::patches;
use super::step::Step;
use super::weights::flipped;
use super::window::{self, Axis};
use crate::error::Result;
use crate::graph::{Attribute, Attributes, Builder, Node, Shape, ValueId};
use crate::tensor::Tensor;

/// `dx`: a flipped Conv at stride 1, a MatMul over few patches, a ConvTranspose otherwise.
pub(crate) fn conv(step: &mut Step<'_, '_>) -> Result<()> {
    step.refuse(1, "weight")?;
    step.refuse(2, "bias")?;
    let (x, weight, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let x_shape = step.shape(x)?;
    let geometry = Geometry::from_node(step.node(), &x_shape, &step.shape(weight)?, &step.shape(g)?)?;
    let weight_constant = step.constant(weight).cloned();
    step.send(0, |builder| match (geometry.flipped_pads(), weight_constant) {
        (_, Some(constant)) if geometry.is_few_patches() => {
            patches::gradient(builder, g, &constant, &x_shape)
        }
        (Some(pads), Some(constant)) => flipped_conv(builder, g, &constant, &geometry, pads),
        _ => conv_transpose(builder, g, weight, &geometry),
    })
}

fn flipped_conv(
    builder: &mut Builder<'_>,
    g: ValueId,
    weight: &Tensor,
    geometry: &Geometry,
    pads: Vec<i64>,
) -> Result<ValueId> {
    let weight = builder.constant(flipped(weight, geometry.groups)?);
    let attributes = [
        ("dilations", geometry.each(|axis| axis.dilation).into()),
        ("group", (geometry.groups as i64).into()),
        ("pads", pads.into()),
    ];
    builder.op_with("Conv", &[g, weight], attributes)
}

fn conv_transpose(
    builder: &mut Builder<'_>,
    g: ValueId,
    weight: ValueId,
    geometry: &Geometry,
) -> Result<ValueId> {
    // A crop below zero means that the stride left rows over, which `output_padding` puts back.
    let crops = geometry.each(|axis| axis.span() - axis.begin - axis.input);
    let begins = geometry.each(|axis| axis.begin);
    let pads = [begins, crops.iter().map(|crop| *crop.max(&0)).collect()].concat();
    let restored: Vec<i64> = crops.iter().map(|crop| -crop.min(&0)).collect();
    let attributes = Attributes::from_pairs([
        ("dilations", geometry.each(|axis| axis.dilation).into()),
        ("group", (geometry.groups as i64).into()),
        ("output_padding", Attribute::Ints(restored)),
        ("pads", pads.into()),
        ("strides", geometry.each(|axis| axis.stride).into()),
    ]);
    Ok(builder.node("ConvTranspose", vec![Some(g), Some(weight)], attributes, 1)?[0])
}

/// The spatial axes of a convolution, and its groups.
struct Geometry {
    axes: Vec<Axis>,
    groups: usize,
}

impl Geometry {
    fn from_node(node: &Node, x: &Shape, weight: &Shape, y: &Shape) -> Result<Self> {
        let kernel: Vec<usize> = window::spatial(weight)?.into_iter().map(|size| size as usize).collect();
        let groups = usize::try_from(node.attributes.int("group", 1)?).unwrap_or(1).max(1);
        Ok(Self { axes: window::axes(node, x, &kernel, y)?, groups })
    }

    fn each(&self, of: impl Fn(&Axis) -> i64) -> Vec<i64> {
        self.axes.iter().map(of).collect()
    }

    /// Whether the kernel tiles the image, without overlap, gap, padding or rest, in few patches.
    ///
    /// A kernel of one pixel is a product already, and better a Conv.
    fn is_few_patches(&self) -> bool {
        let tiles = |axis: &Axis| {
            axis.dilation == 1
                && axis.kernel == axis.stride
                && axis.begin == 0
                && axis.input == axis.output * axis.stride
        };
        self.groups == 1
            && self.axes.iter().all(tiles)
            && self.axes.iter().any(|axis| axis.stride > 1)
            && patches::are_few(&self.each(|axis| axis.output))
    }

    /// Pads of the flipped convolution: `None` where a stride is not one, or where they would be negative.
    fn flipped_pads(&self) -> Option<Vec<i64>> {
        let begins = self.each(|axis| axis.extent() - 1 - axis.begin);
        let ends = self.each(|axis| axis.input - axis.output + axis.begin);
        let pads = [begins, ends].concat();
        (self.axes.iter().all(|axis| axis.stride == 1) && pads.iter().all(|pad| *pad >= 0)).then_some(pads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, Numbers, adjoint, backward_text, batched, check, function};

    /// A convolution of `x` `[N, dims]` by a weight of that shape; empty attributes are left out.
    #[derive(Clone, Copy)]
    struct Case {
        name: &'static str,
        x: &'static [usize],
        weight: &'static [usize],
        pads: &'static [i64],
        strides: &'static [i64],
        dilations: &'static [i64],
        group: i64,
        auto_pad: &'static str,
    }

    const PLAIN: Case = Case {
        name: "3x3",
        x: &[2, 6, 5],
        weight: &[3, 2, 3, 3],
        pads: &[],
        strides: &[],
        dilations: &[],
        group: 1,
        auto_pad: "NOTSET",
    };

    /// The kernel `[3, 2]` with each `auto_pad`, whose uneven sizes pad one side more.
    const EVEN: Case = Case { weight: &[3, 2, 3, 2], ..PLAIN };

    #[rustfmt::skip]
    const CASES: [Case; 23] = [
        Case { pads: &[1, 1, 1, 1], ..PLAIN },
        Case { name: "1x1", weight: &[4, 2, 1, 1], ..PLAIN },
        Case { name: "asymmetric pads", pads: &[0, 1, 2, 0], ..PLAIN },
        Case { name: "dilated", x: &[2, 7, 7], pads: &[1, 2, 2, 1], dilations: &[2, 3], ..PLAIN },
        Case { name: "grouped", x: &[4, 5, 5], weight: &[6, 2, 3, 3], group: 2, pads: &[1, 1, 1, 1], ..PLAIN },
        Case { name: "depthwise", x: &[3, 5, 5], weight: &[6, 1, 3, 3], group: 3, ..PLAIN },
        Case { name: "more padding than kernel", weight: &[3, 2, 1, 1], pads: &[1, 0, 0, 1], ..PLAIN },
        Case { name: "stride 2", pads: &[1, 1, 1, 1], strides: &[2, 2], ..PLAIN },
        Case { name: "stride 2, 1x1", weight: &[3, 2, 1, 1], strides: &[2, 2], ..PLAIN },
        Case { name: "patches", x: &[3, 8, 8], weight: &[4, 3, 4, 4], strides: &[4, 4], ..PLAIN },
        Case { name: "patches in groups", x: &[4, 6, 6], weight: &[4, 2, 3, 3], group: 2, strides: &[3, 3], ..PLAIN },
        Case { name: "patches that begin in the padding", x: &[2, 4, 4], weight: &[3, 2, 2, 2], pads: &[1, 1, 0, 0], strides: &[2, 2], ..PLAIN },
        Case { name: "patches with a rest", x: &[2, 5, 4], weight: &[3, 2, 2, 2], strides: &[2, 2], ..PLAIN },
        Case { name: "patches with holes", x: &[2, 4, 4], weight: &[3, 2, 2, 2], pads: &[0, 0, 1, 1], strides: &[2, 2], dilations: &[2, 2], ..PLAIN },
        Case { name: "left-over rows", x: &[2, 9, 8], weight: &[3, 2, 2, 3], pads: &[0, 1, 0, 0], strides: &[3, 4], ..PLAIN },
        Case { name: "strided groups", x: &[4, 6, 6], weight: &[4, 2, 3, 3], group: 2, strides: &[2, 1], ..PLAIN },
        Case { name: "same upper", auto_pad: "SAME_UPPER", strides: &[1, 2], ..EVEN },
        Case { name: "same lower", auto_pad: "SAME_LOWER", ..EVEN },
        Case { name: "same lower, strided", auto_pad: "SAME_LOWER", strides: &[2, 3], ..EVEN },
        Case { name: "same lower, with strides that skip pixels", x: &[2, 6, 5], weight: &[3, 2, 1, 1], auto_pad: "SAME_LOWER", strides: &[2, 2], ..PLAIN },
        Case { name: "valid", auto_pad: "VALID", strides: &[2, 1], ..EVEN },
        Case { name: "one spatial axis", x: &[2, 7], weight: &[3, 2, 3], pads: &[1, 1], strides: &[2], ..PLAIN },
        Case { name: "three spatial axes", x: &[1, 4, 3, 4], weight: &[2, 1, 2, 2, 2], pads: &[0, 1, 0, 1, 0, 1], ..PLAIN },
    ];

    fn convolved(builder: &mut Builder<'_>, x: ValueId, case: &Case) -> Result<ValueId> {
        let weight = builder.constant(Numbers::new(1).tensor(case.weight));
        let bias = builder.constant(Numbers::new(2).tensor(&case.weight[..1]));
        let mut attributes =
            Attributes::from_pairs([("auto_pad", case.auto_pad.into()), ("group", case.group.into())]);
        for (name, values) in [("pads", case.pads), ("strides", case.strides), ("dilations", case.dilations)]
        {
            if !values.is_empty() {
                attributes.0.insert(name.to_owned(), values.to_vec().into());
            }
        }
        Ok(builder.node("Conv", vec![Some(x), Some(weight), Some(bias)], attributes, 1)?[0])
    }

    #[test]
    fn gradients_match_central_differences() {
        for case in CASES {
            check(case.name, Domain::Real, batched(case.x), |builder, x| convolved(builder, x, &case));
        }
    }

    #[test]
    fn stride_one_is_a_flipped_conv_and_others_a_transposed_one() {
        let text = |name: &str| {
            let case = CASES.into_iter().find(|case| case.name == name).unwrap();
            backward_text(&function(batched(case.x), |builder, x| convolved(builder, x, &case)).unwrap())
        };
        insta::assert_snapshot!(text("dilated"), @r"
            const %gradient/f/Conv/constant: f32[2, 3, 3, 3] = sha256:728ed09f3bc1b1171761b18413001a8da797e102b231cd7fd6b20281c325c57b
            %gradient/f/Conv/Conv: f32[N, 2, 7, 7] = Conv(%g, %gradient/f/Conv/constant) {dilations = [2, 3], group = 1, pads = [3, 4, 2, 5]}
            %dx/Identity: f32[N, 2, 7, 7] = Identity(%gradient/f/Conv/Conv)
        ");
        insta::assert_snapshot!(text("left-over rows"), @r"
            %gradient/f/Conv/ConvTranspose: f32[N, 2, 9, 8] = ConvTranspose(%g, %f/constant) {dilations = [1, 1], group = 1, output_padding = [1, 2], pads = [0, 1, 0, 0], strides = [3, 4]}
            %dx/Identity: f32[N, 2, 9, 8] = Identity(%gradient/f/Conv/ConvTranspose)
        ");
    }

    #[test]
    fn a_weight_that_depends_on_the_images_is_refused() {
        let by_itself = function(Shape::fixed(&[1, 2, 3, 3]), |builder, x| builder.op("Conv", &[x, x]));
        let error = adjoint(&by_itself.unwrap()).unwrap_err().to_string();
        assert!(error.contains("its weight depends on the images"), "{error}");
    }

    #[test]
    fn a_bias_that_depends_on_the_images_is_refused() {
        let graph = function(Shape::fixed(&[1, 2, 3, 3]), |builder, x| {
            let weight = builder.constant(Numbers::new(1).tensor(&[2, 2, 3, 3]));
            let axes = builder.ints(&[0, 2, 3]);
            let bias = builder.op_with("ReduceSum", &[x, axes], [("keepdims", 0.into())])?;
            builder.op("Conv", &[x, weight, bias])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("its bias depends on the images"), "{error}");
    }
}
