//! L∞: all pixels that can help move by the same amount.

use multiversion::multiversion;

use super::lanes::{BoxProblem, Real, largest, sum};
use super::newton::{CoordinateLoss, solve};
use crate::ball::arithmetic::at_most;

struct Even;

impl CoordinateLoss for Even {
    const LIMIT: f32 = 1.0;

    #[inline(always)]
    fn loss<T: Real>(lambda: T, slope: T, room: T) -> (T, T) {
        if lambda < room { (slope * lambda, slope) } else { (slope * room, T::default()) }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn displacement(problem: BoxProblem<'_>, height: f64, out: &mut [f32]) -> f32 {
    let lambda = solve::<Even>(problem, height);
    problem.write(out, |slope, room| if slope == 0.0 { 0.0 } else { at_most(lambda, room) });
    largest(out)
}

/// Sum of the absolute values: the norm that gradients are measured in.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn dual_norm(slopes: &[f32]) -> f64 {
    sum(slopes, f32::abs)
}
