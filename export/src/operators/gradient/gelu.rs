//! Gelu, exact and with the tanh approximation.
//!
//! Exact, `y = x·Φ(x)`: `dx = g·(Φ(x) + x·φ(x))`, with `Φ(x) = (1 + erf(x/√2))/2` and `φ(x) = exp(−x²/2)/√(2π)`.
//! Approximate, `y = x·(1 + t)/2` with `t = tanh u`, `u = √(2/π)·(x + c·x³)` and `c = 0.044715`:
//! `dx = g·((1 + t)/2 + x·(1 − t²)/2·√(2/π)·(1 + 3c·x²))`.
//! Operator page: ONNX `Gelu-20`; Hendrycks and Gimpel 2016, section 2.
//!
//! Where there is no kernel for the exact form, [`simplify::expand_gelu`](crate::simplify::expand_gelu) has written the
//! Gelus of a classifier out before, so that `erf` is computed once.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_PI, TAU};

use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::own_operators::GELU_GRADIENT;
use crate::graph::{Builder, Node, ValueId};

/// The cubic coefficient of the tanh approximation.
const CUBIC: f32 = 0.044_715;

/// `dx = g·gelu'(x)` in the form that the node computes.
pub(crate) fn gelu(step: &mut Step<'_, '_>) -> Result<()> {
    let form = step.node().attributes.text("approximate", "none")?;
    let (x, g) = (step.input(0)?, step.cotangent()?);
    match form {
        "none" => step.send(0, |builder| builder.op(GELU_GRADIENT, &[g, x])),
        "tanh" => step.send(0, |builder| {
            let slope = tanh_slope(builder, x)?;
            builder.op("Mul", &[g, slope])
        }),
        other => Err(Error::unsupported(format!("approximate = {other:?}, known are none and tanh"))),
    }
}

/// The exact form in standard operators.
pub(crate) fn lower(builder: &mut Builder<'_>, node: &Node) -> Result<ValueId> {
    let (g, x) = (node.input(0)?, node.input(1)?);
    let slope = exact_slope(builder, x)?;
    builder.op("Mul", &[g, slope])
}

/// `Φ(x) + x·φ(x) = 1/2 + erf(u)/2 + u·exp(−u²)/√π` for `u = x/√2`: the square needs no further scale.
fn exact_slope(builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
    let u = scaled(builder, x, FRAC_1_SQRT_2)?;
    let erf = builder.op("Erf", &[u])?;
    let half_erf = scaled(builder, erf, 0.5)?;
    let bell = bell(builder, u)?;
    let weighted = builder.op("Mul", &[u, bell])?;
    let sum = builder.op("Add", &[half_erf, weighted])?;
    let half = builder.scalar(0.5);
    builder.op("Add", &[sum, half])
}

/// `exp(−u²)/√π`, with the factor in the exponent: `exp(−u² − ln √π)`.
fn bell(builder: &mut Builder<'_>, u: ValueId) -> Result<ValueId> {
    let square = builder.op("Mul", &[u, u])?;
    let offset = builder.scalar(-0.5 * (TAU / 2.0).ln());
    let exponent = builder.op("Sub", &[offset, square])?;
    builder.op("Exp", &[exponent])
}

/// `(1 + t)/2 + x·(1 − t²)/2·√(2/π)·(1 + 3c·x²)`.
fn tanh_slope(builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
    let root = FRAC_2_PI.sqrt();
    let square = builder.op("Mul", &[x, x])?;
    let inner = affine(builder, square, root * CUBIC, root)?; // √(2/π)·(1 + c·x²)
    let u = builder.op("Mul", &[x, inner])?;
    let t = builder.op("Tanh", &[u])?;
    let first = affine(builder, t, 0.5, 0.5)?; // (1 + t)/2
    let t_square = builder.op("Mul", &[t, t])?;
    let t_slope = affine(builder, t_square, -0.5, 0.5)?; // (1 − t²)/2
    let u_slope = affine(builder, square, 3.0 * root * CUBIC, root)?; // du/dx
    let slopes = builder.op("Mul", &[t_slope, u_slope])?;
    let second = builder.op("Mul", &[x, slopes])?;
    builder.op("Add", &[first, second])
}

/// `factor·x`.
fn scaled(builder: &mut Builder<'_>, x: ValueId, factor: f32) -> Result<ValueId> {
    let factor = builder.scalar(factor);
    builder.op("Mul", &[x, factor])
}

/// `factor·x + offset`.
fn affine(builder: &mut Builder<'_>, x: ValueId, factor: f32, offset: f32) -> Result<ValueId> {
    let product = scaled(builder, x, factor)?;
    let offset = builder.scalar(offset);
    builder.op("Add", &[product, offset])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, adjoint, backward_text, batched, check, function, kernel_text};

    #[test]
    fn gradients_match_central_differences() {
        for form in ["none", "tanh"] {
            check(form, Domain::Real, batched(&[3, 4]), |builder, x| {
                builder.op_with("Gelu", &[x], [("approximate", form.into())])
            });
        }
    }

    #[test]
    fn an_unknown_form_is_refused() {
        let graph = function(batched(&[3]), |builder, x| {
            builder.op_with("Gelu", &[x], [("approximate", "sigmoid".into())])
        });
        let error = adjoint(&graph.unwrap()).unwrap_err();
        assert!(error.to_string().contains("approximate = \"sigmoid\", known are none and tanh"), "{error}");
    }

    #[test]
    fn the_exact_slope_is_written_in_x_over_root_two() {
        let gelu = function(batched(&[3]), |builder, x| builder.op("Gelu", &[x]));
        insta::assert_snapshot!(backward_text(&gelu.unwrap()), @r"
            const %gradient/f/Gelu/ai.mimir::GeluGradient/constant: f32[] = [0.70710677]
            const %gradient/f/Gelu/ai.mimir::GeluGradient/constant_2: f32[] = [0.5]
            const %gradient/f/Gelu/ai.mimir::GeluGradient/constant_3: f32[] = [-0.572365]
            const %gradient/f/Gelu/ai.mimir::GeluGradient/constant_4: f32[] = [0.5]
            %gradient/f/Gelu/ai.mimir::GeluGradient/Mul: f32[N, 3] = Mul(%x, %gradient/f/Gelu/ai.mimir::GeluGradient/constant)
            %gradient/f/Gelu/ai.mimir::GeluGradient/Erf: f32[N, 3] = Erf(%gradient/f/Gelu/ai.mimir::GeluGradient/Mul)
            %gradient/f/Gelu/ai.mimir::GeluGradient/Mul_2: f32[N, 3] = Mul(%gradient/f/Gelu/ai.mimir::GeluGradient/Erf, %gradient/f/Gelu/ai.mimir::GeluGradient/constant_2)
            %gradient/f/Gelu/ai.mimir::GeluGradient/Mul_3: f32[N, 3] = Mul(%gradient/f/Gelu/ai.mimir::GeluGradient/Mul, %gradient/f/Gelu/ai.mimir::GeluGradient/Mul)
            %gradient/f/Gelu/ai.mimir::GeluGradient/Sub: f32[N, 3] = Sub(%gradient/f/Gelu/ai.mimir::GeluGradient/constant_3, %gradient/f/Gelu/ai.mimir::GeluGradient/Mul_3)
            %gradient/f/Gelu/ai.mimir::GeluGradient/Exp: f32[N, 3] = Exp(%gradient/f/Gelu/ai.mimir::GeluGradient/Sub)
            %gradient/f/Gelu/ai.mimir::GeluGradient/Mul_4: f32[N, 3] = Mul(%gradient/f/Gelu/ai.mimir::GeluGradient/Mul, %gradient/f/Gelu/ai.mimir::GeluGradient/Exp)
            %gradient/f/Gelu/ai.mimir::GeluGradient/Add: f32[N, 3] = Add(%gradient/f/Gelu/ai.mimir::GeluGradient/Mul_2, %gradient/f/Gelu/ai.mimir::GeluGradient/Mul_4)
            %gradient/f/Gelu/ai.mimir::GeluGradient/Add_2: f32[N, 3] = Add(%gradient/f/Gelu/ai.mimir::GeluGradient/Add, %gradient/f/Gelu/ai.mimir::GeluGradient/constant_4)
            %gradient/f/Gelu/ai.mimir::GeluGradient/Mul_5: f32[N, 3] = Mul(%g, %gradient/f/Gelu/ai.mimir::GeluGradient/Add_2)
            %gradient/f/Gelu/ai.mimir::GeluGradient: f32[N, 3] = Identity(%gradient/f/Gelu/ai.mimir::GeluGradient/Mul_5)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Gelu/ai.mimir::GeluGradient)
        ");
    }

    #[test]
    fn the_kernel_takes_the_cotangent_and_the_input() {
        let graph = function(batched(&[3]), |builder, x| builder.op("Gelu", &[x])).unwrap();
        insta::assert_snapshot!(kernel_text(&graph), @r"
            %gradient/f/Gelu/ai.mimir::GeluGradient: f32[N, 3] = ai.mimir::GeluGradient(%g, %x)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Gelu/ai.mimir::GeluGradient)
        ");
    }
}
