//! Softmax and LogSoftmax over one axis.
//!
//! Softmax: `dx = (g − Σ g·y)·y`. LogSoftmax: `dx = g − exp(y)·Σ g`. The sums run over the axis of the operator.
//! Operator pages: ONNX `Softmax-13`, `LogSoftmax-13` (older forms are rewritten before).

use super::Entry;
use crate::autodiff::step::Step;
use crate::error::Result;
use crate::graph::{Builder, Dim, ValueId};
use crate::tensor::Tensor;

pub(super) const RULES: &[Entry] =
    &[Entry::exact("LogSoftmax", 1, log_softmax), Entry::exact("Softmax", 1, softmax)];

/// `dx = (g − Σ g·y)·y`.
pub(super) fn softmax(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    let axis = step.node().attributes.int("axis", -1)?;
    step.send(0, |builder| {
        let weighted = builder.op("Mul", &[g, y])?;
        let mean = sum_on(builder, weighted, axis)?;
        let centred = builder.op("Sub", &[g, mean])?;
        builder.op("Mul", &[centred, y])
    })
}

/// `dx = g − exp(y)·Σ g`.
pub(super) fn log_softmax(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    let axis = step.node().attributes.int("axis", -1)?;
    step.send(0, |builder| {
        let total = sum_on(builder, g, axis)?;
        let p = builder.op("Exp", &[y])?;
        let share = builder.op("Mul", &[p, total])?;
        builder.op("Sub", &[g, share])
    })
}

/// Rows of at most this length are summed into every element of the row: one pass less than to repeat a sum of each
/// (0.2 µs an image for five tokens and three heads; ONNX Runtime 1.32, one thread).
const SHORT_ROW: usize = 16;

/// Sum over one axis, which is kept, with one element or all.
///
/// The last axis is summed by a product with ones. ONNX Runtime's ReduceSum adds a row of, say, 65 values in an order
/// that follows from the row's memory address, so that the gradient of an image would depend, in the last bit, on its
/// position in the batch; the product adds every row alike.
fn sum_on(builder: &mut Builder<'_>, value: ValueId, axis: i64) -> Result<ValueId> {
    let shape = builder.graph().shape(value)?;
    let is_last = axis == -1 || axis + 1 == shape.0.len() as i64;
    if let (true, Some(Dim::Fixed(length))) = (is_last, shape.0.last().copied()) {
        let columns = if length <= SHORT_ROW { length } else { 1 };
        let ones = builder.constant(Tensor::from_f32(&[length, columns], &vec![1.0; length * columns]));
        return builder.op("MatMul", &[value, ones]);
    }
    let axes = builder.ints(&[axis]);
    builder.op_with("ReduceSum", &[value, axes], [("keepdims", 1.into())])
}

#[cfg(test)]
mod tests {
    use crate::autodiff::testing::{Domain, backward_text, batched, check, function};

    #[test]
    fn gradients_match_central_differences_on_every_axis() {
        for op_type in ["Softmax", "LogSoftmax"] {
            for axis in [1, 2, -1, -2] {
                check(&format!("{op_type} on {axis}"), Domain::Real, batched(&[3, 4]), |builder, x| {
                    builder.op_with(op_type, &[x], [("axis", axis.into())])
                });
            }
        }
    }

    #[test]
    fn a_long_row_has_one_sum() {
        for op_type in ["Softmax", "LogSoftmax"] {
            check(op_type, Domain::Real, batched(&[2, 17]), |builder, x| builder.op(op_type, &[x]));
        }
        let text =
            backward_text(&function(batched(&[17]), |builder, x| builder.op("Softmax", &[x])).unwrap());
        assert!(text.contains("f32[N, 1] = MatMul("), "{text}");
    }

    #[test]
    fn the_subgraphs_reuse_the_output() {
        let softmax = function(batched(&[3]), |builder, x| builder.op("Softmax", &[x]));
        insta::assert_snapshot!(backward_text(&softmax.unwrap()), @r"
            const %gradient/f/Softmax/constant: f32[3, 3] = 36 bytes, checksum e894af49ae8023d8
            %gradient/f/Softmax/Mul: f32[N, 3] = Mul(%g, %f/Softmax)
            %gradient/f/Softmax/MatMul: f32[N, 3] = MatMul(%gradient/f/Softmax/Mul, %gradient/f/Softmax/constant)
            %gradient/f/Softmax/Sub: f32[N, 3] = Sub(%g, %gradient/f/Softmax/MatMul)
            %gradient/f/Softmax/Mul_2: f32[N, 3] = Mul(%gradient/f/Softmax/Sub, %f/Softmax)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Softmax/Mul_2)
        ");
        let log_softmax = function(batched(&[3]), |builder, x| builder.op("LogSoftmax", &[x]));
        insta::assert_snapshot!(backward_text(&log_softmax.unwrap()), @r"
            const %gradient/f/LogSoftmax/constant: f32[3, 3] = 36 bytes, checksum e894af49ae8023d8
            %gradient/f/LogSoftmax/MatMul: f32[N, 3] = MatMul(%g, %gradient/f/LogSoftmax/constant)
            %gradient/f/LogSoftmax/Exp: f32[N, 3] = Exp(%f/LogSoftmax)
            %gradient/f/LogSoftmax/Mul: f32[N, 3] = Mul(%gradient/f/LogSoftmax/Exp, %gradient/f/LogSoftmax/MatMul)
            %gradient/f/LogSoftmax/Sub: f32[N, 3] = Sub(%g, %gradient/f/LogSoftmax/Mul)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/LogSoftmax/Sub)
        ");
    }
}
