//! RMSNormalization over the axes from `axis` on.
//!
//! `y = γ·x·r` with `r = 1/√(mean x² + ε)`. With `h = g·γ`: `dx = r·(h − x·r²·mean(h·x))`.
//! Operator page: ONNX `RMSNormalization-23`; Zhang and Sennrich 2019.

use super::standardise::{Centre, pull_back};
use super::step::Step;
use crate::error::Result;

/// `dx = r·(h − x·r²·mean(h·x))`.
pub(crate) fn rms_normalization(step: &mut Step<'_, '_>) -> Result<()> {
    step.refuse(1, "scale")?;
    let attributes = &step.node().attributes;
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let (x, scale, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let shape = step.shape(x)?;
    let axes: Vec<usize> = (shape.axis(attributes.int("axis", -1)?)?..shape.rank()).collect();
    step.send(0, |builder| {
        let h = builder.op("Mul", &[g, scale])?;
        pull_back(builder, x, h, &axes, epsilon, Centre::Zero)
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, adjoint, backward_text, batched, check_graph, function};
    use crate::graph::{Attribute, Graph};

    fn normalised(dims: &[usize], axis: i64, scale: &[usize]) -> Graph {
        let mut graph = function(batched(dims), |builder, x| {
            let scale = builder.constant(Numbers::new(1).tensor(scale));
            let attributes = [("axis", axis.into()), ("epsilon", Attribute::Float(1e-3))];
            builder.op_with("RMSNormalization", &[x, scale], attributes)
        })
        .unwrap();
        graph.opset = 23;
        graph
    }

    #[test]
    fn gradients_match_central_differences() {
        for (axis, scale) in [(-1, &[6][..]), (2, &[6]), (1, &[3, 6]), (-2, &[3, 1]), (-1, &[1])] {
            let case = format!("axis {axis}, scale {scale:?}");
            check_graph(&case, Domain::Real, &normalised(&[3, 6], axis, scale));
        }
    }

    #[test]
    fn a_scale_that_depends_on_the_images_is_refused() {
        let graph = function(batched(&[3]), |builder, x| builder.op("RMSNormalization", &[x, x]));
        // A scale of the batch's own shape is not even a scale.
        assert!(graph.is_err());
        let graph = function(crate::graph::Shape::fixed(&[3]), |builder, x| {
            builder.op_with("RMSNormalization", &[x, x], [("axis", 0.into())])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
        assert!(error.contains("its scale depends on the images; no gradient rule for that"), "{error}");
    }

    #[test]
    fn the_subgraph_does_not_centre() {
        insta::assert_snapshot!(backward_text(&normalised(&[8], -1, &[8])), @r"
            const %gradient/f/RMSNormalization/constant: i64[1] = [1]
            const %gradient/f/RMSNormalization/constant_2: f32[] = [0.001]
            const %gradient/f/RMSNormalization/constant_3: i64[1] = [1]
            %gradient/f/RMSNormalization/Mul: f32[N, 8] = Mul(%g, %f/constant)
            %gradient/f/RMSNormalization/Mul_2: f32[N, 8] = Mul(%x, %x)
            %gradient/f/RMSNormalization/ReduceMean: f32[N, 1] = ReduceMean(%gradient/f/RMSNormalization/Mul_2, %gradient/f/RMSNormalization/constant) {keepdims = 1}
            %gradient/f/RMSNormalization/Add: f32[N, 1] = Add(%gradient/f/RMSNormalization/ReduceMean, %gradient/f/RMSNormalization/constant_2)
            %gradient/f/RMSNormalization/Sqrt: f32[N, 1] = Sqrt(%gradient/f/RMSNormalization/Add)
            %gradient/f/RMSNormalization/Reciprocal: f32[N, 1] = Reciprocal(%gradient/f/RMSNormalization/Sqrt)
            %gradient/f/RMSNormalization/Mul_3: f32[N, 8] = Mul(%gradient/f/RMSNormalization/Mul, %x)
            %gradient/f/RMSNormalization/ReduceMean_2: f32[N, 1] = ReduceMean(%gradient/f/RMSNormalization/Mul_3, %gradient/f/RMSNormalization/constant_3) {keepdims = 1}
            %gradient/f/RMSNormalization/Mul_4: f32[N, 1] = Mul(%gradient/f/RMSNormalization/Reciprocal, %gradient/f/RMSNormalization/Reciprocal)
            %gradient/f/RMSNormalization/Mul_5: f32[N, 1] = Mul(%gradient/f/RMSNormalization/ReduceMean_2, %gradient/f/RMSNormalization/Mul_4)
            %gradient/f/RMSNormalization/Mul_6: f32[N, 8] = Mul(%x, %gradient/f/RMSNormalization/Mul_5)
            %gradient/f/RMSNormalization/Sub: f32[N, 8] = Sub(%gradient/f/RMSNormalization/Mul, %gradient/f/RMSNormalization/Mul_6)
            %gradient/f/RMSNormalization/Mul_7: f32[N, 8] = Mul(%gradient/f/RMSNormalization/Sub, %gradient/f/RMSNormalization/Reciprocal)
            %dx/Identity: f32[N, 8] = Identity(%gradient/f/RMSNormalization/Mul_7)
        ");
    }

    #[test]
    fn the_last_axis_alone_is_the_default() {
        let mut graph = function(batched(&[3, 6]), |builder, x| {
            let scale = builder.constant(Numbers::new(1).tensor(&[6]));
            builder.op("RMSNormalization", &[x, scale])
        })
        .unwrap();
        graph.opset = 23;
        check_graph("default axis", Domain::Real, &graph);
    }
}
