//! ReduceL1, ReduceL2, ReduceSumSquare, ReduceLogSum and ReduceLogSumExp.
//!
//! `Σ|x|: g·sign x`; `√Σx²: g/y·x`, zero where `y = 0`; `Σx²: 2g·x`; `ln Σx: g·e⁻ʸ`; `ln Σeˣ: g·e^(x−y)`. Whatever
//! is one number per reduced row is computed before it is repeated. Operator pages: ONNX `ReduceL1-18` and its like.

use super::broadcast::expand;
use super::reduction::Reduction;
use super::step::Step;
use crate::error::Result;

/// `dx = g·sign x`.
pub(crate) fn reduce_l1(step: &mut Step<'_, '_>) -> Result<()> {
    let Reduction { x, g, .. } = Reduction::from_step(step)?;
    step.send(0, |builder| {
        let sign = builder.op("Sign", &[x])?;
        builder.op("Mul", &[sign, g])
    })
}

/// `dx = g/y·x`, zero where `y = 0`.
pub(crate) fn reduce_l2(step: &mut Step<'_, '_>) -> Result<()> {
    let Reduction { x, y, g, .. } = Reduction::from_step(step)?;
    step.send(0, |builder| {
        let zero = builder.scalar(0.0);
        let ratio = builder.op("Div", &[g, y])?;
        let is_positive = builder.op("Greater", &[y, zero])?;
        let factor = builder.op("Where", &[is_positive, ratio, zero])?;
        builder.op("Mul", &[x, factor])
    })
}

/// `dx = 2g·x`.
pub(crate) fn reduce_sum_square(step: &mut Step<'_, '_>) -> Result<()> {
    let Reduction { x, g, .. } = Reduction::from_step(step)?;
    step.send(0, |builder| {
        let double = builder.op("Add", &[g, g])?;
        builder.op("Mul", &[x, double])
    })
}

/// `dx = g·e⁻ʸ`, repeated.
pub(crate) fn reduce_log_sum(step: &mut Step<'_, '_>) -> Result<()> {
    let Reduction { x, y, g, .. } = Reduction::from_step(step)?;
    let shape = step.shape(x)?;
    step.send(0, |builder| {
        let sum = builder.op("Exp", &[y])?;
        let share = builder.op("Div", &[g, sum])?;
        expand(builder, share, &shape)
    })
}

/// `dx = g·e^(x−y)`.
pub(crate) fn reduce_log_sum_exp(step: &mut Step<'_, '_>) -> Result<()> {
    let Reduction { x, y, g, .. } = Reduction::from_step(step)?;
    step.send(0, |builder| {
        let logarithm = builder.op("Sub", &[x, y])?;
        let share = builder.op("Exp", &[logarithm])?;
        builder.op("Mul", &[share, g])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::graph::Shape;

    const OPERATORS: [(&str, Domain); 5] = [
        ("ReduceL1", Domain::AwayFromZero),
        ("ReduceL2", Domain::Real),
        ("ReduceLogSum", Domain::Positive),
        ("ReduceLogSumExp", Domain::Real),
        ("ReduceSumSquare", Domain::Real),
    ];

    #[test]
    fn gradients_match_central_differences() {
        for (op_type, domain) in OPERATORS {
            for axes in [&[1][..], &[-1], &[2, 3], &[1, -1]] {
                for keepdims in [0, 1] {
                    let case = format!("{op_type} over {axes:?}, keepdims {keepdims}");
                    check(&case, domain, batched(&[2, 3, 4]), |builder, x| {
                        let axes = builder.ints(axes);
                        builder.op_with(op_type, &[x, axes], [("keepdims", keepdims.into())])
                    });
                }
            }
            check(&format!("{op_type} over all"), domain, Shape::fixed(&[2, 3]), |builder, x| {
                builder.op_with(op_type, &[x], [("keepdims", 0.into())])
            });
            check(&format!("{op_type} over none"), domain, batched(&[3]), |builder, x| {
                builder.op_with(op_type, &[x], [("noop_with_empty_axes", 1.into())])
            });
        }
    }

    #[test]
    fn nothing_passes_where_the_norm_is_zero() {
        for (op_type, wanted) in [("ReduceL1", [0.0, 0.0, 3.0, -3.0]), ("ReduceL2", [0.0, 0.0, 1.8, -2.4])] {
            let graph = function(batched(&[2]), |builder, x| {
                let axes = builder.ints(&[1]);
                builder.op_with(op_type, &[x, axes], [("keepdims", 0.into())])
            });
            let inputs = [float("x", &[2, 2], &[0.0, -0.0, 3.0, -4.0]), float("g", &[2], &[3.0; 2])];
            let found = run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs);
            let near = found.iter().zip(&wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6);
            assert!(near, "{op_type}: {found:?}");
        }
    }

    #[test]
    fn the_factor_is_computed_before_the_repetition() {
        let graph = function(batched(&[4, 3]), |builder, x| {
            let axes = builder.ints(&[1]);
            builder.op_with("ReduceL2", &[x, axes], [("keepdims", 0.into())])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/ReduceL2/constant: i64[3] = [-1, 1, 3]
            const %gradient/f/ReduceL2/constant_2: i64[3] = [-1, 1, 3]
            const %gradient/f/ReduceL2/constant_3: f32[] = [0.0]
            %gradient/f/ReduceL2/Reshape: f32[N, 1, 3] = Reshape(%f/ReduceL2, %gradient/f/ReduceL2/constant)
            %gradient/f/ReduceL2/Reshape_2: f32[N, 1, 3] = Reshape(%g, %gradient/f/ReduceL2/constant_2)
            %gradient/f/ReduceL2/Div: f32[N, 1, 3] = Div(%gradient/f/ReduceL2/Reshape_2, %gradient/f/ReduceL2/Reshape)
            %gradient/f/ReduceL2/Greater: bool[N, 1, 3] = Greater(%gradient/f/ReduceL2/Reshape, %gradient/f/ReduceL2/constant_3)
            %gradient/f/ReduceL2/Where: f32[N, 1, 3] = Where(%gradient/f/ReduceL2/Greater, %gradient/f/ReduceL2/Div, %gradient/f/ReduceL2/constant_3)
            %gradient/f/ReduceL2/Mul: f32[N, 4, 3] = Mul(%x, %gradient/f/ReduceL2/Where)
            %dx/Identity: f32[N, 4, 3] = Identity(%gradient/f/ReduceL2/Mul)
        ");
    }
}
