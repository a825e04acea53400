//! InstanceNormalization and GroupNormalization: each group of channels of each image standardised by itself.
//!
//! `y = γ·(x − mean x)/√(var x + ε) + β` over the spatial axes of one channel, or of the channels of one group. The
//! gradient is that of [`standardise`](super::standardise) with `h = g·γ`, in the shape `[N, groups, …]`. Before opset
//! 21 the scale of GroupNormalization is one number per group, from then on one per channel; both are known by their
//! length. Operator pages: ONNX `InstanceNormalization-6`, `GroupNormalization-18` and `-21`; Ulyanov et al. 2016, Wu
//! and He 2018.

use super::broadcast::reshape;
use super::standardise::{Centre, pull_back};
use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};
use crate::tensor::Tensor;

/// What both rules refuse.
/// `dx` of a standardisation of each channel.
pub(crate) fn instance_normalization(step: &mut Step<'_, '_>) -> Result<()> {
    let channels = channels(step)?;
    in_groups(step, channels)
}

/// `dx` of a standardisation of each group of channels.
pub(crate) fn group_normalization(step: &mut Step<'_, '_>) -> Result<()> {
    let groups = step.node().attributes.int("num_groups", 0)?;
    let channels = channels(step)?;
    let groups =
        usize::try_from(groups).ok().filter(|groups| *groups > 0 && channels.is_multiple_of(*groups));
    in_groups(
        step,
        groups.ok_or_else(|| Error::format("attribute `num_groups` does not divide the channels"))?,
    )
}

fn channels(step: &Step<'_, '_>) -> Result<usize> {
    let shape = step.shape(step.input(0)?)?;
    shape.0.get(1).copied().and_then(Dim::fixed).ok_or_else(|| {
        Error::shape(format!("the input is {shape}, wanted [N, C, …] with a fixed number of channels"))
    })
}

fn in_groups(step: &mut Step<'_, '_>, groups: usize) -> Result<()> {
    step.refuse(1, "scale")?;
    step.refuse(2, "bias")?;
    let epsilon = step.node().attributes.float("epsilon", 1e-5)?;
    let (x, scale, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let shape = step.shape(x)?;
    let grouped = grouped(&shape, groups)?;
    let axes: Vec<usize> = (2..grouped.rank()).collect();
    step.send(0, |builder| {
        let h = scaled(builder, g, scale, &shape)?;
        let x = reshape(builder, x, &grouped)?;
        let h = reshape(builder, h, &grouped)?;
        let dx = pull_back(builder, x, h, &axes, epsilon, Centre::Mean)?;
        reshape(builder, dx, &shape)
    })
}

/// `[N, C, …]` as `[N, groups, elements of a group]`.
fn grouped(shape: &Shape, groups: usize) -> Result<Shape> {
    let of_an_image = Shape(shape.0[1..].to_vec()).elements().and_then(Dim::fixed).ok_or_else(|| {
        Error::unsupported(format!("the input is {shape}, wanted fixed sizes after the batch"))
    })?;
    Ok(Shape(vec![shape.0[0], Dim::Fixed(groups), Dim::Fixed(of_an_image / groups.max(1))]))
}

/// `g·γ` with `γ` per channel or per group.
fn scaled(builder: &mut Builder<'_>, g: ValueId, scale: ValueId, shape: &Shape) -> Result<ValueId> {
    let count = builder.graph().shape(scale)?.elements().and_then(Dim::fixed).unwrap_or_default();
    let channels = shape.0[1].fixed().unwrap_or_default();
    let mut dims = vec![1; shape.rank() - 1];
    dims[0] = channels;
    if count == channels {
        let scale = reshape(builder, scale, &Shape::fixed(&dims))?;
        return builder.op("Mul", &[g, scale]);
    }
    let per_group = builder
        .graph()
        .constant(scale)
        .and_then(Tensor::to_f32)
        .ok_or_else(|| Error::unsupported("its scale is not a constant float tensor after folding"))?;
    let size = channels / count.max(1);
    let per_channel: Vec<f32> =
        per_group.iter().flat_map(|value| std::iter::repeat_n(*value, size)).collect();
    let scale = builder.constant(Tensor::from_f32(&dims, &per_channel));
    builder.op("Mul", &[g, scale])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{
        Domain, Numbers, adjoint, backward_text, batched, check, check_graph, function,
    };
    use crate::graph::{Attribute, Graph};

    const EPSILON: (&str, Attribute) = ("epsilon", Attribute::Float(1e-3));

    fn instance(builder: &mut Builder<'_>, x: ValueId, channels: usize) -> Result<ValueId> {
        let mut numbers = Numbers::new(1);
        let [scale, bias] = [(); 2].map(|()| builder.constant(numbers.tensor(&[channels])));
        builder.op_with("InstanceNormalization", &[x, scale, bias], [EPSILON])
    }

    /// GroupNormalization of that opset, whose scale has `parameters` elements.
    fn group(dims: &[usize], groups: i64, parameters: usize, opset: u32) -> Graph {
        let mut graph = function(batched(dims), |builder, x| {
            let mut numbers = Numbers::new(1);
            let [scale, bias] = [(); 2].map(|()| builder.constant(numbers.tensor(&[parameters])));
            let attributes = [EPSILON, ("num_groups", groups.into())];
            builder.op_with("GroupNormalization", &[x, scale, bias], attributes)
        })
        .unwrap();
        graph.opset = opset;
        graph
    }

    #[test]
    fn each_channel_by_itself() {
        for dims in [&[3, 5][..], &[3, 2, 4], &[2, 2, 2, 3]] {
            check(&format!("{dims:?}"), Domain::Real, batched(dims), |builder, x| {
                instance(builder, x, dims[0])
            });
        }
    }

    #[test]
    fn each_group_by_itself_in_both_forms() {
        for (dims, groups) in [(&[6, 5][..], 2), (&[6, 2, 2], 3), (&[4, 3, 3], 1), (&[4, 2, 2], 4), (&[6], 2)]
        {
            let channels = dims[0];
            let case = |form: &str| format!("{dims:?} in {groups} groups, scale per {form}");
            check_graph(&case("channel"), Domain::Real, &group(dims, groups, channels, 21));
            check_graph(&case("group"), Domain::Real, &group(dims, groups, groups as usize, 20));
        }
    }

    #[test]
    fn a_scale_that_depends_on_the_images_is_refused() {
        let graph = function(Shape::fixed(&[1, 3, 4]), |builder, x| {
            let axes = builder.ints(&[0, 2]);
            let scale = builder.op_with("ReduceSum", &[x, axes], [("keepdims", 0.into())])?;
            builder.op("InstanceNormalization", &[x, scale, scale])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("its scale depends on the images; no gradient rule for that"), "{error}");
    }

    #[test]
    fn groups_that_do_not_divide_the_channels_are_refused() {
        let graph = function(batched(&[4, 2]), |builder, x| {
            let scale = builder.constant(Numbers::new(1).tensor(&[4]));
            builder.op_with("GroupNormalization", &[x, scale, scale], [("num_groups", 3.into())])
        });
        assert!(graph.unwrap_err().to_string().contains("num_groups"));
    }

    #[test]
    fn the_subgraph_works_on_rows_of_a_group() {
        let graph = function(batched(&[2, 4]), |builder, x| instance(builder, x, 2));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/InstanceNormalization/constant: f32[2, 1] = [0.029175961, -1.0153786]
            const %gradient/f/InstanceNormalization/constant_2: i64[1] = [2]
            const %gradient/f/InstanceNormalization/constant_3: i64[1] = [2]
            const %gradient/f/InstanceNormalization/constant_4: f32[] = [0.001]
            const %gradient/f/InstanceNormalization/constant_5: i64[1] = [2]
            const %gradient/f/InstanceNormalization/constant_6: i64[1] = [2]
            %gradient/f/InstanceNormalization/Mul: f32[N, 2, 4] = Mul(%g, %gradient/f/InstanceNormalization/constant)
            %gradient/f/InstanceNormalization/ReduceMean: f32[N, 2, 1] = ReduceMean(%x, %gradient/f/InstanceNormalization/constant_2) {keepdims = 1}
            %gradient/f/InstanceNormalization/Sub: f32[N, 2, 4] = Sub(%x, %gradient/f/InstanceNormalization/ReduceMean)
            %gradient/f/InstanceNormalization/Mul_2: f32[N, 2, 4] = Mul(%gradient/f/InstanceNormalization/Sub, %gradient/f/InstanceNormalization/Sub)
            %gradient/f/InstanceNormalization/ReduceMean_2: f32[N, 2, 1] = ReduceMean(%gradient/f/InstanceNormalization/Mul_2, %gradient/f/InstanceNormalization/constant_3) {keepdims = 1}
            %gradient/f/InstanceNormalization/Add: f32[N, 2, 1] = Add(%gradient/f/InstanceNormalization/ReduceMean_2, %gradient/f/InstanceNormalization/constant_4)
            %gradient/f/InstanceNormalization/Sqrt: f32[N, 2, 1] = Sqrt(%gradient/f/InstanceNormalization/Add)
            %gradient/f/InstanceNormalization/Reciprocal: f32[N, 2, 1] = Reciprocal(%gradient/f/InstanceNormalization/Sqrt)
            %gradient/f/InstanceNormalization/Mul_3: f32[N, 2, 4] = Mul(%gradient/f/InstanceNormalization/Mul, %gradient/f/InstanceNormalization/Sub)
            %gradient/f/InstanceNormalization/ReduceMean_3: f32[N, 2, 1] = ReduceMean(%gradient/f/InstanceNormalization/Mul_3, %gradient/f/InstanceNormalization/constant_5) {keepdims = 1}
            %gradient/f/InstanceNormalization/Mul_4: f32[N, 2, 1] = Mul(%gradient/f/InstanceNormalization/Reciprocal, %gradient/f/InstanceNormalization/Reciprocal)
            %gradient/f/InstanceNormalization/Mul_5: f32[N, 2, 1] = Mul(%gradient/f/InstanceNormalization/ReduceMean_3, %gradient/f/InstanceNormalization/Mul_4)
            %gradient/f/InstanceNormalization/Mul_6: f32[N, 2, 4] = Mul(%gradient/f/InstanceNormalization/Sub, %gradient/f/InstanceNormalization/Mul_5)
            %gradient/f/InstanceNormalization/ReduceMean_4: f32[N, 2, 1] = ReduceMean(%gradient/f/InstanceNormalization/Mul, %gradient/f/InstanceNormalization/constant_6) {keepdims = 1}
            %gradient/f/InstanceNormalization/Sub_2: f32[N, 2, 4] = Sub(%gradient/f/InstanceNormalization/Mul, %gradient/f/InstanceNormalization/ReduceMean_4)
            %gradient/f/InstanceNormalization/Sub_3: f32[N, 2, 4] = Sub(%gradient/f/InstanceNormalization/Sub_2, %gradient/f/InstanceNormalization/Mul_6)
            %gradient/f/InstanceNormalization/Mul_7: f32[N, 2, 4] = Mul(%gradient/f/InstanceNormalization/Sub_3, %gradient/f/InstanceNormalization/Reciprocal)
            %dx/Identity: f32[N, 2, 4] = Identity(%gradient/f/InstanceNormalization/Mul_7)
        ");
    }
}
