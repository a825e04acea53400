//! L2: pixels move in proportion to their slopes.

use multiversion::multiversion;

use super::lanes::{BoxProblem, Real, sum};
use super::newton::{CoordinateLoss, solve};
use crate::ball::arithmetic::at_most;

struct Proportional;

impl CoordinateLoss for Proportional {
    /// Slopes below the reciprocal of this are taken as zero (the dual norm is one).
    const LIMIT: f32 = 1e38;

    #[inline(always)]
    fn loss<T: Real>(lambda: T, slope: T, room: T) -> (T, T) {
        let distance = lambda * slope;
        if distance < room { (slope * distance, slope * slope) } else { (slope * room, T::default()) }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn displacement(problem: BoxProblem<'_>, height: f64, out: &mut [f32]) -> f32 {
    let lambda = solve::<Proportional>(problem, height);
    problem.write(out, |slope, room| at_most(lambda * slope, room));
    libm::sqrt(sum(out, |change| change * change)) as f32
}

/// Euclidean length: the norm that gradients are measured in.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn dual_norm(slopes: &[f32]) -> f64 {
    libm::sqrt(sum(slopes, |value| f64::from(value) * f64::from(value)))
}
