//! Identity, Cast and Dropout at inference: `y = x`.
//!
//! `dx = g`. A Cast that carries gradient goes from `float` to `float`: others are refused or cut the path, see
//! [`crate::autodiff::activity`]. Operator pages: ONNX `Identity-16`, `Cast-13`, `Dropout-13`.

use crate::autodiff::step::Step;
use crate::error::{Error, Result};

/// `dx = g`.
pub(super) fn identity(step: &mut Step<'_, '_>) -> Result<()> {
    let g = step.cotangent()?;
    step.send(0, |_| Ok(g))
}

/// `dx = g`, at inference.
pub(super) fn dropout(step: &mut Step<'_, '_>) -> Result<()> {
    if step.node().optional_input(2).is_some_and(|training| !is_false(step, training)) {
        return Err(Error::unsupported(
            "it drops values at random (training_mode): export the model in eval mode",
        ));
    }
    identity(step)
}

fn is_false(step: &Step<'_, '_>, flag: crate::graph::ValueId) -> bool {
    step.constant(flag).is_some_and(|tensor| tensor.data().iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, adjoint, backward_text, batched, check, function};
    use crate::error::Result;
    use crate::graph::{Attributes, Builder, ValueId};
    use crate::tensor::{DataType, Tensor};

    fn training_flag(builder: &mut Builder<'_>, value: u8) -> ValueId {
        builder.constant(Tensor::new(DataType::Bool, vec![], vec![value].into()).unwrap())
    }

    fn dropout(builder: &mut Builder<'_>, x: ValueId, training: u8) -> Result<ValueId> {
        let (ratio, training) = (builder.scalar(0.5), training_flag(builder, training));
        Ok(builder.node("Dropout", vec![Some(x), Some(ratio), Some(training)], Attributes::default(), 1)?[0])
    }

    #[test]
    fn gradients_match_central_differences() {
        check("Identity, Cast and Dropout", Domain::Real, batched(&[3]), |builder, x| {
            let same = builder.op("Identity", &[x])?;
            let cast = builder.cast(same, DataType::Float32)?;
            let kept = dropout(builder, cast, 0)?;
            let weight = builder.constant(Numbers::new(1).tensor(&[3, 2]));
            builder.op("MatMul", &[kept, weight])
        });
    }

    #[test]
    fn dropout_in_training_mode_is_refused() {
        let graph = function(batched(&[3]), |builder, x| dropout(builder, x, 1));
        let error = adjoint(&graph.unwrap()).unwrap_err();
        assert!(error.to_string().contains("export the model in eval mode"), "{error}");
    }

    #[test]
    fn the_cotangent_passes_unchanged() {
        let graph = function(batched(&[3]), |builder, x| builder.op("Identity", &[x]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @"");
    }
}
