//! Operators that give another answer each time.
//!
//! Nothing may compute one of them ahead of the run, or take two of them for the same value: the noise would be
//! frozen, and an attack would see a model that nobody deploys.

use crate::graph::{Graph, Node};

/// Operators whose every run draws numbers.
const SOURCES: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// The ratio of a Dropout that has none.
const DEFAULT_RATIO: f32 = 0.5;

/// Whether a node may give another answer each time. Holds for a Dropout whose mode is computed at run time.
pub(crate) fn is_random(graph: &Graph, node: &Node) -> bool {
    SOURCES.contains(&node.op_type.as_str())
        || (node.op_type == "Dropout" && dropout_is_active(graph, node) != Some(false))
}

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
