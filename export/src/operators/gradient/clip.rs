//! Clip: `y = min(max(x, low), high)`.
//!
//! `dx = g·[x = y]`: the gradient passes inside and at the bounds, as through PyTorch's `clamp`. Operator page: ONNX
//! `Clip-13`.
//!
//! From 0 to 6 it is ReLU6, through which PyTorch passes nothing at the bounds: `dx = g·[y > 0]·[y < 6]`. Written in
//! `y`, so that ONNX Runtime can make the clipping a part of the convolution before it, and with two HardSigmoids,
//! which it does in the layout of convolutions: forward and gradient of a MobileNetV2 take 0.6 times as long as with
//! Equal and Where.

use super::step::Step;
use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// Upper bound of ReLU6.
const SIX: f32 = 6.0;

/// A power of two so large that any normal distance from a bound becomes more than one.
const STEEP: f32 = f32::from_bits(227 << 23);

/// `dx = g` where `x = y`, else zero.
pub(crate) fn clip(step: &mut Step<'_, '_>) -> Result<()> {
    step.refuse(1, "lower bound")?;
    step.refuse(2, "upper bound")?;
    let (x, y, g) = (step.input(0)?, step.output()?, step.cotangent()?);
    if [bound(step, 1), bound(step, 2)] == [Some(0.0), Some(SIX)] {
        return step.send(0, |builder| relu6(builder, g, y));
    }
    step.send(0, |builder| {
        let passes = builder.op("Equal", &[x, y])?;
        let zero = builder.scalar(0.0);
        builder.op("Where", &[passes, g, zero])
    })
}

fn bound(step: &Step<'_, '_>, index: usize) -> Option<f32> {
    let values = step.constant(step.node().optional_input(index)?)?.to_f32()?;
    values.first().copied().filter(|_| values.len() == 1)
}

/// `g·[y > 0]·[y < 6]`
fn relu6(builder: &mut Builder<'_>, g: ValueId, y: ValueId) -> Result<ValueId> {
    let mut mask = |alpha: f32, beta: f32| {
        builder.op_with("HardSigmoid", &[y], [("alpha", alpha.into()), ("beta", beta.into())])
    };
    let (above, below) = (mask(STEEP, 0.0)?, mask(-STEEP, SIX * STEEP)?);
    let inside = builder.op("Mul", &[above, below])?;
    builder.op("Mul", &[g, inside])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::error::Result;
    use crate::graph::{Attributes, Builder, Shape, ValueId};

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
    fn nothing_passes_at_the_bounds_of_relu6() {
        let relu6 = function(batched(&[6]), |builder, x| clipped(builder, x, Some(0.0), Some(6.0))).unwrap();
        let x = [-0.5, 0.0, f32::MIN_POSITIVE * 1e9, 6.0 - 1e-6, 6.0, 7.0];
        let inputs = [float("x", &[1, 6], &x), float("g", &[1, 6], &[3.0; 6])];
        let found = run(&mut session(&adjoint(&relu6).unwrap()), &inputs);
        assert_eq!(found, [0.0, 0.0, 3.0, 3.0, 0.0, 0.0]);
        check("ReLU6", Domain::AwayFromZero, batched(&[3, 4]), |builder, x| {
            clipped(builder, x, Some(0.0), Some(6.0))
        });
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

    #[test]
    fn bounds_that_depend_on_the_images_are_refused() {
        for (place, what) in [(1, "lower"), (2, "upper")] {
            let graph = function(Shape::fixed(&[3]), |builder, x| {
                let mean = builder.op_with("ReduceMean", &[x], [("keepdims", 0.into())])?;
                let mut inputs = vec![Some(x), None, None];
                inputs[place] = Some(mean);
                Ok(builder.node("Clip", inputs, Attributes::default(), 1)?[0])
            });
            let error = adjoint(&graph.unwrap()).unwrap_err().to_string();
            assert!(error.contains(&format!("its {what} bound depends on the images")), "{error}");
        }
    }
}
