//! Operators that choose elements by index.

use super::effect::{BatchAxis, BatchView, Effect};

/// Gather: mixed where it chooses among the images.
pub(crate) fn gather(node: &BatchView<'_>) -> Option<Effect> {
    let axis = node.axis(0)?;
    let indices = node.view.shape(1).ok()?.rank();
    match (node.batch(0), node.batch(1)) {
        (Some(batch), None) if batch.axis == axis => Some(Effect::Mixed),
        (Some(batch), None) if batch.axis < axis => Some(Effect::Independent(batch)),
        (Some(batch), None) => {
            Some(Effect::Independent(BatchAxis { axis: batch.axis + indices - 1, ..batch }))
        }
        (None, Some(batch)) => Some(Effect::Independent(BatchAxis { axis: axis + batch.axis, ..batch })),
        _ => None,
    }
}

/// GatherElements and ScatterElements: along another axis than the batch.
pub(crate) fn elements(node: &BatchView<'_>) -> Option<Effect> {
    let (axis, batch) = (node.axis(0)?, node.common_axis()?);
    (axis != batch.axis).then_some(Effect::Independent(batch))
}

/// GatherND: indices `[…, q]` choose blocks of the data by `q` coordinates behind `batch_dims` shared axes.
pub(crate) fn gather_nd(node: &BatchView<'_>) -> Option<Effect> {
    let shared = usize::try_from(node.view.int("batch_dims", 0).ok()?).ok()?;
    let indices = node.view.shape(1).ok()?;
    let depth = indices.0.last()?.fixed()?;
    match (node.batch(0), node.batch(1)) {
        (Some(data), None) if data.axis < shared => Some(Effect::Independent(data)),
        (Some(data), None) if data.axis < shared + depth => Some(Effect::Mixed),
        (Some(data), None) => {
            let axis = data.axis - shared - depth + indices.rank() - 1;
            Some(Effect::Independent(BatchAxis { axis, ..data }))
        }
        // The last axis of the indices is fixed, so the batch is before it, and stays there.
        (None, Some(places)) => Some(Effect::Independent(places)),
        (Some(data), Some(places)) => {
            (data == places && data.axis < shared).then_some(Effect::Independent(data))
        }
        (None, None) => None,
    }
}
