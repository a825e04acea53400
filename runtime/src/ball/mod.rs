//! The set that an adversarial image must stay in: a ball around the clean image, intersected with the box `[0, 1]`.
//!
//! Every `match` on a norm is in this folder; the attacks do not know which one they run in. All functions work on the
//! pixels of one image, allocate nothing, and are plain loops over slices of one length that LLVM vectorises.

mod direction;
mod distance;
mod l1;
mod l2;
mod linf;
mod plane;
mod window;

use mimir_bundle::{Norm, ThreatModel};

pub use plane::Slopes;
pub use window::Windows;

use crate::random::Stream;

/// Rounding that [`Ball::contains`] forgives, in pixels of `[0, 1]`: `x + ε` of float32 is off by up to 6·10⁻⁸.
pub const TOLERANCE: f64 = 1e-6;

/// Share of the gradient's entries that an L1 step of [`Ball::climb`] customarily moves (Tramèr and Boneh, "Adversarial
/// training and robustness for multiple perturbations", NeurIPS 2019).
pub const CUSTOMARY_DENSITY: f32 = 0.01;

/// Keeps a norm of zero from dividing by zero; far below any norm of an image.
const TINY: f32 = 1e-12;

/// Partial sums that run side by side: enough to hide the latency of an addition of `f64` vectors. Sums over pixels run in
/// `f64` and in this fixed order, so that the last bit never depends on the machine's vector width.
const LANES: usize = 16;

/// A radius that no ball has.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("epsilon is {0}, must be a finite number of pixels in [0, 1] and not negative (8/255, not 8)")]
pub struct RadiusError(pub f64);

/// The ball of a threat model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ball {
    norm: Norm,
    epsilon: f32,
}

/// One ascent step with momentum, from two iterates and a gradient to the next iterate.
#[derive(Debug, Clone, Copy)]
pub struct Ascent<'a> {
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

/// One plain ascent step, from an iterate and a gradient to the next iterate.
#[derive(Debug, Clone, Copy)]
pub struct Climb<'a> {
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

/// Room for the order of a gradient's entries, which steps of L1 need. Empty until then; one for each run.
#[derive(Debug, Clone, Default)]
pub struct Scratch(Vec<u32>);

/// By which rule Auto-PGD ascends in a ball.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AscentRule {
    /// [`Ball::advance`] with momentum and a step that is halved (Croce and Hein, ICML 2020).
    Momentum,
    /// [`Ball::climb`] with an adaptive density and step (Croce and Hein, "Mind the box: `l1`-APGD for sparse adversarial
    /// attacks on image classifiers", ICML 2021).
    Sparse,
}

impl Ball {
    /// The ball of a threat model.
    ///
    /// # Errors
    /// When the radius is negative or not finite.
    pub fn new(threat_model: &ThreatModel) -> Result<Self, RadiusError> {
        let ThreatModel { norm, epsilon } = *threat_model;
        if !epsilon.is_finite() || epsilon < 0.0 || !(epsilon as f32).is_finite() {
            return Err(RadiusError(epsilon));
        }
        Ok(Self { norm, epsilon: epsilon as f32 })
    }

    /// Radius, in pixels.
    pub fn epsilon(&self) -> f32 {
        self.epsilon
    }

    /// The ball of `factor ≥ 0` times the radius.
    #[must_use]
    pub fn scaled(&self, factor: f32) -> Self {
        Self { norm: self.norm, epsilon: at_most(factor * self.epsilon, f32::MAX) }
    }

    /// The rule of Auto-PGD in this ball.
    pub fn ascent_rule(&self) -> AscentRule {
        match self.norm {
            Norm::Linf | Norm::L2 => AscentRule::Momentum,
            Norm::L1 => AscentRule::Sparse,
        }
    }

    /// Writes a random point of the ball and the box.
    ///
    /// L∞: uniform in the ball, then cut to the box. L2 and L1: as [`Ball::random_start`].
    pub fn random_point(&self, centre: &[f32], noise: &mut Stream, out: &mut [f32]) {
        match self.norm {
            Norm::Linf => {
                noise.fill_uniform(out);
                linf::place(self.epsilon, centre, out);
            }
            Norm::L2 | Norm::L1 => self.random_start(centre, noise, out),
        }
    }

    /// Writes a random point at the edge of the ball, where Auto-PGD starts.
    ///
    /// L∞: uniform noise, scaled so that its largest entry touches the sphere. L2: uniform on the sphere. Both are then
    /// cut to the box. L1: the clean image with standard normal noise, projected.
    pub fn random_start(&self, centre: &[f32], noise: &mut Stream, out: &mut [f32]) {
        match self.norm {
            Norm::Linf | Norm::L2 => {
                self.random_direction(noise, out);
                for (value, clean) in out.iter_mut().zip(centre) {
                    *value = unit_box(clean + self.epsilon * *value);
                }
            }
            Norm::L1 => {
                noise.fill_normal(out);
                for (value, clean) in out.iter_mut().zip(centre) {
                    *value += clean;
                }
                self.project(centre, out);
            }
        }
    }

    /// Replaces `point` by its projection: L∞ and L2 on the ball, then on the box; L1 on their intersection.
    pub fn project(&self, centre: &[f32], point: &mut [f32]) {
        match self.norm {
            Norm::Linf => linf::project(self.epsilon, centre, point),
            Norm::L2 => l2::project(self.epsilon, centre, point),
            Norm::L1 => l1::project(self.epsilon, centre, point),
        }
    }

    /// Writes the iterate after `ascent.point`, with momentum.
    ///
    /// With `P` the projection, `x` the point and `x⁻` the previous one: `z = P(x + s·d)`, then
    /// `P(x + a·(z - x) + (1 - a)·(x - x⁻))`, where `d` is the steepest direction of length one: the sign of the
    /// gradient for L∞, the gradient over its length for L2, its largest entry alone for L1. A zero gradient moves nothing.
    pub fn advance(&self, ascent: Ascent, next: &mut [f32]) {
        match self.norm {
            Norm::Linf => linf::advance(self.epsilon, ascent, next),
            Norm::L2 => l2::advance(self.epsilon, ascent, next),
            Norm::L1 => l1::advance(self.epsilon, ascent, next),
        }
    }

    /// Writes the iterate after `climb.point`: a step of the given length along `d`, projected.
    ///
    /// `d` has length one: the sign of the gradient for L∞, the gradient over its length for L2, and for L1 the signs of
    /// its largest entries over their number. A zero gradient moves nothing.
    pub fn climb(&self, climb: Climb, scratch: &mut Scratch, next: &mut [f32]) {
        match self.norm {
            Norm::Linf => linf::climb(self.epsilon, climb, next),
            Norm::L2 => l2::climb(self.epsilon, climb, next),
            Norm::L1 => l1::climb(self.epsilon, climb, scratch, next),
        }
    }

    /// Distance of a point from the centre, in pixels, computed in `f64`.
    pub fn distance(&self, centre: &[f32], point: &[f32]) -> f64 {
        match self.norm {
            Norm::Linf => distance::linf(point, centre),
            Norm::L2 => distance::l2(point, centre),
            Norm::L1 => distance::l1(point, centre),
        }
    }

    /// Whether a point lies in the box, exactly, and in the ball, within [`TOLERANCE`] times the larger of 1 and ε. NaN lies
    /// in neither.
    pub fn contains(&self, centre: &[f32], point: &[f32]) -> bool {
        let epsilon = f64::from(self.epsilon);
        let bound = epsilon + TOLERANCE * epsilon.max(1.0);
        let is_near = match self.norm {
            Norm::Linf => distance::is_within_linf(point, centre, bound),
            Norm::L2 | Norm::L1 => self.distance(centre, point) <= bound,
        };
        is_near && distance::is_in_box(point)
    }
}

/// `v` cut to `[0, 1]`.
#[inline(always)]
fn unit_box(value: f32) -> f32 {
    at_most(at_least(value, 0.0), 1.0)
}

/// Larger of two numbers: one instruction, where `f32::max` also has rules for NaN.
#[inline(always)]
fn at_least(value: f32, bound: f32) -> f32 {
    if value > bound { value } else { bound }
}

/// Smaller of two numbers: one instruction, where `f32::min` also has rules for NaN.
#[inline(always)]
fn at_most(value: f32, bound: f32) -> f32 {
    if value < bound { value } else { bound }
}

#[cfg(test)]
mod tests;
