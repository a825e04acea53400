//! Whether a Dropout is active, and its ratio.

use crate::graph::{Graph, Node};

/// The ratio of a Dropout that has none.
const DEFAULT_RATIO: f32 = 0.5;

/// Whether a Dropout drops values: it does when `training_mode` is true and the ratio is not zero. `None` where the
/// mode is not a constant.
pub(crate) fn dropout_is_active(graph: &Graph, dropout: &Node) -> Option<bool> {
    let is_training = match dropout.optional_input(2) {
        None => false,
        Some(mode) => graph.constant(mode)?.data().iter().any(|byte| *byte != 0),
    };
    Some(is_training && dropout_ratio(graph, dropout) != Some(0.0))
}

/// The part of the values that a Dropout in training mode drops; `None` where it is not a `float` constant.
pub(crate) fn dropout_ratio(graph: &Graph, dropout: &Node) -> Option<f32> {
    match dropout.optional_input(1) {
        None => Some(DEFAULT_RATIO),
        Some(ratio) => graph.constant(ratio)?.to_f32()?.first().copied(),
    }
}

/// Whether a node may give another answer each time. Holds for a Dropout whose mode is computed at run time.
pub(crate) fn may_drop(graph: &Graph, dropout: &Node) -> bool {
    dropout_is_active(graph, dropout) != Some(false)
}
