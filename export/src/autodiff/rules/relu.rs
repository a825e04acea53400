//! Relu: `y = max(x, 0)`.
//!
//! `dx = g·[y > 0]`; the derivative at zero is zero, as in PyTorch. Operator page: ONNX `Relu-14`.

use crate::autodiff::step::Step;
use crate::error::Result;

/// `dx = g` where `y > 0`, else zero.
pub(super) fn relu(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let zero = builder.scalar(0.0);
        let passes = builder.op("Greater", &[y, zero])?;
        builder.op("Where", &[passes, g, zero])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };

    #[test]
    fn gradients_match_central_differences() {
        check("Relu", Domain::AwayFromZero, batched(&[2, 3]), |builder, x| builder.op("Relu", &[x]));
    }

    #[test]
    fn nothing_passes_at_zero_and_everything_just_above() {
        let relu = function(batched(&[4]), |builder, x| builder.op("Relu", &[x])).unwrap();
        let x = [0.0, f32::MIN_POSITIVE, -1.0, 1e-20];
        let inputs = [float("x", &[1, 4], &x), float("g", &[1, 4], &[3.0; 4])];
        assert_eq!(run(&mut session(&adjoint(&relu).unwrap()), &inputs), [0.0, 3.0, 0.0, 3.0]);
    }

    #[test]
    fn the_subgraph_is_a_mask() {
        let relu = function(batched(&[3]), |builder, x| builder.op("Relu", &[x]));
        insta::assert_snapshot!(backward_text(&relu.unwrap()), @r"
            const %gradient/f/Relu/constant: f32[] = [0.0]
            %gradient/f/Relu/Greater: bool[N, 3] = Greater(%f/Relu, %gradient/f/Relu/constant)
            %gradient/f/Relu/Where: f32[N, 3] = Where(%gradient/f/Relu/Greater, %g, %gradient/f/Relu/constant)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Relu/Where)
        ");
    }
}
