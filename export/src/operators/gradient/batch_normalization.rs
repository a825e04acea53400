//! BatchNormalization at inference: `y = scale·(x − mean)/√(var + ε) + bias`, per channel.
//!
//! `dx = g·scale/√(var + ε)`: one product with a constant. Operator page: ONNX `BatchNormalization-15`; Ioffe and
//! Szegedy 2015, algorithm 2.

use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::ValueId;
use crate::tensor::Tensor;

/// `dx = g·scale/√(var + ε)`.
pub(crate) fn batch_normalization(step: &mut Step<'_, '_>) -> Result<()> {
    let attributes = &step.node().attributes;
    if attributes.int("training_mode", 0)? != 0 {
        return Err(Error::unsupported(
            "it normalises by the statistics of the batch (training_mode): export the model in eval mode",
        ));
    }
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let (scale, variance) = (values(step, 1, "scale")?, values(step, 4, "variance")?);
    let g = step.cotangent()?;
    let rank = step.shape(g)?.rank();
    let factors: Vec<f32> =
        scale.iter().zip(&variance).map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect();
    let dims = [&[factors.len()], &vec![1; rank.saturating_sub(2)][..]].concat(); // [C, 1, …]
    step.send(0, |builder| {
        let factors = builder.constant(Tensor::from_f32(&dims, &factors));
        builder.op("Mul", &[g, factors])
    })
}

fn values(step: &Step<'_, '_>, index: usize, role: &str) -> Result<Vec<f32>> {
    let id: ValueId = step.input(index)?;
    step.constant(id)
        .and_then(Tensor::to_f32)
        .ok_or_else(|| Error::unsupported(format!("its {role} is not a constant float tensor after folding")))
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, adjoint, backward_text, batched, check, function};
    use crate::error::Result;
    use crate::graph::{Attribute, Builder, ValueId};
    use crate::tensor::Tensor;

    const CHANNELS: usize = 3;

    fn normalised(builder: &mut Builder<'_>, x: ValueId, training_mode: i64) -> Result<ValueId> {
        let mut numbers = Numbers::new(1);
        let [scale, bias, mean] = [(); 3].map(|()| builder.constant(numbers.tensor(&[CHANNELS])));
        let variance =
            builder.constant(Tensor::from_f32(&[CHANNELS], &numbers.draw(Domain::Positive, CHANNELS)));
        let attributes = [("epsilon", Attribute::Float(0.01)), ("training_mode", training_mode.into())];
        builder.op_with("BatchNormalization", &[x, scale, bias, mean, variance], attributes)
    }

    #[test]
    fn gradients_match_central_differences() {
        for dims in [&[CHANNELS][..], &[CHANNELS, 4], &[CHANNELS, 2, 2]] {
            check(&format!("{dims:?}"), Domain::Real, batched(dims), |builder, x| normalised(builder, x, 0));
        }
    }

    #[test]
    fn training_mode_is_refused() {
        let graph = function(batched(&[CHANNELS]), |builder, x| normalised(builder, x, 1));
        let error = graph.and_then(|graph| adjoint(&graph)).unwrap_err();
        assert!(error.to_string().contains("training_mode"), "{error}");
    }

    #[test]
    fn the_subgraph_is_one_product() {
        let graph = function(batched(&[CHANNELS, 2, 2]), |builder, x| normalised(builder, x, 0));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/BatchNormalization/constant: f32[3, 1, 1] = [0.022454767, -0.7307575, 1.3542119]
            %gradient/f/BatchNormalization/Mul: f32[N, 3, 2, 2] = Mul(%g, %gradient/f/BatchNormalization/constant)
            %dx/Identity: f32[N, 3, 2, 2] = Identity(%gradient/f/BatchNormalization/Mul)
        ");
    }
}
