//! Add, Sub, Mul, Div and Neg, with broadcasting.
//!
//! `y = a + b: Σ g, Σ g`; `a − b: Σ g, Σ −g`; `a·b: Σ g·b, Σ g·a`; `a / b: Σ g/b, Σ −g·y/b`; `−x: −g`.
//! Operator pages: ONNX `Add-14`, `Sub-14`, `Mul-14`, `Div-14`, `Neg-13`.

use super::step::Step;
use crate::error::Result;
use crate::tensor::Tensor;

/// `da = Σ g`, `db = Σ g`.
pub(crate) fn add(step: &mut Step<'_, '_>) -> Result<()> {
    let g = step.cotangent()?;
    step.send_summed(0, |_| Ok(g))?;
    step.send_summed(1, |_| Ok(g))
}

/// `da = Σ g`, `db = −Σ g`.
pub(crate) fn sub(step: &mut Step<'_, '_>) -> Result<()> {
    let g = step.cotangent()?;
    step.send_summed(0, |_| Ok(g))?;
    step.send_summed(1, |builder| builder.op("Neg", &[g]))
}

/// `da = Σ g·b`, `db = Σ g·a`.
pub(crate) fn mul(step: &mut Step<'_, '_>) -> Result<()> {
    let (a, b, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    step.send_summed(0, |builder| builder.op("Mul", &[g, b]))?;
    step.send_summed(1, |builder| builder.op("Mul", &[g, a]))
}

/// `da = Σ g/b`, `db = −Σ g·y/b`.
///
/// A constant divisor is inverted once: a product is several times as fast as a quotient. The inverse is rounded, so
/// the gradient may differ from the quotient's in the last bit.
pub(crate) fn div(step: &mut Step<'_, '_>) -> Result<()> {
    let (b, y, g) = (step.input(1)?, step.output()?, step.cotangent()?);
    let inverse = step.constant(b).and_then(inverted);
    step.send_summed(0, |builder| match inverse {
        Some(inverse) => {
            let inverse = builder.constant(inverse);
            builder.op("Mul", &[g, inverse])
        }
        None => builder.op("Div", &[g, b]),
    })?;
    step.send_summed(1, |builder| {
        let ratio = builder.op("Div", &[y, b])?;
        let product = builder.op("Mul", &[g, ratio])?;
        builder.op("Neg", &[product])
    })
}

/// `dx = −g`.
pub(crate) fn neg(step: &mut Step<'_, '_>) -> Result<()> {
    let g = step.cotangent()?;
    step.send(0, |builder| builder.op("Neg", &[g]))
}

/// `1/b`, unless an element of it would not be a normal number.
fn inverted(divisor: &Tensor) -> Option<Tensor> {
    let inverse: Vec<f32> = divisor.to_f32()?.into_iter().map(f32::recip).collect();
    inverse.iter().all(|value| value.is_normal()).then(|| Tensor::from_f32(divisor.dims(), &inverse))
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, backward_text, batched, check, function};

    #[test]
    fn with_a_constant_on_either_side() {
        for op_type in ["Add", "Sub", "Mul", "Div"] {
            for dims in [&[][..], &[1], &[3], &[4, 1], &[2, 4, 3], &[1, 2, 1, 3]] {
                check(
                    &format!("x {op_type} {dims:?}"),
                    Domain::Positive,
                    batched(&[2, 4, 3]),
                    |builder, x| {
                        let constant = builder.constant(Numbers::new(1).tensor(dims));
                        builder.op(op_type, &[x, constant])
                    },
                );
            }
            check(&format!("{op_type} stretches x"), Domain::Positive, batched(&[1, 3]), |builder, x| {
                let constant = builder.constant(Numbers::new(1).tensor(&[4, 1]));
                builder.op(op_type, &[constant, x])
            });
        }
    }

    #[test]
    fn with_operands_that_both_depend_on_the_images() {
        for op_type in ["Add", "Sub", "Mul", "Div"] {
            check(op_type, Domain::Positive, batched(&[4, 3]), |builder, x| {
                let axes = builder.ints(&[1]);
                let row = builder.op_with("ReduceSum", &[x, axes], [("keepdims", 1.into())])?; // [N, 1, 3]
                let first = builder.op(op_type, &[row, x])?;
                builder.op(op_type, &[first, row])
            });
        }
        check("Neg", Domain::Real, batched(&[3]), |builder, x| builder.op("Neg", &[x]));
    }

    #[test]
    fn a_stretched_operand_is_summed_back() {
        let stretched = function(batched(&[1, 3]), |builder, x| {
            let constant = builder.constant(Numbers::new(1).tensor(&[4, 1]));
            builder.op("Mul", &[constant, x])
        });
        insta::assert_snapshot!(backward_text(&stretched.unwrap()), @r"
            const %gradient/f/Mul/constant: i64[1] = [1]
            %gradient/f/Mul/Mul: f32[N, 4, 3] = Mul(%g, %f/constant)
            %gradient/f/Mul/ReduceSum: f32[N, 1, 3] = ReduceSum(%gradient/f/Mul/Mul, %gradient/f/Mul/constant) {keepdims = 1}
            %dx/Identity: f32[N, 1, 3] = Identity(%gradient/f/Mul/ReduceSum)
        ");
    }

    #[test]
    fn a_constant_divisor_becomes_a_factor() {
        let scaled = function(batched(&[3]), |builder, x| {
            let two = builder.scalar(2.0);
            builder.op("Div", &[x, two])
        });
        insta::assert_snapshot!(backward_text(&scaled.unwrap()), @r"
            const %gradient/f/Div/constant: f32[] = [0.5]
            %gradient/f/Div/Mul: f32[N, 3] = Mul(%g, %gradient/f/Div/constant)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Div/Mul)
        ");
    }

    #[test]
    fn a_divisor_without_a_normal_inverse_stays_one() {
        // The inverse of the first is infinite, that of the second loses digits.
        for divisor in [1e-39, 3e38] {
            let scaled = function(batched(&[3]), |builder, x| {
                let divisor = builder.scalar(divisor);
                builder.op("Div", &[x, divisor])
            });
            assert!(backward_text(&scaled.unwrap()).contains("Div("), "{divisor}");
        }
    }
}
