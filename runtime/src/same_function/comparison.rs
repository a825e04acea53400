//! Two numbers that should be one, and the classes that losses speak of.

use crate::model::LabelAndTarget;

/// Two numbers that should be one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Comparison {
    /// How far they are apart, relative to `scale`.
    pub(super) difference: f64,
    /// How far rounding may bring them apart, relative to `scale`.
    pub(super) explained: f64,
    /// The unit of both.
    pub(super) scale: f64,
}

impl Comparison {
    pub(super) fn differs(&self) -> bool {
        self.difference > self.explained
    }
}

/// The label, and of the other classes the one with the highest score.
pub(super) fn label_and_nearest(scores: &[f32], label: usize) -> LabelAndTarget {
    let others = scores.iter().enumerate().filter(|(class, score)| *class != label && !score.is_nan());
    let nearest = others.max_by(|left, right| left.1.total_cmp(right.1)).map(|(class, _)| class);
    LabelAndTarget { label, target: nearest.or(Some((label + 1) % scores.len().max(1))) }
}
