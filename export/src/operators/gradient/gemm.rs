//! Gemm: `Y = α·op(A)·op(B) + β·C`, where `op` transposes if its flag is set.
//!
//! `d op(A) = α·g·op(B)ᵀ`, `d op(B) = α·op(A)ᵀ·g`, `dC = β·Σ g`. Operator page: ONNX `Gemm-13`. The transposes are
//! flags of the operator, so the constant weight is used as it is: ONNX Runtime packs it once for either flag.

use super::step::Step;
use crate::error::Result;
use crate::graph::{Builder, ValueId};

/// `dA = α·g·op(B)ᵀ`, `dB = α·op(A)ᵀ·g`, `dC = β·Σ g`.
pub(crate) fn gemm(step: &mut Step<'_, '_>) -> Result<()> {
    let attributes = &step.node().attributes;
    let (alpha, beta) = (attributes.float("alpha", 1.0)?, attributes.float("beta", 1.0)?);
    let a_flag = Flag::from_attribute(attributes.int("transA", 0)?);
    let b_flag = Flag::from_attribute(attributes.int("transB", 0)?);
    let (a, b, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    step.send(0, |builder| match a_flag {
        Flag::Plain => product(builder, alpha, (g, Flag::Plain), (b, b_flag.flipped())),
        Flag::Transposed => product(builder, alpha, (b, b_flag), (g, Flag::Transposed)),
    })?;
    step.send(1, |builder| match b_flag {
        Flag::Plain => product(builder, alpha, (a, a_flag.flipped()), (g, Flag::Plain)),
        Flag::Transposed => product(builder, alpha, (g, Flag::Transposed), (a, a_flag)),
    })?;
    step.send_summed(2, |builder| {
        let beta = builder.scalar(beta);
        builder.op("Mul", &[g, beta])
    })
}

/// Whether an operand is transposed.
#[derive(Clone, Copy)]
enum Flag {
    Plain,
    Transposed,
}

impl Flag {
    fn from_attribute(attribute: i64) -> Self {
        if attribute == 0 { Self::Plain } else { Self::Transposed }
    }

    fn flipped(self) -> Self {
        match self {
            Self::Plain => Self::Transposed,
            Self::Transposed => Self::Plain,
        }
    }
}

/// `α·op(left)·op(right)`.
fn product(
    builder: &mut Builder<'_>,
    alpha: f32,
    (left, left_flag): (ValueId, Flag),
    (right, right_flag): (ValueId, Flag),
) -> Result<ValueId> {
    builder.op_with(
        "Gemm",
        &[left, right],
        [
            ("alpha", alpha.into()),
            ("transA", (left_flag as i64).into()),
            ("transB", (right_flag as i64).into()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, Numbers, backward_text, batched, check, function};
    use crate::graph::Shape;

    fn gemm(builder: &mut Builder<'_>, inputs: &[ValueId], [a_flag, b_flag]: [i64; 2]) -> Result<ValueId> {
        let scales = [("alpha", 0.5.into()), ("beta", 2.0.into())];
        let [alpha, beta] = scales;
        builder.op_with("Gemm", inputs, [alpha, beta, ("transA", a_flag.into()), ("transB", b_flag.into())])
    }

    #[test]
    fn every_combination_of_flags() {
        for [a_flag, b_flag] in [[0, 0], [0, 1], [1, 0], [1, 1]] {
            let x_dims: &[usize] = if a_flag == 0 { &[2, 3] } else { &[3, 2] };
            let weight_dims = if b_flag == 0 { [3, 4] } else { [4, 3] };
            check(&format!("left, {a_flag} {b_flag}"), Domain::Real, Shape::fixed(x_dims), |builder, x| {
                let weight = builder.constant(Numbers::new(1).tensor(&weight_dims));
                let bias = builder.constant(Numbers::new(2).tensor(&[4]));
                gemm(builder, &[x, weight, bias], [a_flag, b_flag])
            });
            let x_dims: &[usize] = if b_flag == 0 { &[2, 3] } else { &[3, 2] };
            let weight_dims = if a_flag == 0 { [4, 2] } else { [2, 4] };
            check(&format!("right, {a_flag} {b_flag}"), Domain::Real, Shape::fixed(x_dims), |builder, x| {
                let weight = builder.constant(Numbers::new(1).tensor(&weight_dims));
                gemm(builder, &[weight, x], [a_flag, b_flag])
            });
        }
    }

    #[test]
    fn the_addend_is_summed_over_rows_it_was_broadcast_to() {
        check("dC", Domain::Real, Shape::fixed(&[1, 4]), |builder, x| {
            let left = builder.constant(Numbers::new(1).tensor(&[2, 3]));
            let right = builder.constant(Numbers::new(2).tensor(&[3, 4]));
            gemm(builder, &[left, right, x], [0, 0])
        });
    }

    #[test]
    fn the_weight_is_used_as_it_is() {
        let linear = function(batched(&[3]), |builder, x| {
            let weight = builder.constant(Numbers::new(1).tensor(&[4, 3]));
            let bias = builder.constant(Numbers::new(2).tensor(&[4]));
            gemm(builder, &[x, weight, bias], [0, 1])
        });
        insta::assert_snapshot!(backward_text(&linear.unwrap()), @r"
            %gradient/f/Gemm/Gemm: f32[N, 3] = Gemm(%g, %f/constant) {alpha = 0.5, transA = 0, transB = 0}
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Gemm/Gemm)
        ");
    }
}
