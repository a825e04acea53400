//! Operators along stated axes: Softmax, reductions, normalisations, sums.

use super::effect::{BatchAxis, BatchView, Effect, batch_axis};

/// Softmax and its like, TopK: along `axis`, by default the last.
pub(crate) fn last_axis(node: &BatchView<'_>) -> Option<Effect> {
    node.along(node.axis(-1)?)
}

/// Split: along `axis`, by default the first.
pub(crate) fn split(node: &BatchView<'_>) -> Option<Effect> {
    node.along(node.axis(0)?)
}

/// Reductions, ArgMax and ArgMin.
pub(crate) fn reduction(node: &BatchView<'_>) -> Option<Effect> {
    // The batch axis is still there, so it is not among the reduced axes.
    let axis = batch_axis(node.output()?)?;
    Some(Effect::Independent(BatchAxis { axis, ..node.first_input_only()? }))
}

/// CumSum, whose axis is an input.
pub(crate) fn cum_sum(node: &BatchView<'_>) -> Option<Effect> {
    let rank = node.view.shape(0).ok()?.rank() as i64;
    let axis = *node.view.ints(1).ok()?.first()?;
    node.along(usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?)
}

/// LayerNormalization and RMSNormalization: over the axes from `axis` on.
pub(crate) fn trailing_axes(node: &BatchView<'_>) -> Option<Effect> {
    let (first, batch) = (node.axis(-1)?, node.first_input_only()?);
    Some(if batch.axis < first { Effect::Independent(batch) } else { Effect::Mixed })
}

/// MeanVarianceNormalization: over `axes`, by default all but the channels.
pub(crate) fn mean_variance(node: &BatchView<'_>) -> Option<Effect> {
    let axes = node.view.node.attributes.ints("axes").ok()?.unwrap_or(&[0, 2, 3]);
    let (batch, shape) = (node.first_input_only()?, node.view.shape(0).ok()?);
    let axes: Vec<usize> = axes.iter().map(|axis| shape.axis(*axis).ok()).collect::<Option<_>>()?;
    Some(if axes.contains(&batch.axis) { Effect::Mixed } else { Effect::Independent(batch) })
}

/// Trilu, which works on the last two axes.
pub(crate) fn triangle(node: &BatchView<'_>) -> Option<Effect> {
    let (batch, rank) = (node.first_input_only()?, node.view.shape(0).ok()?.rank());
    (batch.axis + 2 < rank).then_some(Effect::Independent(batch))
}
