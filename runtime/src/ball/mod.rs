//! The set that an adversarial image must stay in: a ball around the clean image, intersected with the box `[0, 1]`.
//!
//! Every `match` on a norm is in this folder; the attacks do not know which one they run in. All functions work on the
//! pixels of one image, allocate nothing, and are plain loops over slices of one length that LLVM vectorises.

mod arithmetic;
mod direction;
mod distance;
mod hyperplane;
mod l1;
mod l2;
mod linf;
mod standard;
mod step;
mod window;
mod worst_case;

use mimir_bundle::{Norm, ThreatModel};

pub use hyperplane::LinearFunction;
pub use standard::StandardApgd;
pub use step::{ApgdRule, CUSTOMARY_DENSITY, GradientStep, MomentumStep, Scratch};
pub use window::WindowSearch;
pub use worst_case::largest_decrease;

use crate::random::Stream;
use arithmetic::{at_most, unit_box};

/// Rounding that [`Ball::contains`] forgives, in pixels of `[0, 1]`: `x + ε` of float32 is off by up to 6·10⁻⁸.
pub const TOLERANCE: f64 = 1e-6;

/// A radius that no ball has.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("epsilon is {0}, must be finite and not negative, for pixels in [0, 1] (8/255, not 8)")]
pub struct RadiusError(pub f64);

/// The ball of a threat model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ball {
    norm: Norm,
    epsilon: f32,
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
    pub fn apgd_rule(&self) -> ApgdRule {
        match self.norm {
            Norm::Linf | Norm::L2 => ApgdRule::Momentum,
            Norm::L1 => ApgdRule::Sparse,
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

    /// Writes the iterate after `step.point`, with momentum.
    ///
    /// With `P` the projection, `x` the point and `x⁻` the previous one: `z = P(x + s·d)`, then
    /// `P(x + a·(z - x) + (1 - a)·(x - x⁻))`, where `d` is the steepest direction of length one: the sign of the
    /// gradient for L∞, the gradient over its length for L2, its largest entry alone for L1. A zero gradient moves
    /// nothing.
    pub fn momentum_step(&self, step: MomentumStep, next: &mut [f32]) {
        match self.norm {
            Norm::Linf => linf::momentum_step(self.epsilon, step, next),
            Norm::L2 => l2::momentum_step(self.epsilon, step, next),
            Norm::L1 => l1::momentum_step(self.epsilon, step, next),
        }
    }

    /// Writes the iterate after `step.point`: a step of the given length along `d`, projected.
    ///
    /// `d` has length one: the sign of the gradient for L∞, the gradient over its length for L2, and for L1 the signs
    /// of its largest entries over their number. A zero gradient moves nothing.
    pub fn gradient_step(&self, step: GradientStep, scratch: &mut Scratch, next: &mut [f32]) {
        match self.norm {
            Norm::Linf => linf::gradient_step(self.epsilon, step, next),
            Norm::L2 => l2::gradient_step(self.epsilon, step, next),
            Norm::L1 => l1::gradient_step(self.epsilon, step, scratch, next),
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

    /// Whether a point lies in the box, exactly, and in the ball, within [`TOLERANCE`] times the larger of 1 and ε. NaN
    /// lies in neither.
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

#[cfg(test)]
mod tests;
