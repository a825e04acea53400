//! L∞: every pixel moves by at most ε, on its own. Ball and box together are one interval a pixel.

use multiversion::multiversion;

use super::arithmetic::{at_least, at_most, unit_box};
use super::step::{GradientStep, MomentumStep};

/// Largest absolute value.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn norm(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| at_least(value.abs(), largest))
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn project(epsilon: f32, centre: &[f32], point: &mut [f32]) {
    for (value, clean) in point.iter_mut().zip(centre) {
        *value = clamp(*value, epsilon, *clean);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn momentum_step(epsilon: f32, step: MomentumStep<'_>, next: &mut [f32]) {
    let MomentumStep { centre, point, previous, gradient, step_size, momentum } = step;
    // Equal lengths, stated once, take the bounds checks out of the loop.
    let count = next.len();
    let (centre, point) = (&centre[..count], &point[..count]);
    let (previous, gradient) = (&previous[..count], &gradient[..count]);
    for index in 0..count {
        let here = point[index];
        let stepped = clamp(here + step_size * sign(gradient[index]), epsilon, centre[index]);
        let last_move = here - previous[index];
        let mixed = here + (stepped - here) * momentum + last_move * (1.0 - momentum);
        next[index] = clamp(mixed, epsilon, centre[index]);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn gradient_step(epsilon: f32, step: GradientStep<'_>, next: &mut [f32]) {
    let GradientStep { centre, point, gradient, step_size, .. } = step;
    let count = next.len();
    let (centre, point, gradient) = (&centre[..count], &point[..count], &gradient[..count]);
    for index in 0..count {
        next[index] = clamp(point[index] + step_size * sign(gradient[index]), epsilon, centre[index]);
    }
}

/// Takes `out` from uniform noise of `[-1, 1)` to a uniform point.
pub(super) fn place(epsilon: f32, centre: &[f32], out: &mut [f32]) {
    for (value, clean) in out.iter_mut().zip(centre) {
        *value = unit_box(clean + epsilon * *value);
    }
}

/// First to `[clean - ε, clean + ε]`, then to the box: one interval, because `clean` is in the box.
#[inline(always)]
fn clamp(value: f32, epsilon: f32, clean: f32) -> f32 {
    let low = at_least(clean - epsilon, 0.0);
    let high = at_most(clean + epsilon, 1.0);
    at_most(at_least(value, low), high)
}

/// -1, 0 or 1; 0 for both zeros. Written as a copied sign bit and a mask, a third faster than a difference of
/// comparisons.
#[inline(always)]
fn sign(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { 1.0_f32.copysign(value) }
}
