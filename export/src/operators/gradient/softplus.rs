//! Softplus, Softsign, Mish and Swish.
//!
//! Softplus, `ln(1 + eˣ)`: `g·σ(x)`. Softsign, `x/(1 + |x|)`: `g/(1 + |x|)²`, smooth at zero. Mish, `x·t` with
//! `t = tanh(ln(1 + eˣ))`: `g·(t + x·σ(x)·(1 − t²))`. Swish, `x·s` with
//! `s = σ(αx)`: `g·(s + α·y·(1 − s))`. Operator pages: ONNX `Softplus-1`, `Softsign-1`, `Mish-18`, `Swish-24`;
//! Dugas et al. 2001, Misra 2020, Ramachandran et al. 2017.

use super::step::Step;
use crate::error::Result;

/// `dx = g·σ(x)`.
pub(crate) fn softplus(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let slope = builder.op("Sigmoid", &[x])?;
        builder.op("Mul", &[g, slope])
    })
}

/// `dx = g/(1 + |x|)²`.
pub(crate) fn softsign(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let (size, one) = (builder.op("Abs", &[x])?, builder.scalar(1.0));
        let divisor = builder.op("Add", &[size, one])?;
        let square = builder.op("Mul", &[divisor, divisor])?;
        builder.op("Div", &[g, square])
    })
}

/// `dx = g·(t + x·σ(x)·(1 − t²))`.
pub(crate) fn mish(step: &mut Step<'_, '_>) -> Result<()> {
    let (x, g) = (step.input(0)?, step.cotangent()?);
    step.send(0, |builder| {
        let softplus = builder.op("Softplus", &[x])?;
        let t = builder.op("Tanh", &[softplus])?;
        let sigmoid = builder.op("Sigmoid", &[x])?;
        let weighted = builder.op("Mul", &[x, sigmoid])?;
        let (one, square) = (builder.scalar(1.0), builder.op("Mul", &[t, t])?);
        let t_slope = builder.op("Sub", &[one, square])?;
        let second = builder.op("Mul", &[weighted, t_slope])?;
        let slope = builder.op("Add", &[t, second])?;
        builder.op("Mul", &[g, slope])
    })
}

/// `dx = g·(s + α·y·(1 − s))`.
pub(crate) fn swish(step: &mut Step<'_, '_>) -> Result<()> {
    let alpha = step.node().attributes.float("alpha", 1.0)?;
    let (x, y, g) = (step.input(0)?, step.output()?, step.cotangent()?);
    step.send(0, |builder| {
        let (one, alpha) = (builder.scalar(1.0), builder.scalar(alpha));
        let scaled = builder.op("Mul", &[x, alpha])?;
        let s = builder.op("Sigmoid", &[scaled])?;
        let complement = builder.op("Sub", &[one, s])?;
        let s_slope = builder.op("Mul", &[y, complement])?;
        let second = builder.op("Mul", &[s_slope, alpha])?;
        let slope = builder.op("Add", &[s, second])?;
        builder.op("Mul", &[g, slope])
    })
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, check_graph, float, function, run, session,
    };

    #[test]
    fn gradients_match_central_differences() {
        for op_type in ["Softplus", "Mish", "Softsign"] {
            // The second derivative of Softsign jumps at zero, which the differences would feel.
            let domain = if op_type == "Softsign" { Domain::AwayFromZero } else { Domain::Real };
            check(op_type, domain, batched(&[2, 3]), |builder, x| builder.op(op_type, &[x]));
        }
    }

    #[test]
    fn swish_at_several_steepnesses() {
        for alpha in [None, Some(0.25_f32), Some(-2.0)] {
            let mut graph = function(batched(&[2, 3]), |builder, x| match alpha {
                Some(alpha) => builder.op_with("Swish", &[x], [("alpha", alpha.into())]),
                None => builder.op("Swish", &[x]),
            })
            .unwrap();
            graph.opset = 24;
            check_graph(&format!("alpha {alpha:?}"), Domain::Real, &graph);
        }
    }

    #[test]
    fn nothing_overflows_far_from_zero() {
        // Slopes of −200, 0 and 200.
        let cases = [
            ("Softplus", [0.0, 1.5, 3.0], 0.0),
            ("Mish", [0.0, 1.8, 3.0], 1e-6),
            ("Softsign", [3.0 / 40_401.0, 3.0, 3.0 / 40_401.0], 1e-9),
        ];
        for (op_type, wanted, tolerance) in cases {
            let graph = function(batched(&[3]), |builder, x| builder.op(op_type, &[x])).unwrap();
            let inputs = [float("x", &[1, 3], &[-200.0, 0.0, 200.0]), float("g", &[1, 3], &[3.0; 3])];
            let found = run(&mut session(&adjoint(&graph).unwrap()), &inputs);
            let near = |(found, wanted): (&f32, &f32)| (found - wanted).abs() <= tolerance;
            assert!(found.iter().zip(&wanted).all(near), "{op_type}: {found:?}");
        }
    }

    #[test]
    fn the_subgraph_of_mish() {
        let graph = function(batched(&[3]), |builder, x| builder.op("Mish", &[x]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/Mish/constant: f32[] = [1.0]
            %gradient/f/Mish/Softplus: f32[N, 3] = Softplus(%x)
            %gradient/f/Mish/Tanh: f32[N, 3] = Tanh(%gradient/f/Mish/Softplus)
            %gradient/f/Mish/Sigmoid: f32[N, 3] = Sigmoid(%x)
            %gradient/f/Mish/Mul: f32[N, 3] = Mul(%x, %gradient/f/Mish/Sigmoid)
            %gradient/f/Mish/Mul_2: f32[N, 3] = Mul(%gradient/f/Mish/Tanh, %gradient/f/Mish/Tanh)
            %gradient/f/Mish/Sub: f32[N, 3] = Sub(%gradient/f/Mish/constant, %gradient/f/Mish/Mul_2)
            %gradient/f/Mish/Mul_3: f32[N, 3] = Mul(%gradient/f/Mish/Mul, %gradient/f/Mish/Sub)
            %gradient/f/Mish/Add: f32[N, 3] = Add(%gradient/f/Mish/Tanh, %gradient/f/Mish/Mul_3)
            %gradient/f/Mish/Mul_4: f32[N, 3] = Mul(%g, %gradient/f/Mish/Add)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Mish/Mul_4)
        ");
    }
}
