//! LpNormalization: `y = x/‖x‖` along one axis, with the sum of sizes (`p = 1`) or the Euclidean norm (`p = 2`).
//!
//! `dx = (g − v·Σ(g·y))/‖x‖` with `v = sign x` for `p = 1` and `v = y` for `p = 2`. Where the norm is zero the operator
//! gives zeros, and nothing passes. Operator page: ONNX `LpNormalization-1`.

use super::reduction::check_axes;
use super::step::Step;
use super::sums;
use crate::error::{Error, Result};
use crate::graph::{Builder, ValueId};

/// `dx = (g − v·Σ(g·y))/‖x‖`.
pub(crate) fn lp_normalization(step: &mut Step<'_, '_>) -> Result<()> {
    let attributes = &step.node().attributes;
    let (axis, p) = (attributes.int("axis", -1)?, attributes.int("p", 2)?);
    let (x, y, g) = (step.input(0)?, step.output()?, step.cotangent()?);
    let shape = step.shape(x)?;
    let axis = shape.axis(axis)?;
    check_axes(&shape, &[axis])?;
    let norm = match p {
        1 => "ReduceL1",
        2 => "ReduceL2",
        other => return Err(Error::format(format!("attribute `p` is {other}, wanted 1 or 2"))),
    };
    step.send(0, |builder| {
        let direction = if p == 1 { builder.op("Sign", &[x])? } else { y };
        let weighted = builder.op("Mul", &[g, y])?;
        let total = sums::sum(builder, weighted, &[axis])?;
        let along = builder.op("Mul", &[direction, total])?;
        let across = builder.op("Sub", &[g, along])?;
        let inverse = inverse_norm(builder, x, norm, axis)?;
        builder.op("Mul", &[across, inverse])
    })
}

/// `1/‖x‖`, zero where the norm is.
fn inverse_norm(builder: &mut Builder<'_>, x: ValueId, norm: &str, axis: usize) -> Result<ValueId> {
    let (axes, zero) = (builder.ints(&[axis as i64]), builder.scalar(0.0));
    let norm = builder.op_with(norm, &[x, axes], [("keepdims", 1.into())])?;
    let inverse = builder.op("Reciprocal", &[norm])?;
    let is_positive = builder.op("Greater", &[norm, zero])?;
    builder.op("Where", &[is_positive, inverse, zero])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{
        Domain, adjoint, backward_text, batched, check, float, function, run, session,
    };

    #[test]
    fn gradients_match_central_differences() {
        for axis in [1, 2, -1, -2] {
            for p in [1, 2] {
                let case = format!("axis {axis}, p {p}");
                check(&case, Domain::AwayFromZero, batched(&[3, 4]), |builder, x| {
                    builder.op_with("LpNormalization", &[x], [("axis", axis.into()), ("p", p.into())])
                });
            }
        }
    }

    #[test]
    fn nothing_passes_where_the_norm_is_zero() {
        for p in [1, 2] {
            let graph = function(batched(&[3]), |builder, x| {
                builder.op_with("LpNormalization", &[x], [("p", p.into())])
            });
            let inputs = [float("x", &[1, 3], &[0.0; 3]), float("g", &[1, 3], &[1.0, 2.0, 3.0])];
            assert_eq!(run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs), [0.0; 3], "p = {p}");
        }
    }

    #[test]
    fn other_norms_and_the_batch_are_refused() {
        let refusal = |axis: i64, p: i64| {
            let graph = function(batched(&[3]), |builder, x| {
                builder.op_with("LpNormalization", &[x], [("axis", axis.into()), ("p", p.into())])
            });
            adjoint(&graph.unwrap()).unwrap_err().to_string()
        };
        assert!(refusal(1, 3).contains("attribute `p` is 3, wanted 1 or 2"));
        assert!(refusal(0, 2).contains("which is the batch"));
    }

    #[test]
    fn the_subgraph_reuses_the_output() {
        let graph = function(batched(&[4]), |builder, x| builder.op("LpNormalization", &[x]));
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/LpNormalization/constant: i64[1] = [1]
            const %gradient/f/LpNormalization/constant_2: i64[1] = [1]
            const %gradient/f/LpNormalization/constant_3: f32[] = [0.0]
            %gradient/f/LpNormalization/Mul: f32[N, 4] = Mul(%g, %f/LpNormalization)
            %gradient/f/LpNormalization/ReduceSum: f32[N, 1] = ReduceSum(%gradient/f/LpNormalization/Mul, %gradient/f/LpNormalization/constant) {keepdims = 1}
            %gradient/f/LpNormalization/Mul_2: f32[N, 4] = Mul(%f/LpNormalization, %gradient/f/LpNormalization/ReduceSum)
            %gradient/f/LpNormalization/Sub: f32[N, 4] = Sub(%g, %gradient/f/LpNormalization/Mul_2)
            %gradient/f/LpNormalization/ReduceL2: f32[N, 1] = ReduceL2(%x, %gradient/f/LpNormalization/constant_2) {keepdims = 1}
            %gradient/f/LpNormalization/Reciprocal: f32[N, 1] = Reciprocal(%gradient/f/LpNormalization/ReduceL2)
            %gradient/f/LpNormalization/Greater: bool[N, 1] = Greater(%gradient/f/LpNormalization/ReduceL2, %gradient/f/LpNormalization/constant_3)
            %gradient/f/LpNormalization/Where: f32[N, 1] = Where(%gradient/f/LpNormalization/Greater, %gradient/f/LpNormalization/Reciprocal, %gradient/f/LpNormalization/constant_3)
            %gradient/f/LpNormalization/Mul_3: f32[N, 4] = Mul(%gradient/f/LpNormalization/Sub, %gradient/f/LpNormalization/Where)
            %dx/Identity: f32[N, 4] = Identity(%gradient/f/LpNormalization/Mul_3)
        ");
    }
}
