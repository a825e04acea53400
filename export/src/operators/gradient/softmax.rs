//! Softmax and LogSoftmax over one axis.
//!
//! Softmax: `dx = (g − Σ g·y)·y`. LogSoftmax: `dx = g − exp(y)·Σ g`. The sums run over the axis of the operator.
//! Operator pages: ONNX `Softmax-13`, `LogSoftmax-13` (older forms are rewritten before).
//!
//! In attention, `o = y·V` with `g = do·Vᵀ`, the sum is taken over the width of a head instead of over all keys:
//! `Σ_k g·y = Σ_d do·o` (Dao et al. 2022, appendix B.2), two passes over `[tokens, width]` in place of two over
//! `[tokens, tokens]`.

use super::step::Step;
use crate::error::Result;
use crate::graph::own_operators::SOFTMAX_GRADIENT;
use crate::graph::{Builder, Dim, Graph, Neighbours, Node, Shape, ValueId};
use crate::tensor::Tensor;

/// `dx = (g − Σ g·y)·y`.
pub(crate) fn softmax(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    let axis = step.node().attributes.int("axis", -1)?;
    step.send(0, |builder| pulled_back(builder, g, y, axis))
}

/// `(g − Σ g·y)·y`, of rows along that axis.
pub(crate) fn pulled_back(builder: &mut Builder<'_>, g: ValueId, y: ValueId, axis: i64) -> Result<ValueId> {
    if is_last(builder.graph(), y, axis) {
        return builder.op(SOFTMAX_GRADIENT, &[g, y]);
    }
    let weighted = builder.op("Mul", &[g, y])?;
    let total = sum_on(builder, weighted, axis, y)?;
    shared_out(builder, g, total, y)
}

/// The gradient over the last axis in standard operators.
pub(crate) fn lower(builder: &mut Builder<'_>, node: &Node, around: &Neighbours<'_>) -> Result<ValueId> {
    let (g, y) = (node.input(0)?, node.input(1)?);
    let [left, right] = attended(builder.graph(), around, y, g).unwrap_or([g, y]);
    let weighted = builder.op("Mul", &[left, right])?;
    let total = sum_on(builder, weighted, -1, y)?;
    shared_out(builder, g, total, y)
}

/// `(g − total)·y`.
fn shared_out(builder: &mut Builder<'_>, g: ValueId, total: ValueId, y: ValueId) -> Result<ValueId> {
    let centred = builder.op("Sub", &[g, total])?;
    builder.op("Mul", &[centred, y])
}

/// `do` and `o`, where `o = y·V` and `g = do·Vᵀ`, and a row of `o` is shorter than one of `y`.
fn attended(graph: &Graph, around: &Neighbours<'_>, y: ValueId, g: ValueId) -> Option<[ValueId; 2]> {
    let pulled_back = around.producer(g).filter(|node| node.op_type == "MatMul")?;
    let (cotangent, transposed) = (pulled_back.optional_input(0)?, pulled_back.optional_input(1)?);
    let values = around.producer(transposed).filter(|node| exchanges_last_two(graph, node))?;
    let values = values.optional_input(0);
    let mut takers = around.takers(y).iter();
    let attention = takers.find(|node| node.op_type == "MatMul" && node.optional_input(1) == values)?;
    let output = attention.optional_output(0)?;
    let shape = |id: ValueId| graph.shape(id).ok();
    let width = |id: ValueId| shape(id)?.0.last()?.fixed();
    let shorter = width(output)? < width(y)?;
    // A product that was broadcast has summed its cotangent.
    let unsummed = shape(cotangent)? == shape(output)? && shape(g)? == shape(y)?;
    (shorter && unsummed).then_some([cotangent, output])
}

fn is_last(graph: &Graph, value: ValueId, axis: i64) -> bool {
    axis == -1 || graph.shape(value).is_ok_and(|shape| axis + 1 == shape.rank() as i64)
}

fn exchanges_last_two(graph: &Graph, node: &Node) -> bool {
    let permutation = node.attributes.ints("perm").ok().flatten().filter(|_| node.op_type == "Transpose");
    let rank = node.optional_input(0).and_then(|id| graph.shape(id).ok()).map_or(0, Shape::rank) as i64;
    let wanted = (0..rank - 2).chain([rank - 1, rank - 2]);
    permutation.is_some_and(|found| rank >= 2 && found.iter().copied().eq(wanted))
}

/// `dx = g − exp(y)·Σ g`.
pub(crate) fn log_softmax(step: &mut Step<'_, '_>) -> Result<()> {
    let (y, g) = (step.output()?, step.cotangent()?);
    let axis = step.node().attributes.int("axis", -1)?;
    step.send(0, |builder| {
        let total = sum_on(builder, g, axis, y)?;
        let p = builder.op("Exp", &[y])?;
        let share = builder.op("Mul", &[p, total])?;
        builder.op("Sub", &[g, share])
    })
}

/// Rows of at most this length are summed into every element of the row: one pass less than to repeat a sum of each
/// (0.2 µs an image for five tokens and three heads; ONNX Runtime 1.32, one thread).
const SHORT_ROW: usize = 16;

/// Sum over one axis, which is kept, with one element or as many as `row` has.
///
/// The last axis is summed by a product with ones. ONNX Runtime's ReduceSum adds a row of, say, 65 values in an order
/// that follows from the row's memory address, so that the gradient of an image would depend, in the last bit, on its
/// position in the batch; the product adds every row alike.
fn sum_on(builder: &mut Builder<'_>, value: ValueId, axis: i64, row: ValueId) -> Result<ValueId> {
    let shape = builder.graph().shape(value)?;
    if let (true, Some(Dim::Fixed(length))) = (is_last(builder.graph(), value, axis), shape.0.last().copied())
    {
        let row = builder.graph().shape(row)?.0.last().and_then(|dim| dim.fixed());
        let columns = row.filter(|length| *length <= SHORT_ROW).unwrap_or(1);
        let ones = builder.constant(Tensor::from_f32(&[length, columns], &vec![1.0; length * columns]));
        return builder.op("MatMul", &[value, ones]);
    }
    let axes = builder.ints(&[axis]);
    builder.op_with("ReduceSum", &[value, axes], [("keepdims", 1.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{
        Domain, backward_text, batched, check, check_graph, function, kernel_text,
    };

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
            const %gradient/f/Softmax/ai.mimir::SoftmaxGradient/constant: f32[3, 3] = sha256:535918286916675b94b05c03a164174657cb7c1c85b5c721755b86b65a38719f
            %gradient/f/Softmax/ai.mimir::SoftmaxGradient/Mul: f32[N, 3] = Mul(%g, %f/Softmax)
            %gradient/f/Softmax/ai.mimir::SoftmaxGradient/MatMul: f32[N, 3] = MatMul(%gradient/f/Softmax/ai.mimir::SoftmaxGradient/Mul, %gradient/f/Softmax/ai.mimir::SoftmaxGradient/constant)
            %gradient/f/Softmax/ai.mimir::SoftmaxGradient/Sub: f32[N, 3] = Sub(%g, %gradient/f/Softmax/ai.mimir::SoftmaxGradient/MatMul)
            %gradient/f/Softmax/ai.mimir::SoftmaxGradient/Mul_2: f32[N, 3] = Mul(%gradient/f/Softmax/ai.mimir::SoftmaxGradient/Sub, %f/Softmax)
            %gradient/f/Softmax/ai.mimir::SoftmaxGradient: f32[N, 3] = Identity(%gradient/f/Softmax/ai.mimir::SoftmaxGradient/Mul_2)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Softmax/ai.mimir::SoftmaxGradient)
        ");
        let log_softmax = function(batched(&[3]), |builder, x| builder.op("LogSoftmax", &[x]));
        insta::assert_snapshot!(backward_text(&log_softmax.unwrap()), @r"
            const %gradient/f/LogSoftmax/constant: f32[3, 3] = sha256:535918286916675b94b05c03a164174657cb7c1c85b5c721755b86b65a38719f
            %gradient/f/LogSoftmax/MatMul: f32[N, 3] = MatMul(%g, %gradient/f/LogSoftmax/constant)
            %gradient/f/LogSoftmax/Exp: f32[N, 3] = Exp(%f/LogSoftmax)
            %gradient/f/LogSoftmax/Mul: f32[N, 3] = Mul(%gradient/f/LogSoftmax/Exp, %gradient/f/LogSoftmax/MatMul)
            %gradient/f/LogSoftmax/Sub: f32[N, 3] = Sub(%g, %gradient/f/LogSoftmax/Mul)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/LogSoftmax/Sub)
        ");
    }

    /// `softmax(x·xᵀ)·x` over `tokens` of that width.
    fn attention(tokens: usize, width: usize, axis: i64) -> Graph {
        let graph = function(batched(&[tokens, width]), |builder, x| {
            let transposed = builder.op_with("Transpose", &[x], [("perm", vec![0, 2, 1].into())])?;
            let scores = builder.op("MatMul", &[x, transposed])?;
            let shares = builder.op_with("Softmax", &[scores], [("axis", axis.into())])?;
            builder.op("MatMul", &[shares, x])
        });
        graph.unwrap()
    }

    #[test]
    fn attention_sums_over_the_width_where_that_is_shorter() {
        for (tokens, width, axis, product) in [
            (5, 2, -1, "f32[N, 5, 2] = Mul("),
            (5, 2, 2, "f32[N, 5, 2] = Mul("),
            (2, 5, -1, "f32[N, 2, 2] = Mul("),
            (5, 2, 1, "f32[N, 5, 5] = Mul("),
        ] {
            let graph = attention(tokens, width, axis);
            check_graph(&format!("{tokens} tokens, axis {axis}"), Domain::Real, &graph);
            let text = backward_text(&graph);
            let first = text.lines().find(|line| line.contains(" = Mul(")).unwrap();
            assert!(first.contains(product), "{first}");
        }
    }

    #[test]
    fn the_kernel_takes_the_cotangent_and_the_output() {
        let graph = function(batched(&[3]), |builder, x| builder.op("Softmax", &[x])).unwrap();
        insta::assert_snapshot!(kernel_text(&graph), @r"
            %gradient/f/Softmax/ai.mimir::SoftmaxGradient: f32[N, 3] = ai.mimir::SoftmaxGradient(%g, %f/Softmax)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/Softmax/ai.mimir::SoftmaxGradient)
        ");
    }
}
