//! HardSigmoid, `y = min(1, max(0, αx + β))`, and HardSwish, `y = x·h` with `h` the HardSigmoid of `α = 1/6`,
//! `β = 1/2`.
//!
//! With `m = [0 < h < 1]`: HardSigmoid `dx = g·α·m`; HardSwish `dx = g·(h + x/6·m) = g·(h + (h − 1/2)·m)`. At the kinks
//! the constant branch counts. Operator pages: ONNX `HardSigmoid-6`, `HardSwish-14`; Howard et al. 2019, section 5.2.
//!
//! The mask is `min(1, h·(1 − h)·MAX)`, without comparison, as in [`relu`](super::relu).

use super::step::Step;
use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// `dx = g·α·[0 < y < 1]`.
pub(crate) fn hard_sigmoid(step: &mut Step<'_, '_>) -> Result<()> {
    let alpha = step.node().attributes.float("alpha", 0.2)?;
    let (y, g) = (step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let alpha = builder.scalar(alpha);
        let scaled = builder.op("Mul", &[g, alpha])?;
        let mask = between_zero_and_one(builder, y)?;
        builder.op("Mul", &[scaled, mask])
    })
}

/// `dx = g·(h + (h − 1/2)·[0 < h < 1])`.
pub(crate) fn hard_swish(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let h = saturated(builder, x, 1.0 / 6.0, 0.5)?;
        let mask = between_zero_and_one(builder, h)?;
        let half = builder.scalar(0.5);
        let centred = builder.op("Sub", &[h, half])?;
        let inside = builder.op("Mul", &[centred, mask])?;
        let slope = builder.op("Add", &[h, inside])?;
        builder.op("Mul", &[g, slope])
    })
}

/// `[0 < h < 1]` as zeros and ones, for `h` in `[0, 1]`.
fn between_zero_and_one(builder: &mut Builder<'_>, h: ValueId) -> Result<ValueId> {
    let one = builder.scalar(1.0);
    let complement = builder.op("Sub", &[one, h])?;
    let product = builder.op("Mul", &[h, complement])?;
    saturated(builder, product, f32::MAX, 0.0)
}

/// `min(1, max(0, αx + β))`.
fn saturated(builder: &mut Builder<'_>, x: ValueId, alpha: f32, beta: f32) -> Result<ValueId> {
    builder.op_with("HardSigmoid", &[x], [("alpha", alpha.into()), ("beta", beta.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };

    #[test]
    fn gradients_match_central_differences() {
        // 24 odd multiples of an eighth, far from ±3, −2.5, 2.5 and the other kinks.
        check("HardSigmoid", Domain::Distinct, batched(&[3, 4]), |builder, x| {
            builder.op("HardSigmoid", &[x])
        });
        check("HardSigmoid, negative slope", Domain::Distinct, batched(&[3, 4]), |builder, x| {
            builder.op_with("HardSigmoid", &[x], [("alpha", (-0.5).into()), ("beta", 0.25.into())])
        });
        check("HardSwish", Domain::Distinct, batched(&[4, 4]), |builder, x| builder.op("HardSwish", &[x]));
    }

    #[test]
    fn at_the_kinks_the_constant_branch_counts() {
        let x = [-4.0, -3.0, 0.0, 3.0, 4.0];
        let inputs = [float("x", &[1, 5], &x), float("g", &[1, 5], &[3.0; 5])];
        let gradient = |op_type: &str| {
            let forward = function(batched(&[5]), |builder, x| match op_type {
                "HardSigmoid" => saturated(builder, x, 0.25, 0.75),
                _ => builder.op(op_type, &[x]),
            });
            run(&mut session(&adjoint(&forward.unwrap()).unwrap()), &inputs)
        };
        assert_eq!(gradient("HardSwish"), [0.0, 0.0, 1.5, 3.0, 3.0]);
        assert_eq!(gradient("HardSigmoid"), [0.0, 0.0, 0.75, 0.0, 0.0]);
    }

    #[test]
    fn the_subgraph_has_no_comparison() {
        let graph = function(batched(&[3]), |builder, x| builder.op("HardSwish", &[x]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/HardSwish/constant: f32[] = [1.0]
            const %gradient/f/HardSwish/constant_2: f32[] = [0.5]
            %gradient/f/HardSwish/HardSigmoid: f32[N, 3] = HardSigmoid(%x) {alpha = 0.16666667, beta = 0.5}
            %gradient/f/HardSwish/Sub: f32[N, 3] = Sub(%gradient/f/HardSwish/constant, %gradient/f/HardSwish/HardSigmoid)
            %gradient/f/HardSwish/Mul: f32[N, 3] = Mul(%gradient/f/HardSwish/HardSigmoid, %gradient/f/HardSwish/Sub)
            %gradient/f/HardSwish/HardSigmoid_2: f32[N, 3] = HardSigmoid(%gradient/f/HardSwish/Mul) {alpha = 3.4028235e38, beta = 0.0}
            %gradient/f/HardSwish/Sub_2: f32[N, 3] = Sub(%gradient/f/HardSwish/HardSigmoid, %gradient/f/HardSwish/constant_2)
            %gradient/f/HardSwish/Mul_2: f32[N, 3] = Mul(%gradient/f/HardSwish/Sub_2, %gradient/f/HardSwish/HardSigmoid_2)
            %gradient/f/HardSwish/Add: f32[N, 3] = Add(%gradient/f/HardSwish/HardSigmoid, %gradient/f/HardSwish/Mul_2)
            %gradient/f/HardSwish/Mul_3: f32[N, 3] = Mul(%g, %gradient/f/HardSwish/Add)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/HardSwish/Mul_3)
        ");
    }

    #[test]
    fn everything_passes_next_to_a_kink() {
        let x = [1e-30, 1.0 - f32::EPSILON];
        let inputs = [float("x", &[1, 2], &x), float("g", &[1, 2], &[3.0; 2])];
        let graph = function(batched(&[2]), |builder, x| saturated(builder, x, 1.0, 0.0)).unwrap();
        assert_eq!(run(&mut session(&adjoint(&graph).unwrap()), &inputs), [3.0, 3.0]);
    }
}
