//! Circular and hyperbolic functions and their inverses, `dx = g·f'(x)`.
//!
//! `sin: cos x`; `cos: −sin x`; `tan: 1 + y²`; `sinh: cosh x`; `cosh: sinh x`; `asin: 1/√(1 − x²)`;
//! `acos: −1/√(1 − x²)`; `atan: 1/(1 + x²)`; `asinh: 1/√(x² + 1)`; `acosh: 1/√(x² − 1)`; `atanh: 1/(1 − x²)`. At the
//! ends of their domain the inverse functions have an infinite slope, and so has the gradient. Operator pages: ONNX
//! `Sin-7` to `Tan-7`, `Asin-7` to `Atan-7`, `Sinh-9`, `Cosh-9`, `Asinh-9` to `Atanh-9`.

use super::step::Step;
use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// `dx = g·cos x`.
pub(crate) fn sin(step: &mut Step<'_, '_>) -> Result<()> {
    times(step, "Cos")
}

/// `dx = −g·sin x`.
pub(crate) fn cos(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let sine = builder.op("Sin", &[x])?;
        let product = builder.op("Mul", &[g, sine])?;
        builder.op("Neg", &[product])
    })
}

/// `dx = g·(1 + y²)`.
pub(crate) fn tan(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let (one, square) = (builder.scalar(1.0), builder.op("Mul", &[y, y])?);
        let slope = builder.op("Add", &[square, one])?;
        builder.op("Mul", &[g, slope])
    })
}

/// `dx = g·cosh x`.
pub(crate) fn sinh(step: &mut Step<'_, '_>) -> Result<()> {
    times(step, "Cosh")
}

/// `dx = g·sinh x`.
pub(crate) fn cosh(step: &mut Step<'_, '_>) -> Result<()> {
    times(step, "Sinh")
}

/// `dx = g/√(1 − x²)`.
pub(crate) fn asin(step: &mut Step<'_, '_>) -> Result<()> {
    divided(step, |builder, x| {
        let square = one_minus_square(builder, x)?;
        builder.op("Sqrt", &[square])
    })
}

/// `dx = −g/√(1 − x²)`.
pub(crate) fn acos(step: &mut Step<'_, '_>) -> Result<()> {
    divided(step, |builder, x| {
        let square = one_minus_square(builder, x)?;
        let root = builder.op("Sqrt", &[square])?;
        builder.op("Neg", &[root])
    })
}

/// `dx = g/(1 + x²)`.
pub(crate) fn atan(step: &mut Step<'_, '_>) -> Result<()> {
    divided(step, |builder, x| shifted_square(builder, x, 1.0))
}

/// `dx = g/√(x² + 1)`.
pub(crate) fn asinh(step: &mut Step<'_, '_>) -> Result<()> {
    divided(step, |builder, x| {
        let square = shifted_square(builder, x, 1.0)?;
        builder.op("Sqrt", &[square])
    })
}

/// `dx = g/√(x² − 1)`.
pub(crate) fn acosh(step: &mut Step<'_, '_>) -> Result<()> {
    divided(step, |builder, x| {
        let square = shifted_square(builder, x, -1.0)?;
        builder.op("Sqrt", &[square])
    })
}

/// `dx = g/(1 − x²)`.
pub(crate) fn atanh(step: &mut Step<'_, '_>) -> Result<()> {
    divided(step, one_minus_square)
}

/// `dx = g·slope(x)`, with an operator for the slope.
fn times(step: &mut Step<'_, '_>, slope: &str) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let slope = builder.op(slope, &[x])?;
        builder.op("Mul", &[g, slope])
    })
}

/// `dx = g/divisor(x)`.
fn divided(step: &mut Step<'_, '_>, divisor: fn(&mut Builder<'_>, ValueId) -> Result<ValueId>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let divisor = divisor(builder, x)?;
        builder.op("Div", &[g, divisor])
    })
}

/// `x² + offset`.
fn shifted_square(builder: &mut Builder<'_>, x: ValueId, offset: f32) -> Result<ValueId> {
    let (square, offset) = (builder.op("Mul", &[x, x])?, builder.scalar(offset));
    builder.op("Add", &[square, offset])
}

/// `1 − x²`.
fn one_minus_square(builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
    let (one, square) = (builder.scalar(1.0), builder.op("Mul", &[x, x])?);
    builder.op("Sub", &[one, square])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, backward_text, batched, check, function};

    #[test]
    fn gradients_match_central_differences() {
        let cases = [
            ("Sin", Domain::Real),
            ("Cos", Domain::Real),
            ("Tan", Domain::Unit),
            ("Sinh", Domain::Real),
            ("Cosh", Domain::Real),
            ("Asin", Domain::Unit),
            ("Acos", Domain::Unit),
            ("Atan", Domain::Real),
            ("Asinh", Domain::Real),
            ("Acosh", Domain::AboveOne),
            ("Atanh", Domain::Unit),
        ];
        for (op_type, domain) in cases {
            check(op_type, domain, batched(&[2, 3]), |builder, x| builder.op(op_type, &[x]));
        }
    }

    #[test]
    fn the_slope_is_written_in_the_cheaper_of_input_and_output() {
        let tan = function(batched(&[3]), |builder, x| builder.op("Tan", &[x]));
        insta::assert_snapshot!(backward_text(&tan.unwrap()), @r"
            const %gradient/f/Tan/constant: f32[] = [1.0]
            %gradient/f/Tan/Mul: f32[N, 3] = Mul(%f/Tan, %f/Tan)
            %gradient/f/Tan/Add: f32[N, 3] = Add(%gradient/f/Tan/Mul, %gradient/f/Tan/constant)
            %gradient/f/Tan/Mul_2: f32[N, 3] = Mul(%g, %gradient/f/Tan/Add)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Tan/Mul_2)
        ");
        let acos = function(batched(&[3]), |builder, x| builder.op("Acos", &[x]));
        insta::assert_snapshot!(backward_text(&acos.unwrap()), @r"
            const %gradient/f/Acos/constant: f32[] = [1.0]
            const %gradient/f/Acos/constant_2: f32[] = [0.0]
            const %gradient/f/Acos/constant_3: f32[] = [-1e18]
            const %gradient/f/Acos/constant_4: f32[] = [1e18]
            %gradient/f/Acos/Mul: f32[N, 3] = Mul(%x, %x)
            %gradient/f/Acos/Sub: f32[N, 3] = Sub(%gradient/f/Acos/constant, %gradient/f/Acos/Mul)
            %gradient/f/Acos/Sqrt: f32[N, 3] = Sqrt(%gradient/f/Acos/Sub)
            %gradient/f/Acos/Neg: f32[N, 3] = Neg(%gradient/f/Acos/Sqrt)
            %gradient/f/Acos/Div: f32[N, 3] = Div(%g, %gradient/f/Acos/Neg)
            %gradient/f/Acos/Equal: bool[N, 3] = Equal(%gradient/f/Acos/Div, %gradient/f/Acos/Div)
            %gradient/f/Acos/Where: f32[N, 3] = Where(%gradient/f/Acos/Equal, %gradient/f/Acos/Div, %gradient/f/Acos/constant_2)
            %gradient/f/Acos/Clip: f32[N, 3] = Clip(%gradient/f/Acos/Where, %gradient/f/Acos/constant_3, %gradient/f/Acos/constant_4)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Acos/Clip)
        ");
    }
}
