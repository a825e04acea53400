//! What attacks must know of the evaluation that they are part of.

use mimir_bundle::ImageShape;

use crate::ball::Ball;

/// What attacks must know of the evaluation that they are part of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttackContext {
    /// Where proposals must lie.
    pub ball: Ball,
    /// Keys all noise.
    pub seed: u64,
    /// Shape of an image.
    pub image: ImageShape,
    /// Number of classes, `K ≥ 2`.
    pub classes: usize,
    /// Whether minimum-norm attacks go on after they broke an image.
    pub distances: DistanceGoal,
}

/// What minimum-norm attacks are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistanceGoal {
    /// To break images within the ball: a search ends with the first point inside it.
    WithinBall,
    /// To find the smallest distance of every image, for a curve: a search spends its budget.
    Smallest,
}
