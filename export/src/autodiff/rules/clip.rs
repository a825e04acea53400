//! Clip: `y = min(max(x, low), high)`.
//!
//! `dx = g·[x = y]`: the gradient passes inside and at the bounds, as in PyTorch. Operator page: ONNX `Clip-13`.

use super::Entry;
use crate::autodiff::step::Step;
use crate::error::Result;

pub(super) const RULES: &[Entry] =
    &[Entry::kinked("Clip", 1, clip, "passes at both bounds; the bounds must not depend on the images")];

/// `dx = g` where `x = y`, else zero.
pub(super) fn clip(step: &mut Step<'_, '_>) -> Result<()> {
    step.refuse(1, "lower bound")?;
    step.refuse(2, "upper bound")?;
    let (x, y, g) = (step.input(0)?, step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let passes = builder.op("Equal", &[x, y])?;
        let zero = builder.scalar(0.0);
        builder.op("Where", &[passes, g, zero])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::error::Result;
    use crate::graph::{Attributes, Builder, ValueId};

    fn clipped(
        builder: &mut Builder<'_>,
        x: ValueId,
        low: Option<f32>,
        high: Option<f32>,
    ) -> Result<ValueId> {
        let bounds = [low, high].map(|bound| bound.map(|value| builder.scalar(value)));
        Ok(builder.node("Clip", vec![Some(x), bounds[0], bounds[1]], Attributes::default(), 1)?[0])
    }

    #[test]
    fn gradients_match_central_differences() {
        for (low, high) in [(Some(0.0), None), (None, Some(0.0)), (Some(0.0), Some(2.0)), (None, None)] {
            let case = format!("{low:?} to {high:?}");
            check(&case, Domain::AwayFromZero, batched(&[3, 4]), |builder, x| clipped(builder, x, low, high));
        }
    }

    #[test]
    fn the_gradient_passes_at_the_bounds() {
        let clip = function(batched(&[4]), |builder, x| clipped(builder, x, Some(0.0), Some(1.0))).unwrap();
        let inputs = [float("x", &[1, 4], &[-0.5, 0.0, 1.0, 1.5]), float("g", &[1, 4], &[3.0; 4])];
        assert_eq!(run(&mut session(&adjoint(&clip).unwrap()), &inputs), [0.0, 3.0, 3.0, 0.0]);
    }

    #[test]
    fn the_subgraph_is_a_mask() {
        let clip = function(batched(&[3]), |builder, x| clipped(builder, x, Some(0.0), None));
        insta::assert_snapshot!(backward_text(&clip.unwrap()), @r"
            const %gradient/f/Clip/constant: f32[] = [0.0]
            %gradient/f/Clip/Equal: bool[N, 3] = Equal(%x, %f/Clip)
            %gradient/f/Clip/Where: f32[N, 3] = Where(%gradient/f/Clip/Equal, %g, %gradient/f/Clip/constant)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Clip/Where)
        ");
    }
}
