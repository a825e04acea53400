//! Products: MatMul, Gemm, Einsum.

use super::effect::{BatchAxis, BatchView, Effect};
use super::elementwise::broadcast;
use crate::graph::Shape;
use crate::operators::types::Equation;

/// MatMul: sums over the last axis of the left and the last but one of the right factor.
pub(crate) fn matmul(node: &BatchView<'_>) -> Option<Effect> {
    let [a, b] = [node.view.shape(0).ok()?.rank(), node.view.shape(1).ok()?.rank()];
    if a < 2 || b < 2 {
        return None;
    }
    let last = |batch: Option<BatchAxis>, rank: usize, axis: usize| {
        batch.is_some_and(|batch| batch.axis + axis == rank)
    };
    let (left, right) = (node.batch(0), node.batch(1));
    if last(left, a, 1) || last(right, b, 2) {
        return Some(Effect::Mixed);
    }
    if (last(left, a, 2) && right.is_some()) || (last(right, b, 1) && left.is_some()) {
        return Some(Effect::Mixed);
    }
    broadcast(node)
}

/// Gemm: a row an image, or a column where the left factor is transposed.
pub(crate) fn gemm(node: &BatchView<'_>) -> Option<Effect> {
    let transposed = node.view.node.attributes.int("transA", 0).ok()? != 0;
    let batch = node.first_input_only()?;
    if transposed {
        return (batch.axis == 1).then_some(Effect::Independent(BatchAxis { axis: 0, ..batch }));
    }
    Some(if batch.axis == 0 { Effect::Independent(batch) } else { Effect::Mixed })
}

/// Einsum: independent where the letter of the batch is an axis of the result; mixed where it is summed over.
pub(crate) fn einsum(node: &BatchView<'_>) -> Option<Effect> {
    let shapes: Vec<&Shape> = node.view.inputs().ok()?.into_iter().map(|input| &input.shape).collect();
    let equation = Equation::parse(node.view.node.attributes.text("equation", "").ok()?, &shapes).ok()?;
    let mut found: Option<(char, usize)> = None;
    for (index, labels) in equation.operands.iter().enumerate() {
        let Some(batch) = node.batch(index) else { continue };
        let labelled = (*labels.get(batch.axis)?, batch.inner);
        if found.is_some_and(|found| found != labelled) {
            return Some(Effect::Mixed);
        }
        found = Some(labelled);
    }
    let (label, inner) = found?;
    let axis = equation.output.iter().position(|output| *output == label);
    Some(axis.map_or(Effect::Mixed, |axis| Effect::Independent(BatchAxis { axis, inner })))
}
