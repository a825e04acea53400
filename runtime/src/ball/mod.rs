//! The set that an adversarial image must stay in: a ball around the clean image, intersected with the box `[0, 1]`.
//!
//! Every `match` on a norm is in this folder; the attacks do not know which one they run in. All functions work on the
//! pixels of one image, allocate nothing, and are plain loops over slices of one length that LLVM vectorises.

mod direction;
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

/// Keeps a norm of zero from dividing by zero; far below any norm of an image.
const TINY: f32 = 1e-12;

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
    /// Gradient of the loss at `point`.
    pub gradient: &'a [f32],
    /// Length of the gradient step in the ball's norm, in pixels.
    pub step_size: f32,
    /// Weight `a` of the gradient step; `1 - a` weighs the last movement. 1 is a step without momentum.
    pub momentum: f32,
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

    /// Writes a random point whose distance is the radius before it is cut to the box.
    ///
    /// L∞: uniform noise, scaled so that its largest entry touches the sphere. L2: uniform on the sphere.
    pub fn random_start(&self, centre: &[f32], noise: &mut Stream, out: &mut [f32]) {
        let length = match self.norm {
            Norm::Linf => {
                noise.fill_uniform(out);
                linf::length(out)
            }
            Norm::L2 => {
                noise.fill_normal(out);
                l2::length(out)
            }
            Norm::L1 => {
                noise.fill_normal(out);
                for (value, clean) in out.iter_mut().zip(centre) {
                    *value += clean;
                }
                return self.project(centre, out);
            }
        };
        let divisor = length + TINY;
        for (value, clean) in out.iter_mut().zip(centre) {
            *value = unit_box(clean + self.epsilon * (*value / divisor));
        }
    }

    /// Replaces `point` by its projection: on the ball, then on the box.
    pub fn project(&self, centre: &[f32], point: &mut [f32]) {
        match self.norm {
            Norm::Linf => linf::project(self.epsilon, centre, point),
            Norm::L2 => l2::project(self.epsilon, centre, point),
            Norm::L1 => l1::project(self.epsilon, centre, point),
        }
    }

    /// Replaces `previous`, the iterate before `ascent.point`, by the iterate after it.
    ///
    /// With `P` the projection, `x` the point and `x⁻` the previous one: `z = P(x + s·d)`, then
    /// `P(x + a·(z - x) + (1 - a)·(x - x⁻))`, where `d` is the steepest direction of length one: the sign of the
    /// gradient for L∞, the gradient over its length for L2. A zero gradient moves nothing.
    pub fn advance(&self, ascent: Ascent, previous: &mut [f32]) {
        match self.norm {
            Norm::Linf => linf::advance(self.epsilon, ascent, previous),
            Norm::L2 => l2::advance(self.epsilon, ascent, previous),
            Norm::L1 => l1::advance(self.epsilon, ascent, previous),
        }
    }

    /// Distance of a point from the centre, in pixels, computed in `f64`.
    pub fn distance(&self, centre: &[f32], point: &[f32]) -> f64 {
        let differences =
            centre.iter().zip(point).map(|(clean, value)| f64::from(*value) - f64::from(*clean));
        match self.norm {
            Norm::Linf => differences.fold(0.0, |largest, difference| difference.abs().max(largest)),
            Norm::L2 => differences.map(|difference| difference * difference).sum::<f64>().sqrt(),
            Norm::L1 => differences.map(f64::abs).sum(),
        }
    }

    /// Whether a point lies in the box, exactly, and in the ball, within [`TOLERANCE`]. NaN lies in neither.
    pub fn contains(&self, centre: &[f32], point: &[f32]) -> bool {
        let inside_box = point.iter().all(|value| (0.0..=1.0).contains(value));
        inside_box && self.distance(centre, point) <= f64::from(self.epsilon) + TOLERANCE
    }
}

/// `v` cut to `[0, 1]`.
fn unit_box(value: f32) -> f32 {
    at_most(at_least(value, 0.0), 1.0)
}

/// Larger of two numbers: one instruction, where `f32::max` also has rules for NaN.
fn at_least(value: f32, bound: f32) -> f32 {
    if value > bound { value } else { bound }
}

/// Smaller of two numbers: one instruction, where `f32::min` also has rules for NaN.
fn at_most(value: f32, bound: f32) -> f32 {
    if value < bound { value } else { bound }
}

#[cfg(test)]
mod tests;
