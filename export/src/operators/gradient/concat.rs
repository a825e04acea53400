//! Concat: inputs side by side on one axis.
//!
//! The cotangent of each input is its slice of `g`. Operator page: ONNX `Concat-13`.

use super::step::Step;
use crate::error::{Error, Result};
use crate::graph::{Builder, ValueId};

/// `dx_i = g[start_i .. end_i]` on the axis.
pub(crate) fn concat(step: &mut Step<'_, '_>) -> Result<()> {
    let g = step.cotangent()?;
    let shape = step.shape(g)?;
    let axis = shape.axis(step.node().attributes.int("axis", 0)?)?;
    let mut start = 0;
    for index in 0..step.node().inputs.len() {
        let length = step.shape(step.input(index)?)?.0[axis].fixed().ok_or_else(|| {
            Error::unsupported(format!("it joins tensors along axis {axis} of {shape}, which is the batch"))
        })?;
        step.send(index, |builder| part(builder, g, axis, start, start + length))?;
        start += length;
    }
    Ok(())
}

fn part(builder: &mut Builder<'_>, g: ValueId, axis: usize, start: usize, end: usize) -> Result<ValueId> {
    let starts = builder.ints(&[start as i64]);
    let ends = builder.ints(&[end as i64]);
    let axes = builder.ints(&[axis as i64]);
    builder.op("Slice", &[g, starts, ends, axes])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, Numbers, backward_text, batched, check, function};
    use crate::error::Result;
    use crate::graph::{Builder, ValueId};

    /// A constant token between two functions of `x` `[N, 2, 3]`.
    fn joined(builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
        let (zero, shape) = (builder.scalar(0.0), builder.ints(&[1, 1, 3]));
        let axes = builder.ints(&[1]);
        let sum = builder.op_with("ReduceSum", &[x, axes], [("keepdims", 1.into())])?;
        let blank = builder.op("Mul", &[sum, zero])?;
        let token = builder.constant(Numbers::new(1).tensor(&[1, 1, 3]));
        let token = builder.op("Expand", &[token, shape])?;
        let tokens = builder.op("Add", &[blank, token])?;
        let square = builder.op("Mul", &[x, x])?;
        builder.op_with("Concat", &[square, tokens, x], [("axis", 1.into())])
    }

    #[test]
    fn gradients_match_central_differences() {
        check("axis 1", Domain::Real, batched(&[2, 3]), joined);
        check("axis -1, one part twice", Domain::Real, batched(&[2, 3]), |builder, x| {
            builder.op_with("Concat", &[x, x], [("axis", (-1).into())])
        });
    }

    #[test]
    fn each_part_is_a_slice() {
        let graph = function(batched(&[2, 3]), |builder, x| {
            let square = builder.op("Mul", &[x, x])?;
            builder.op_with("Concat", &[square, x], [("axis", 1.into())])
        });
        insta::assert_snapshot!(backward_text(&graph.unwrap()), @r"
            const %gradient/f/Concat/constant: i64[1] = [0]
            const %gradient/f/Concat/constant_2: i64[1] = [2]
            const %gradient/f/Concat/constant_3: i64[1] = [1]
            const %gradient/f/Concat/constant_4: i64[1] = [2]
            const %gradient/f/Concat/constant_5: i64[1] = [4]
            const %gradient/f/Concat/constant_6: i64[1] = [1]
            %gradient/f/Concat/Slice: f32[N, 2, 3] = Slice(%g, %gradient/f/Concat/constant, %gradient/f/Concat/constant_2, %gradient/f/Concat/constant_3)
            %gradient/f/Concat/Slice_2: f32[N, 2, 3] = Slice(%g, %gradient/f/Concat/constant_4, %gradient/f/Concat/constant_5, %gradient/f/Concat/constant_6)
            %gradient/f/Mul/Mul: f32[N, 2, 3] = Mul(%gradient/f/Concat/Slice, %x)
            %gradient/f/Mul/Mul_2: f32[N, 2, 3] = Mul(%gradient/f/Concat/Slice, %x)
            %gradient/Add: f32[N, 2, 3] = Add(%gradient/f/Concat/Slice_2, %gradient/f/Mul/Mul)
            %gradient/Add_2: f32[N, 2, 3] = Add(%gradient/Add, %gradient/f/Mul/Mul_2)
            %dx/Identity: f32[N, 2, 3] = Identity(%gradient/Add_2)
        ");
    }
}
