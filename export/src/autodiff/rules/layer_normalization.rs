//! LayerNormalization over the axes from `axis` on.
//!
//! `y = γ·c·r + β` with `c = x − mean x` and `r = 1/√(mean c² + ε)`. With `h = g·γ`:
//! `dx = r·(h − mean h − c·r²·mean(h·c))`. Operator page: ONNX `LayerNormalization-17`; Ba, Kiros and Hinton 2016.
//!
//! The statistics are computed again. The operator can hand them out, but not every runtime supports that
//! (`onnx-autodiff.md` 1.5), and it gains nothing: forward and gradient over forward of a ViT-T of depth 4 is 2.25 this
//! way and 2.23 that way, which differ less than runs do (ONNX Runtime 1.32, one thread, CPU time).

use super::Entry;
use super::standardise::{Centre, pull_back};
use crate::autodiff::step::Step;
use crate::error::Result;

pub(super) const RULES: &[Entry] = &[Entry::exact("LayerNormalization", 17, layer_normalization)
    .limited("one output; scale and bias must not depend on the images")];

/// `dx = r·(h − mean h − c·r²·mean(h·c))`.
pub(super) fn layer_normalization(step: &mut Step<'_, '_>) -> Result<()> {
    let attributes = &step.node().attributes;
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let (x, scale, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    step.refuse(1, "scale")?;
    step.refuse(2, "bias")?;
    let shape = step.shape(x)?;
    let axes: Vec<usize> = (shape.axis(attributes.int("axis", -1)?)?..shape.rank()).collect();
    step.send(0, |builder| {
        let h = builder.op("Mul", &[g, scale])?;
        pull_back(builder, x, h, &axes, epsilon, Centre::Mean)
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, Numbers, adjoint, backward_text, batched, check, check_graph, function,
    };
    use crate::error::Result;
    use crate::graph::{Attribute, Attributes, Builder, ValueId};

    fn normalised(builder: &mut Builder<'_>, x: ValueId, axis: i64, dims: &[usize]) -> Result<ValueId> {
        let mut numbers = Numbers::new(1);
        let [scale, bias] = [(); 2].map(|()| builder.constant(numbers.tensor(dims)));
        let attributes = [("axis", axis.into()), ("epsilon", Attribute::Float(1e-3))];
        builder.op_with("LayerNormalization", &[x, scale, bias], attributes)
    }

    #[test]
    fn gradients_match_central_differences() {
        for (axis, dims) in [(-1, &[6][..]), (2, &[6]), (1, &[3, 6]), (-2, &[3, 6]), (-2, &[3, 1]), (1, &[])]
        {
            check(&format!("axis {axis}"), Domain::Real, batched(&[3, 6]), |builder, x| {
                normalised(builder, x, axis, dims)
            });
        }
        check("without a bias", Domain::Real, batched(&[8]), |builder, x| {
            let scale = builder.constant(Numbers::new(1).tensor(&[8]));
            builder.op("LayerNormalization", &[x, scale])
        });
    }

    #[test]
    fn the_statistics_may_be_outputs_but_not_on_the_way() {
        let with_statistics = |used: usize| {
            function(batched(&[6]), |builder, x| {
                let scale = builder.constant(Numbers::new(1).tensor(&[6]));
                let inputs = vec![Some(x), Some(scale)];
                let outputs = builder.node("LayerNormalization", inputs, Attributes::default(), 3)?;
                builder.op("Tanh", &[outputs[used]])
            })
            .unwrap()
        };
        check_graph("mean and deviation unused", Domain::Real, &with_statistics(0));
        let error = adjoint(&with_statistics(2)).unwrap_err().to_string();
        assert!(error.contains("the logits depend on an output of it other than the first"), "{error}");
    }

    #[test]
    fn the_subgraph_recomputes_the_statistics() {
        let graph = function(batched(&[8]), |builder, x| normalised(builder, x, -1, &[8]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/LayerNormalization/constant: i64[1] = [1]
            const %gradient/f/LayerNormalization/constant_2: i64[1] = [1]
            const %gradient/f/LayerNormalization/constant_3: f32[] = [0.001]
            const %gradient/f/LayerNormalization/constant_4: i64[1] = [1]
            const %gradient/f/LayerNormalization/constant_5: i64[1] = [1]
            %gradient/f/LayerNormalization/Mul: f32[N, 8] = Mul(%g, %f/constant)
            %gradient/f/LayerNormalization/ReduceMean: f32[N, 1] = ReduceMean(%x, %gradient/f/LayerNormalization/constant) {keepdims = 1}
            %gradient/f/LayerNormalization/Sub: f32[N, 8] = Sub(%x, %gradient/f/LayerNormalization/ReduceMean)
            %gradient/f/LayerNormalization/Mul_2: f32[N, 8] = Mul(%gradient/f/LayerNormalization/Sub, %gradient/f/LayerNormalization/Sub)
            %gradient/f/LayerNormalization/ReduceMean_2: f32[N, 1] = ReduceMean(%gradient/f/LayerNormalization/Mul_2, %gradient/f/LayerNormalization/constant_2) {keepdims = 1}
            %gradient/f/LayerNormalization/Add: f32[N, 1] = Add(%gradient/f/LayerNormalization/ReduceMean_2, %gradient/f/LayerNormalization/constant_3)
            %gradient/f/LayerNormalization/Sqrt: f32[N, 1] = Sqrt(%gradient/f/LayerNormalization/Add)
            %gradient/f/LayerNormalization/Reciprocal: f32[N, 1] = Reciprocal(%gradient/f/LayerNormalization/Sqrt)
            %gradient/f/LayerNormalization/Mul_3: f32[N, 8] = Mul(%gradient/f/LayerNormalization/Mul, %gradient/f/LayerNormalization/Sub)
            %gradient/f/LayerNormalization/ReduceMean_3: f32[N, 1] = ReduceMean(%gradient/f/LayerNormalization/Mul_3, %gradient/f/LayerNormalization/constant_4) {keepdims = 1}
            %gradient/f/LayerNormalization/Mul_4: f32[N, 1] = Mul(%gradient/f/LayerNormalization/Reciprocal, %gradient/f/LayerNormalization/Reciprocal)
            %gradient/f/LayerNormalization/Mul_5: f32[N, 1] = Mul(%gradient/f/LayerNormalization/ReduceMean_3, %gradient/f/LayerNormalization/Mul_4)
            %gradient/f/LayerNormalization/Mul_6: f32[N, 8] = Mul(%gradient/f/LayerNormalization/Sub, %gradient/f/LayerNormalization/Mul_5)
            %gradient/f/LayerNormalization/ReduceMean_4: f32[N, 1] = ReduceMean(%gradient/f/LayerNormalization/Mul, %gradient/f/LayerNormalization/constant_5) {keepdims = 1}
            %gradient/f/LayerNormalization/Sub_2: f32[N, 8] = Sub(%gradient/f/LayerNormalization/Mul, %gradient/f/LayerNormalization/ReduceMean_4)
            %gradient/f/LayerNormalization/Sub_3: f32[N, 8] = Sub(%gradient/f/LayerNormalization/Sub_2, %gradient/f/LayerNormalization/Mul_6)
            %gradient/f/LayerNormalization/Mul_7: f32[N, 8] = Mul(%gradient/f/LayerNormalization/Sub_3, %gradient/f/LayerNormalization/Reciprocal)
            %dx/Identity: f32[N, 8] = Identity(%gradient/f/LayerNormalization/Mul_7)
        ");
    }
}
