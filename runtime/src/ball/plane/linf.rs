//! L∞: all pixels that can help move by the same amount.

use multiversion::multiversion;

use super::lanes::{Real, Side, largest, sum};
use super::newton::{Speed, solve};
use crate::ball::at_most;

struct Even;

impl Speed for Even {
    const LIMIT: f32 = 1.0;

    #[inline(always)]
    fn loss<T: Real>(lambda: T, slope: T, room: T) -> (T, T) {
        if lambda < room { (slope * lambda, slope) } else { (slope * room, T::default()) }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn displacement(side: Side<'_>, height: f64, out: &mut [f32]) -> f32 {
    let lambda = solve::<Even>(side, height);
    side.write(out, |slope, room| if slope == 0.0 { 0.0 } else { at_most(lambda, room) });
    largest(out)
}

/// Sum of the absolute values: the norm that gradients are measured in.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn dual_length(slopes: &[f32]) -> f64 {
    sum(slopes, f32::abs)
}
