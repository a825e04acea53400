//! Functions of one variable that are made of straight lines: Abs, LeakyRelu, PRelu, ThresholdedRelu, Shrink and Mod.
//!
//! `|x|: g·sign x`; `x > 0 ? x : αx: x > 0 ? g : αg`; `x > α ? x : 0: x > α ? g : 0`; remainders
//! `y = x − k·d`, whose `k` is a whole number: `g` to `x` and `−Σ g·k` to `d`. At a kink the branch of the smaller `x`
//! is taken, as in PyTorch. Operator pages: ONNX `Abs-13`, `LeakyRelu-16`, `PRelu-16`, `ThresholdedRelu-10`,
//! `Shrink-9`, `Mod-13`.
//!
//! For `0 ≤ α ≤ 1` the slope of LeakyRelu is the mask of [`relu`](super::relu), raised to `α`: two passes over one
//! tensor instead of a comparison and a choice between two.

use super::step::Step;
use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// `dx = g·sign x`.
pub(crate) fn abs(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let sign = builder.op("Sign", &[x])?;
        builder.op("Mul", &[g, sign])
    })
}

/// `dx = g` where `x > 0`, else `α·g`.
pub(crate) fn leaky_relu(step: &mut Step<'_, '_>) -> Result<()> {
    let alpha = step.node().attributes.float("alpha", 0.01)?;
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let slope_below = builder.scalar(alpha);
        if (0.0..=1.0).contains(&alpha) {
            let mask = builder.op_with(
                "HardSigmoid",
                &[x],
                [("alpha", f32::MAX.into()), ("beta", 0.0_f32.into())],
            )?;
            let slope = builder.op("Max", &[mask, slope_below])?;
            return builder.op("Mul", &[g, slope]);
        }
        let below = builder.op("Mul", &[g, slope_below])?;
        let zero = builder.scalar(0.0);
        let is_above = builder.op("Greater", &[x, zero])?;
        builder.op("Where", &[is_above, g, below])
    })
}

/// `dx = g` where `x > 0`, else `α·g`; `dα = Σ g·min(x, 0)`.
pub(crate) fn p_relu(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, slope, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    step.send(0, |builder| {
        let below = builder.op("Mul", &[g, slope])?;
        let zero = builder.scalar(0.0);
        let is_above = builder.op("Greater", &[x, zero])?;
        builder.op("Where", &[is_above, g, below])
    })?;
    step.send_summed(1, |builder| {
        let zero = builder.scalar(0.0);
        let negative = builder.op("Min", &[x, zero])?;
        builder.op("Mul", &[g, negative])
    })
}

/// `dx = g` where `x > α`, else zero.
pub(crate) fn thresholded_relu(step: &mut Step<'_, '_>) -> Result<()> {
    let alpha = step.node().attributes.float("alpha", 1.0)?;
    pass_above(step, alpha, |_, x| Ok(x))
}

/// `dx = g` where `|x| > λ`, else zero.
pub(crate) fn shrink(step: &mut Step<'_, '_>) -> Result<()> {
    let lambda = step.node().attributes.float("lambd", 0.5)?;
    pass_above(step, lambda, |builder, x| builder.op("Abs", &[x]))
}

/// `dx = Σ g`, `dd = −Σ g·k` with `k = (x − y)/d`.
pub(crate) fn modulo(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, divisor, y, g) = (step.input(0)?, step.input(1)?, step.output()?, step.cotangent()?);
    step.send_summed(0, |_| Ok(g))?;
    step.send_summed(1, |builder| {
        let negative = builder.op("Sub", &[y, x])?;
        let count = builder.op("Div", &[negative, divisor])?;
        builder.op("Mul", &[g, count])
    })
}

/// `dx = g` where `size(x)` is larger than the bound, else zero.
fn pass_above(
    step: &mut Step<'_, '_>,
    bound: f32,
    size: fn(&mut Builder<'_>, ValueId) -> Result<ValueId>,
) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let (size, bound, zero) = (size(builder, x)?, builder.scalar(bound), builder.scalar(0.0));
        let passes = builder.op("Greater", &[size, bound])?;
        builder.op("Where", &[passes, g, zero])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, Numbers, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::graph::{Attribute, Graph};
    use crate::tensor::Tensor;

    /// Names and values.
    type Floats = &'static [(&'static str, f32)];

    fn with_attributes(op_type: &str, attributes: Floats) -> Graph {
        function(batched(&[5]), |builder, x| {
            let mut node = crate::graph::Attributes::default();
            for (name, value) in attributes {
                node.0.insert((*name).to_owned(), Attribute::Float(*value));
            }
            Ok(builder.node(op_type, vec![Some(x)], node, 1)?[0])
        })
        .unwrap()
    }

    #[test]
    fn gradients_match_central_differences() {
        for alpha in [0.0, 0.25, 1.0, 3.0, -0.5] {
            check(&format!("LeakyRelu {alpha}"), Domain::AwayFromZero, batched(&[2, 3]), |builder, x| {
                builder.op_with("LeakyRelu", &[x], [("alpha", alpha.into())])
            });
        }
        check("Abs", Domain::AwayFromZero, batched(&[2, 3]), |builder, x| builder.op("Abs", &[x]));
        for alpha in [0.0_f32, -0.5, 1.0] {
            check(&format!("ThresholdedRelu {alpha}"), Domain::Distinct, batched(&[6]), |builder, x| {
                builder.op_with("ThresholdedRelu", &[x], [("alpha", alpha.into())])
            });
        }
        check("Shrink", Domain::Distinct, batched(&[6]), |builder, x| {
            builder.op_with("Shrink", &[x], [("lambd", 0.75.into()), ("bias", 0.25.into())])
        });
        check("Shrink as by default", Domain::Distinct, batched(&[6]), |builder, x| {
            builder.op("Shrink", &[x])
        });
    }

    #[test]
    fn slopes_that_are_tensors() {
        for dims in [&[][..], &[3], &[2, 1], &[1, 2, 3]] {
            check(&format!("PRelu {dims:?}"), Domain::AwayFromZero, batched(&[2, 3]), |builder, x| {
                let slope = builder.constant(Numbers::new(1).tensor(dims));
                builder.op("PRelu", &[x, slope])
            });
        }
        check("a slope that depends on the images", Domain::AwayFromZero, batched(&[2, 3]), |builder, x| {
            let axes = builder.ints(&[1]);
            let slope = builder.op_with("ReduceSum", &[x, axes], [("keepdims", 1.into())])?; // [N, 1, 3]
            builder.op("PRelu", &[x, slope])
        });
    }

    #[test]
    fn remainders() {
        check("Mod", Domain::Distinct, batched(&[2, 3]), |builder, x| {
            let divisor = builder.constant(Tensor::from_f32(&[3], &[1.0, 0.5, -2.0]));
            builder.op_with("Mod", &[x, divisor], [("fmod", 1.into())])
        });
    }

    #[test]
    fn a_divisor_counts_how_often_it_was_taken_away() {
        // 7.25 = 3·2 + 1.25 = 2·3 + 1.25 = −3·−2 + 1.25, and towards minus infinity −4·−2 − 0.75.
        for (fmod, opset, wanted) in [(1, 20, [-9.0, -6.0, 9.0]), (0, 28, [-9.0, -6.0, 12.0])] {
            let mut graph = function(batched(&[3]), |builder, x| {
                let dividend = builder.scalar(7.25);
                builder.op_with("Mod", &[dividend, x], [("fmod", fmod.into())])
            })
            .unwrap();
            graph.opset = opset;
            let inputs = [float("x", &[1, 3], &[2.0, 3.0, -2.0]), float("g", &[1, 3], &[3.0; 3])];
            assert_eq!(run(&mut session(&adjoint(&graph).unwrap()), &inputs), wanted, "fmod {fmod}");
        }
    }

    #[test]
    fn at_a_kink_the_branch_below_counts() {
        let x = [-0.5, -0.0, 0.0, 0.5, 1.0];
        let cases: [(&str, Floats, [f32; 5]); 6] = [
            ("Abs", &[], [-3.0, 0.0, 0.0, 3.0, 3.0]),
            ("LeakyRelu", &[("alpha", 0.25)], [0.75, 0.75, 0.75, 3.0, 3.0]),
            ("LeakyRelu", &[("alpha", 2.0)], [6.0, 6.0, 6.0, 3.0, 3.0]),
            ("ThresholdedRelu", &[], [0.0; 5]),
            ("ThresholdedRelu", &[("alpha", 0.5)], [0.0, 0.0, 0.0, 0.0, 3.0]),
            ("Shrink", &[("lambd", 0.5)], [0.0, 0.0, 0.0, 0.0, 3.0]),
        ];
        for (op_type, attributes, wanted) in cases {
            let graph = adjoint(&with_attributes(op_type, attributes)).unwrap();
            let found = run(&mut session(&graph), &[float("x", &[1, 5], &x), float("g", &[1, 5], &[3.0; 5])]);
            assert_eq!(found, wanted, "{op_type} {attributes:?}");
        }
    }

    #[test]
    fn the_slope_of_leaky_relu_is_a_raised_mask() {
        insta::assert_snapshot!(backward_text(&with_attributes("LeakyRelu", &[])), @r"
            const %gradient/f/LeakyRelu/constant: f32[] = [0.01]
            %gradient/f/LeakyRelu/HardSigmoid: f32[N, 5] = HardSigmoid(%x) {alpha = 3.4028235e38, beta = 0.0}
            %gradient/f/LeakyRelu/Max: f32[N, 5] = Max(%gradient/f/LeakyRelu/HardSigmoid, %gradient/f/LeakyRelu/constant)
            %gradient/f/LeakyRelu/Mul: f32[N, 5] = Mul(%g, %gradient/f/LeakyRelu/Max)
            %dx/Identity: f32[N, 5] = Identity(%gradient/f/LeakyRelu/Mul)
        ");
    }
}
