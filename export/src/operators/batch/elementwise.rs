//! Operators that act on each element: functions, broadcasting arithmetic, and layers over images.

use super::effect::{BatchAxis, BatchView, Effect};

/// A function of the elements of the first input.
pub(crate) fn unary(node: &BatchView<'_>) -> Option<Effect> {
    node.first_input_only().map(Effect::Independent)
}

/// Inputs aligned at their last axes.
pub(crate) fn broadcast(node: &BatchView<'_>) -> Option<Effect> {
    let rank = node.output()?.rank();
    let mut found: Option<BatchAxis> = None;
    for index in 0..node.view.node.inputs.len() {
        let Some(batch) = node.batch(index) else { continue };
        let missing = rank.checked_sub(node.view.shape(index).ok()?.rank())?;
        let aligned = BatchAxis { axis: batch.axis + missing, ..batch };
        if found.is_some_and(|found| found != aligned) {
            return Some(Effect::Mixed);
        }
        found = Some(aligned);
    }
    found.map(Effect::Independent)
}

/// A layer over `[N, C, …]`: convolutions, pools and normalisations by channel.
pub(crate) fn image(node: &BatchView<'_>) -> Option<Effect> {
    node.first_input_only().filter(|batch| batch.axis == 0).map(Effect::Independent)
}

/// Image by image with several inputs: GridSample.
pub(crate) fn images_together(node: &BatchView<'_>) -> Option<Effect> {
    node.common_axis().filter(|batch| batch.axis == 0).map(Effect::Independent)
}

/// BatchNormalization, whose statistics are those of the batch when it trains.
pub(crate) fn batch_normalization(node: &BatchView<'_>) -> Option<Effect> {
    match node.view.int("training_mode", 0) {
        Ok(0) => image(node),
        _ => Some(Effect::Mixed),
    }
}

/// DynamicQuantizeLinear: one scale for the whole tensor.
pub(crate) fn whole_tensor(_: &BatchView<'_>) -> Option<Effect> {
    Some(Effect::Mixed)
}
