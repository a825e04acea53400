//! The shortest way to a hyperplane inside the box: what the fast adaptive boundary attack is made of.
//!
//! For a linear function with slopes `w` whose value at `x ∈ [0, 1]^D` is `h`, this is the displacement `d` of least
//! norm with `h + <w, d> = 0` and `x + d ∈ [0, 1]^D`; where there is none, every coordinate goes to the edge of the box
//! that brings the value closest to zero.
//!
//! With the signs turned so that `h ≥ 0`, coordinate `i` can only help by going against `w_i`, up to its room `r_i`:
//! `x_i` where `w_i > 0`, `1 - x_i` where `w_i < 0`. The least norm then is reached by
//!
//! - L∞: `min(λ, r_i)`, the same speed for all until each meets the box;
//! - L2: `min(λ·|w_i|, r_i)`, likewise with speeds `|w_i|`;
//! - L1: `r_i` for the largest `|w_i|`, in falling order until the plane is reached, the last one in part.
//!
//! All slopes are divided by their dual norm first, so that `h` is the distance without the box and nothing depends on
//! the scale of the logits. The reference sorts the coordinates by where they meet the box; here `λ` is found by
//! Newton's method ([`newton`]), and L1's last coordinate by bisection, in a few passes over the pixels.

mod l1;
mod l2;
mod lanes;
mod linf;
mod newton;

use mimir_bundle::Norm;

use super::Ball;
use lanes::BoxProblem;

/// The slopes of a linear function of the pixels, with their length in the norm dual to a ball's.
#[derive(Debug, Clone, Copy)]
pub struct LinearFunction<'a> {
    values: &'a [f32],
    dual_norm: f64,
}

impl LinearFunction<'_> {
    /// Length in the dual norm: how fast the function can change per pixel of distance.
    pub fn dual_norm(&self) -> f64 {
        self.dual_norm
    }

    /// `<w, to - from>`: how much the function changes on that way.
    pub fn change(&self, from: &[f32], to: &[f32]) -> f64 {
        lanes::change(self.values, from, to)
    }
}

impl Ball {
    /// Slopes `[D]`, all finite, measured in the dual of the ball's norm: L1 for L∞, L2 for L2, L∞ for L1.
    pub fn linear_function<'a>(&self, values: &'a [f32]) -> LinearFunction<'a> {
        let dual_norm = match self.norm {
            Norm::Linf => linf::dual_norm(values),
            Norm::L2 => l2::dual_norm(values),
            Norm::L1 => l1::dual_norm(values),
        };
        LinearFunction { values, dual_norm }
    }

    /// Writes the shortest displacement `[D]` from `point` to where the linear function is zero, inside the box, and
    /// returns its length in the ball's norm. `height` is the value of the function at `point`, which lies in the box.
    ///
    /// Where the function has no zero in the box, the displacement goes to the corner where it is closest to zero.
    /// If all slopes are zero, nothing moves.
    pub fn displacement_to_zero(
        &self,
        slopes: LinearFunction,
        height: f64,
        point: &[f32],
        out: &mut [f32],
    ) -> f32 {
        // The reciprocal of a smaller length is not a number of f32.
        if height == 0.0 || slopes.dual_norm < f64::from(f32::MIN_POSITIVE) {
            out.fill(0.0);
            return 0.0;
        }
        let scale = (1.0 / slopes.dual_norm).copysign(height) as f32;
        // No corner of the box is further than its number of pixels.
        let distance = (height * f64::from(scale)).min(2.0 * point.len() as f64);
        let problem = BoxProblem { slopes: slopes.values, point, scale };
        match self.norm {
            Norm::Linf => linf::displacement(problem, distance, out),
            Norm::L2 => l2::displacement(problem, distance, out),
            Norm::L1 => l1::displacement(problem, distance, out),
        }
    }
}

#[cfg(test)]
mod tests;
