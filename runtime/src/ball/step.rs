//! The two kinds of gradient steps that a ball offers, and what they are taken from.

/// Share of the gradient's entries that an L1 step of [`Ball::gradient_step`](super::Ball::gradient_step) customarily
/// moves (Tramèr and Boneh, "Adversarial training and robustness for multiple perturbations", NeurIPS 2019).
pub const CUSTOMARY_DENSITY: f32 = 0.01;

/// One step of gradient ascent with momentum, from two iterates and a gradient to the next iterate.
#[derive(Debug, Clone, Copy)]
pub struct MomentumStep<'a> {
    /// The clean image.
    pub centre: &'a [f32],
    /// The current iterate, inside the ball.
    pub point: &'a [f32],
    /// The iterate before it.
    pub previous: &'a [f32],
    /// Gradient of the loss at `point`.
    pub gradient: &'a [f32],
    /// Length of the gradient step in the ball's norm, in pixels.
    pub step_size: f32,
    /// Weight `a` of the gradient step; `1 - a` weighs the last movement. 1 is a step without momentum.
    pub momentum: f32,
}

/// One plain step of gradient ascent, from an iterate and a gradient to the next iterate.
#[derive(Debug, Clone, Copy)]
pub struct GradientStep<'a> {
    /// The clean image.
    pub centre: &'a [f32],
    /// The current iterate.
    pub point: &'a [f32],
    /// Gradient of the loss at `point`.
    pub gradient: &'a [f32],
    /// Length of the step in the ball's norm, in pixels.
    pub step_size: f32,
    /// Share of the gradient's entries that a step of L1 moves, in `[0, 1]`: at least one. Other norms move all.
    pub density: f32,
}

/// A buffer in which L1 steps sort the entries of a gradient. Empty until the first of them; one for each search.
#[derive(Debug, Clone, Default)]
pub struct Scratch(pub(super) Vec<u32>);

/// By which rule Auto-PGD ascends in a ball.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApgdRule {
    /// [`Ball::momentum_step`](super::Ball::momentum_step) with momentum and a step that is halved (Croce and Hein,
    /// ICML 2020).
    Momentum,
    /// [`Ball::gradient_step`](super::Ball::gradient_step) with an adaptive density and step (Croce and Hein, "Mind the
    /// box: `l1`-APGD for sparse adversarial attacks on image classifiers", ICML 2021).
    Sparse,
}
