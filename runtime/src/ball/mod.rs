//! The set that an adversarial image must stay in: a ball around the clean image, intersected with the box `[0, 1]`.
//!
//! Every `match` on a norm is in this folder; the attacks do not know which one they run in. All functions work on the
//! pixels of one image, allocate nothing, and are plain loops over slices of one length that LLVM vectorises.

mod arithmetic;
mod direction;
mod distance;
mod hyperplane;
mod inside;
mod l1;
mod l2;
mod levels;
mod linf;
mod step;
mod window;
mod worst_case;

use mimir_bundle::{Norm, Pixels, ThreatModel};

pub use hyperplane::LinearFunction;
pub use step::{ApgdRule, CUSTOMARY_DENSITY, GradientStep, MomentumStep, Scratch};
pub use window::WindowSearch;
pub use worst_case::largest_decrease;

use crate::random::Stream;
use arithmetic::unit_box;
use inside::Sum;
use levels::Inside;

/// How far outside the ball a point is still pulled in rather than given up, in pixels of `[0, 1]`: `x + ε` of float32
/// is off by up to 6·10⁻⁸.
const NEAR: f64 = 1e-6;

/// A radius that no ball has.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("epsilon is {0}, must be finite and not negative, for pixels in [0, 1] (8/255, not 8)")]
pub struct RadiusError(pub f64);

/// The ball of a threat model. It is exact: a point lies in it when the distance of its float32 pixels from those of the
/// clean image is at most ε in real arithmetic. Every projection and step ends inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ball {
    norm: Norm,
    /// As the user gave it.
    radius: f64,
    /// The radius rounded to the nearest float32: the length of steps.
    epsilon: f32,
    /// The largest float32 that is not above the radius: how far a pixel may move.
    reach: f32,
    /// Which pixel values count. Steps and projections are those of the continuous ball; [`Ball::snap`] brings their
    /// points to levels.
    pixels: Pixels,
}

impl Ball {
    /// The ball of a threat model.
    ///
    /// # Errors
    /// When the radius is negative or not finite.
    pub fn new(threat_model: &ThreatModel) -> Result<Self, RadiusError> {
        let ThreatModel { norm, epsilon, pixels } = *threat_model;
        if !epsilon.is_finite() || epsilon < 0.0 || !(epsilon as f32).is_finite() {
            return Err(RadiusError(epsilon));
        }
        Ok(Self { pixels, ..Self::of_radius(norm, epsilon) })
    }

    fn of_radius(norm: Norm, radius: f64) -> Self {
        let radius = radius.min(f64::from(f32::MAX));
        let epsilon = radius as f32;
        let reach = if f64::from(epsilon) > radius { epsilon.next_down() } else { epsilon };
        Self { norm, radius, epsilon, reach, pixels: Pixels::Continuous }
    }

    /// Radius, in pixels, rounded to float32: the unit of step lengths.
    pub fn epsilon(&self) -> f32 {
        self.epsilon
    }

    /// Radius, in pixels, as the threat model has it.
    pub fn radius(&self) -> f64 {
        self.radius
    }

    /// The ball of `factor ≥ 0` times the radius.
    #[must_use]
    pub fn scaled(&self, factor: f32) -> Self {
        Self { pixels: self.pixels, ..Self::of_radius(self.norm, f64::from(factor) * self.radius) }
    }

    /// The ball of another radius, in pixels: finite and not negative.
    #[must_use]
    pub fn with_radius(&self, radius: f64) -> Self {
        Self { pixels: self.pixels, ..Self::of_radius(self.norm, radius) }
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
                linf::place(self.reach, centre, out);
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
                self.pull_in_continuous(centre, out);
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
            Norm::Linf => linf::project(self.reach, centre, point),
            Norm::L2 => l2::project(self.epsilon, centre, point),
            Norm::L1 => l1::project(self.epsilon, centre, point),
        }
        self.pull_in_sum(centre, point);
    }

    /// Moves a point that rounding has left outside the ball into it, towards the clean image and by as little as
    /// float32 can. The point lies in the box. Levels stay where they are.
    pub fn pull_in(&self, centre: &[f32], point: &mut [f32]) {
        if self.pixels == Pixels::Continuous {
            self.pull_in_continuous(centre, point);
        }
    }

    fn pull_in_continuous(&self, centre: &[f32], point: &mut [f32]) {
        match self.norm {
            Norm::Linf => linf::project(self.reach, centre, point),
            Norm::L2 | Norm::L1 => self.pull_in_sum(centre, point),
        }
    }

    /// As [`Ball::pull_in`], for the norms that are sums over pixels; for L∞ every loop stays inside by itself.
    fn pull_in_sum(&self, centre: &[f32], point: &mut [f32]) {
        match self.norm {
            Norm::Linf => {}
            Norm::L2 => inside::pull_in(self.radius, Sum::L2, centre, point),
            Norm::L1 => inside::pull_in(self.radius, Sum::L1, centre, point),
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
            Norm::Linf => linf::momentum_step(self.reach, step, next),
            Norm::L2 => l2::momentum_step(self.epsilon, step, next),
            Norm::L1 => l1::momentum_step(self.epsilon, step, next),
        }
        self.pull_in_sum(step.centre, next);
    }

    /// Writes the iterate after `step.point`: a step of the given length along `d`, projected.
    ///
    /// `d` has length one: the sign of the gradient for L∞, the gradient over its length for L2, and for L1 the signs
    /// of its largest entries over their number. A zero gradient moves nothing.
    pub fn gradient_step(&self, step: GradientStep, scratch: &mut Scratch, next: &mut [f32]) {
        match self.norm {
            Norm::Linf => linf::gradient_step(self.reach, step, next),
            Norm::L2 => l2::gradient_step(self.epsilon, step, next),
            Norm::L1 => l1::gradient_step(self.epsilon, step, scratch, next),
        }
        self.pull_in_sum(step.centre, next);
    }

    /// Moves a point along a gradient by a way of that Euclidean length, whatever the ball's norm, and projects nothing. A
    /// zero gradient moves nothing.
    pub fn free_step(gradient: &[f32], length: f32, point: &mut [f32]) {
        l2::free_step(gradient, length, point);
    }

    /// Moves a point along the line from the centre to that Euclidean distance, whatever the ball's norm, then cuts it to the
    /// box. The centre stays where it is.
    pub fn place_at(centre: &[f32], distance: f32, point: &mut [f32]) {
        l2::place_at(centre, distance, point);
    }

    /// Euclidean distance of two points, whatever the norm of a ball.
    pub fn euclidean(from: &[f32], to: &[f32]) -> f32 {
        distance::l2(to, from) as f32
    }

    /// The norm in which distances are measured.
    pub fn norm(&self) -> Norm {
        self.norm
    }

    /// Brings a point of the box to pixel values that count: of 8-bit pixels to levels, so that a point inside the ball
    /// stays inside. `centre` is at levels itself.
    pub fn snap(&self, centre: &[f32], point: &mut [f32]) {
        if self.pixels == Pixels::EightBit {
            let distance = self.continuous_distance(centre, point);
            let inside = Inside::of(distance, self.radius, NEAR * self.radius.max(1.0));
            levels::snap(self.norm, self.radius, inside, centre, point);
        }
    }

    /// Whether pixels are levels of 8 bits.
    pub fn has_levels(&self) -> bool {
        self.pixels == Pixels::EightBit
    }

    /// As [`Ball::snap`], for points on a way to the centre, which shall cross a boundary once. The pixels of L∞, where all of them
    /// would change level at once, go by their thresholds.
    pub fn snap_on_the_way(&self, centre: &[f32], thresholds: &[f32], point: &mut [f32]) {
        match self.norm {
            Norm::Linf => Self::snap_by(thresholds, point),
            Norm::L2 | Norm::L1 => self.snap(centre, point),
        }
    }

    /// Brings a point of the box to levels, whatever its distance: a pixel goes up where it lies above a level by a larger share
    /// of one than its threshold, in `[0, 1)`. With thresholds that are drawn, a change is kept in the mean, however small it is.
    pub fn snap_by(thresholds: &[f32], point: &mut [f32]) {
        levels::snap_by(thresholds, point);
    }

    /// Distance of a point from the centre, in pixels, computed in `f64`. Of 8-bit pixels that of the nearest levels.
    pub fn distance(&self, centre: &[f32], point: &[f32]) -> f64 {
        match self.pixels {
            Pixels::Continuous => self.continuous_distance(centre, point),
            Pixels::EightBit => levels::distance(self.norm, point, centre),
        }
    }

    fn continuous_distance(&self, centre: &[f32], point: &[f32]) -> f64 {
        match self.norm {
            Norm::Linf => distance::linf(point, centre),
            Norm::L2 => distance::l2(point, centre),
            Norm::L1 => distance::l1(point, centre),
        }
    }

    /// Whether a point lies in the box and in the ball, exactly, and has pixel values that count. NaN lies in neither.
    pub fn contains(&self, centre: &[f32], point: &[f32]) -> bool {
        match self.pixels {
            Pixels::Continuous => self.is_within(self.radius, centre, point),
            Pixels::EightBit => {
                distance::is_in_box(point)
                    && levels::are_levels(point)
                    && self.distance(centre, point) <= self.radius
            }
        }
    }

    /// Whether a point lies in the box, and in the ball or so little outside that only rounding can have left it there:
    /// by 10⁻⁶ times the larger of 1 and ε. [`Ball::pull_in`] brings it inside. Levels are not rounded.
    pub fn is_near(&self, centre: &[f32], point: &[f32]) -> bool {
        match self.pixels {
            Pixels::Continuous => self.is_within(self.radius + NEAR * self.radius.max(1.0), centre, point),
            Pixels::EightBit => self.contains(centre, point),
        }
    }

    fn is_within(&self, bound: f64, centre: &[f32], point: &[f32]) -> bool {
        let is_within = match self.norm {
            Norm::Linf => distance::is_within_linf(point, centre, bound),
            Norm::L2 | Norm::L1 => self.continuous_distance(centre, point) <= bound,
        };
        is_within && distance::is_in_box(point)
    }
}

#[cfg(test)]
mod tests;
