//! Split: one tensor cut along an axis.
//!
//! Each output's cotangent is a piece of `dx`; all of them together are one Concat. Operator page: ONNX `Split-18`.

use super::ledger::Piece;
use super::step::Step;
use crate::error::{Error, Result};

/// `dx = concat(g_0, g_1, …)`.
pub(crate) fn split(step: &mut Step<'_, '_>) -> Result<()> {
    let shape = step.shape(step.input(0)?)?;
    let axis = shape.axis(step.node().attributes.int("axis", 0)?)?;
    let mut start = 0;
    for index in 0..step.node().outputs.len() {
        let length = step.shape(step.node().output(index)?)?.0[axis].fixed().ok_or_else(|| {
            Error::unsupported(format!("it cuts axis {axis} of {shape}, which is the batch"))
        })?;
        if let Some(cotangent) = step.cotangents()[index] {
            step.send_piece(0, Piece { axis, start, length, cotangent })?;
        }
        start += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, backward_text, batched, check, function};
    use crate::error::Result;
    use crate::graph::{Attributes, Builder, Shape, ValueId};

    fn parts(builder: &mut Builder<'_>, x: ValueId, axis: i64, sizes: &[i64]) -> Result<Vec<ValueId>> {
        let sizes_input = builder.ints(sizes);
        let attributes = Attributes::from_pairs([("axis", axis.into())]);
        builder.node("Split", vec![Some(x), Some(sizes_input)], attributes, sizes.len())
    }

    #[test]
    fn gradients_match_central_differences() {
        check("query times key", Domain::Real, batched(&[2, 6]), |builder, x| {
            let parts = parts(builder, x, -1, &[3, 3])?;
            builder.op("Mul", &[parts[0], parts[1]])
        });
        check("along the first axis, as by default", Domain::Real, Shape::fixed(&[4, 4]), |builder, x| {
            let sizes = builder.ints(&[1, 3]);
            Ok(builder.node("Split", vec![Some(x), Some(sizes)], Attributes::default(), 2)?[1])
        });
        check("unequal, the middle unused", Domain::Real, batched(&[6, 2]), |builder, x| {
            let parts = parts(builder, x, 1, &[1, 4, 1])?;
            builder.op("Mul", &[parts[0], parts[2]])
        });
    }

    #[test]
    fn the_parts_become_one_concat_with_zeros_for_the_unused() {
        let graph = function(batched(&[6]), |builder, x| {
            let parts = parts(builder, x, 1, &[2, 2, 2])?;
            builder.op("Mul", &[parts[0], parts[2]])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/constant: i64[4] = [0, 0, 0, 2]
            %gradient/f/Mul/Mul: f32[N, 2] = Mul(%g, %f/Split_3)
            %gradient/f/Mul/Mul_2: f32[N, 2] = Mul(%g, %f/Split)
            %gradient/Pad: f32[N, 4] = Pad(%gradient/f/Mul/Mul, %gradient/constant)
            %gradient/Concat: f32[N, 6] = Concat(%gradient/Pad, %gradient/f/Mul/Mul_2) {axis = 1}
            %dx/Identity: f32[N, 6] = Identity(%gradient/Concat)
        ");
    }
}
