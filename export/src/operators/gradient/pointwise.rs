//! Smooth functions of one variable, `dx = g·f'(x)`, with `f'` written in `y` where that is cheaper.
//!
//! `exp: y`; `log: 1/x`; `sqrt: 1/(2y)`; `1/x: −y²`; `xᵖ: p·xᵖ⁻¹`; `tanh: 1 − y²`; `σ: y·(1 − y)`;
//! `erf: 2/√π·exp(−x²)`. Operator pages: ONNX `Exp-13`, `Log-13`, `Sqrt-13`, `Reciprocal-13`, `Pow-15`, `Tanh-13`,
//! `Sigmoid-13`, `Erf-13`.

use std::f64::consts::FRAC_2_SQRT_PI;

use super::step::Step;
use crate::error::{Error, Result};
use crate::facts::Content;
use crate::tensor::Tensor;

/// `dx = g·y`.
pub(crate) fn exp(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    step.send(0, |builder| builder.op("Mul", &[g, y]))
}

/// `dx = g/x`.
pub(crate) fn log(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| builder.op("Div", &[g, x]))
}

/// `dx = g/(2y)`: infinite at zero, as the derivative is.
pub(crate) fn sqrt(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let two = builder.scalar(2.0);
        let double = builder.op("Mul", &[y, two])?;
        builder.op("Div", &[g, double])
    })
}

/// `dx = −g·y²`.
pub(crate) fn reciprocal(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let square = builder.op("Mul", &[y, y])?;
        let product = builder.op("Mul", &[g, square])?;
        builder.op("Neg", &[product])
    })
}

/// `dx = Σ g·p·xᵖ⁻¹` for a constant exponent.
pub(crate) fn pow(step: &mut Step<'_, '_>) -> Result<()> {
    step.refuse(1, "exponent")?;
    let (x, exponent, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let p = step
        .constant(exponent)
        .and_then(Exponent::from_tensor)
        .ok_or_else(|| Error::unsupported("its exponent is not a constant after folding"))?;
    step.send_summed(0, |builder| {
        let factor = builder.constant(p.factor);
        let scaled = builder.op("Mul", &[g, factor])?;
        let power = match p.exponent_minus_one {
            None => x,
            Some(exponent_minus_one) => {
                let exponent_minus_one = builder.constant(exponent_minus_one);
                builder.op("Pow", &[x, exponent_minus_one])?
            }
        };
        builder.op("Mul", &[scaled, power])
    })
}

/// `dx = g·(1 − y²)`.
pub(crate) fn tanh(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let (one, square) = (builder.scalar(1.0), builder.op("Mul", &[y, y])?);
        let slope = builder.op("Sub", &[one, square])?;
        builder.op("Mul", &[g, slope])
    })
}

/// `dx = g·y·(1 − y)`.
pub(crate) fn sigmoid(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let one = builder.scalar(1.0);
        let complement = builder.op("Sub", &[one, y])?;
        let slope = builder.op("Mul", &[y, complement])?;
        builder.op("Mul", &[g, slope])
    })
}

/// `dx = g·2/√π·exp(−x²)`, with the factor in the exponent: ONNX Runtime's Neg takes three times as long as its Sub.
pub(crate) fn erf(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let square = builder.op("Mul", &[x, x])?;
        // In float64: the last bit of a logarithm in float32 depends on who computes it.
        let offset = builder.scalar(FRAC_2_SQRT_PI.ln() as f32);
        let exponent = builder.op("Sub", &[offset, square])?;
        let slope = builder.op("Exp", &[exponent])?;
        builder.op("Mul", &[g, slope])
    })
}

/// A constant exponent `p`, taken apart.
struct Exponent {
    /// `p`.
    factor: Tensor,
    /// `p − 1`, unless that is one everywhere.
    exponent_minus_one: Option<Tensor>,
}

impl Exponent {
    /// `None` for a type that cannot be an exponent here; exporters write floats and integers.
    fn from_tensor(tensor: &Tensor) -> Option<Self> {
        let p: Vec<f32> = match Content::from_tensor(tensor)? {
            Content::Int(array) => {
                array.elements().iter().map(|symbol| Some(symbol.int()? as f32)).collect::<Option<_>>()?
            }
            Content::Float(array) => array.elements().iter().map(|value| *value as f32).collect(),
            Content::Bool(_) => return None,
        };
        // A power of zero has no slope, not even at zero, where x⁻¹ is infinite.
        let minus_one = |value: &f32| if *value == 0.0 { 0.0 } else { value - 1.0 };
        let exponent_minus_one: Vec<f32> = p.iter().map(minus_one).collect();
        let is_square = exponent_minus_one.iter().all(|value| *value == 1.0);
        Some(Self {
            factor: Tensor::from_f32(tensor.dims(), &p),
            exponent_minus_one: (!is_square).then(|| Tensor::from_f32(tensor.dims(), &exponent_minus_one)),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::Tensor;
    use crate::autodiff::testing::{
        Domain, Numbers, adjoint, backward_text, batched, check, float, function, run, session,
    };
    use crate::tensor::DataType;

    #[test]
    fn functions_of_one_variable() {
        let cases = [
            ("Exp", Domain::Real),
            ("Log", Domain::Positive),
            ("Sqrt", Domain::Positive),
            ("Tanh", Domain::Real),
            ("Sigmoid", Domain::Real),
            ("Erf", Domain::Real),
            ("Reciprocal", Domain::Positive),
        ];
        for (op_type, domain) in cases {
            check(op_type, domain, batched(&[2, 3]), |builder, x| builder.op(op_type, &[x]));
        }
    }

    fn double(dims: &[usize], values: &[f64]) -> Tensor {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Tensor::new(DataType::Float64, dims.to_vec(), bytes.into()).unwrap()
    }

    fn int32(dims: &[usize], values: &[i32]) -> Tensor {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Tensor::new(DataType::Int32, dims.to_vec(), bytes.into()).unwrap()
    }

    #[test]
    fn a_power_of_zero_has_no_slope_at_zero() {
        let graph = function(batched(&[4]), |builder, x| {
            let exponent = builder.constant(Tensor::from_f32(&[4], &[0.0, 1.0, 2.0, 3.0]));
            builder.op("Pow", &[x, exponent])
        });
        let inputs = [float("x", &[1, 4], &[0.0; 4]), float("g", &[1, 4], &[3.0; 4])];
        let found = run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs);
        assert_eq!(found, [0.0, 3.0, 0.0, 0.0]);
    }

    #[test]
    fn powers() {
        let exponents = [
            ("square", Domain::Real, Tensor::scalar_f32(2.0)),
            ("integer square", Domain::Real, Tensor::from_i64(&[], &[2])),
            ("cube", Domain::Real, Tensor::scalar_f32(3.0)),
            ("cube of negative numbers, double", Domain::AwayFromZero, double(&[], &[3.0])),
            ("integers of 32 bits", Domain::AwayFromZero, int32(&[3], &[3, 0, 2])),
            (
                "negative powers of negative numbers",
                Domain::AwayFromZero,
                Tensor::from_i64(&[3], &[-1, -2, 1]),
            ),
            ("root", Domain::Positive, Tensor::scalar_f32(0.5)),
            ("inverse", Domain::Positive, Tensor::scalar_f32(-1.0)),
            ("one each", Domain::Positive, Tensor::from_f32(&[3], &[2.0, 0.5, -2.0])),
        ];
        for (name, domain, exponent) in exponents {
            check(name, domain, batched(&[2, 3]), |builder, x| {
                let exponent = builder.constant(exponent);
                builder.op("Pow", &[x, exponent])
            });
        }
        check("stretched", Domain::Positive, batched(&[1]), |builder, x| {
            let exponent = builder.constant(Numbers::new(1).tensor(&[3]));
            builder.op("Pow", &[x, exponent])
        });
    }

    #[test]
    fn an_exponent_that_depends_on_the_images_is_refused() {
        let graph = function(batched(&[3]), |builder, x| {
            let two = builder.scalar(2.0);
            builder.op("Pow", &[two, x])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "node `f/Pow` (Pow): its exponent depends on the images; no gradient rule for that"
        );
    }

    #[test]
    fn a_square_needs_no_power() {
        let square = function(batched(&[3]), |builder, x| {
            let two = builder.scalar(2.0);
            builder.op("Pow", &[x, two])
        });
        insta::assert_snapshot!(backward_text(&square.unwrap()), @r"
            const %gradient/f/Pow/constant: f32[] = [2.0]
            %gradient/f/Pow/Mul: f32[N, 3] = Mul(%g, %gradient/f/Pow/constant)
            %gradient/f/Pow/Mul_2: f32[N, 3] = Mul(%gradient/f/Pow/Mul, %x)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Pow/Mul_2)
        ");
    }

    #[test]
    fn slopes_reuse_the_output() {
        let sigmoid = function(batched(&[3]), |builder, x| builder.op("Sigmoid", &[x]));
        insta::assert_snapshot!(backward_text(&sigmoid.unwrap()), @r"
            const %gradient/f/Sigmoid/constant: f32[] = [1.0]
            %gradient/f/Sigmoid/Sub: f32[N, 3] = Sub(%gradient/f/Sigmoid/constant, %f/Sigmoid)
            %gradient/f/Sigmoid/Mul: f32[N, 3] = Mul(%f/Sigmoid, %gradient/f/Sigmoid/Sub)
            %gradient/f/Sigmoid/Mul_2: f32[N, 3] = Mul(%g, %gradient/f/Sigmoid/Mul)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Sigmoid/Mul_2)
        ");
    }
}
