//! What both rules of APGD need for a step.

use crate::ball::Ball;

/// What a step is taken with.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepContext<'a> {
    pub(super) ball: Ball,
    /// The clean image.
    pub(super) centre: &'a [f32],
    /// Gradient at the present point; `None` where the run has returned to its best.
    pub(super) gradient: Option<&'a [f32]>,
}
