//! L∞: every pixel moves by at most ε, on its own. Ball and box together are one interval a pixel, whose ends are rounded
//! inwards: `reach` is the largest float32 that is not above ε.

use multiversion::multiversion;

use super::arithmetic::{at_least, at_most};
use super::step::{GradientStep, MomentumStep};

/// Largest absolute value.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn norm(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| at_least(value.abs(), largest))
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn project(reach: f32, centre: &[f32], point: &mut [f32]) {
    for (value, clean) in point.iter_mut().zip(centre) {
        *value = clamp(*value, reach, *clean);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn momentum_step(reach: f32, step: MomentumStep<'_>, next: &mut [f32]) {
    let MomentumStep { centre, point, previous, gradient, step_size, momentum } = step;
    // Equal lengths, stated once, take the bounds checks out of the loop.
    let count = next.len();
    let (centre, point) = (&centre[..count], &point[..count]);
    let (previous, gradient) = (&previous[..count], &gradient[..count]);
    for index in 0..count {
        let (here, clean) = (point[index], centre[index]);
        // Both ends serve two cuts.
        let (low, high) = (lowest(reach, clean), highest(reach, clean));
        let stepped = at_most(at_least(here + step_size * sign(gradient[index]), low), high);
        let last_move = here - previous[index];
        let mixed = here + (stepped - here) * momentum + last_move * (1.0 - momentum);
        next[index] = at_most(at_least(mixed, low), high);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn gradient_step(reach: f32, step: GradientStep<'_>, next: &mut [f32]) {
    let GradientStep { centre, point, gradient, step_size, .. } = step;
    let count = next.len();
    let (centre, point, gradient) = (&centre[..count], &point[..count], &gradient[..count]);
    for index in 0..count {
        next[index] = clamp(point[index] + step_size * sign(gradient[index]), reach, centre[index]);
    }
}

/// Takes `out` from uniform noise of `[-1, 1)` to a uniform point.
pub(super) fn place(reach: f32, centre: &[f32], out: &mut [f32]) {
    for (value, clean) in out.iter_mut().zip(centre) {
        *value = clamp(clean + reach * *value, reach, *clean);
    }
}

/// First to `[clean - reach, clean + reach]`, then to the box: one interval, because `clean` is in the box.
#[inline(always)]
fn clamp(value: f32, reach: f32, clean: f32) -> f32 {
    at_most(at_least(value, lowest(reach, clean)), highest(reach, clean))
}

/// The smallest value of the box that is at most `reach` below `clean`, in real arithmetic.
#[inline(always)]
pub(super) fn lowest(reach: f32, clean: f32) -> f32 {
    let (sum, error) = exact_sum(clean, -reach);
    // Below zero the next number of the bits lies further down, and the box cuts it.
    at_least(f32::from_bits(sum.to_bits().wrapping_add(u32::from(error > 0.0))), 0.0)
}

/// The largest value of the box that is at most `reach` above `clean`, in real arithmetic.
#[inline(always)]
pub(super) fn highest(reach: f32, clean: f32) -> f32 {
    let (sum, error) = exact_sum(clean, reach);
    at_most(f32::from_bits(sum.to_bits().wrapping_sub(u32::from(error < 0.0))), 1.0)
}

/// The rounded sum, and what rounding took from it (Knuth's TwoSum): together exactly `left + right`.
#[inline(always)]
fn exact_sum(left: f32, right: f32) -> (f32, f32) {
    let sum = left + right;
    let part = sum - left;
    (sum, (left - (sum - part)) + (right - part))
}

/// -1, 0 or 1; 0 for both zeros. Written as a copied sign bit and a mask, a third faster than a difference of
/// comparisons.
#[inline(always)]
fn sign(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { 1.0_f32.copysign(value) }
}
