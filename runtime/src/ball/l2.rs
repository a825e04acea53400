//! L2: the change as a whole is at most ε long. The box is cut after the radial shrink; the result is in both sets,
//! because cutting to a convex set that holds the centre never moves a point away from it.

use multiversion::multiversion;

use super::arithmetic::{LANES, TINY, at_most, factors_to_length, unit_box};
use super::step::{GradientStep, MomentumStep};

/// Euclidean length.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn norm(values: &[f32]) -> f32 {
    inline_norm(values) as f32
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn project(epsilon: f32, centre: &[f32], point: &mut [f32]) {
    for (value, clean) in point.iter_mut().zip(centre) {
        *value -= clean;
    }
    pull(epsilon, centre, point);
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn momentum_step(epsilon: f32, step: MomentumStep<'_>, next: &mut [f32]) {
    let MomentumStep { centre, point, previous, gradient, step_size, momentum } = step;
    let count = next.len();
    let (centre, point) = (&centre[..count], &point[..count]);
    let (previous, gradient) = (&previous[..count], &gradient[..count]);
    let [power, rate] = factors_to_length(step_size, inline_norm(gradient));
    for index in 0..count {
        next[index] = point[index] + gradient[index] * power * rate - centre[index];
    }
    let scale = shrink(epsilon, inline_norm(next) as f32);
    for index in 0..count {
        let here = point[index];
        let target = unit_box(centre[index] + next[index] * scale);
        let last_move = here - previous[index];
        let mixed = here + (target - here) * momentum + last_move * (1.0 - momentum);
        next[index] = mixed - centre[index];
    }
    pull(epsilon, centre, next);
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn gradient_step(epsilon: f32, step: GradientStep<'_>, next: &mut [f32]) {
    let GradientStep { centre, point, gradient, step_size, .. } = step;
    let count = next.len();
    let (centre, point, gradient) = (&centre[..count], &point[..count], &gradient[..count]);
    let [power, rate] = factors_to_length(step_size, inline_norm(gradient));
    for index in 0..count {
        next[index] = point[index] + gradient[index] * power * rate - centre[index];
    }
    pull(epsilon, centre, next);
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn free_step(gradient: &[f32], length: f32, point: &mut [f32]) {
    let gradient = &gradient[..point.len()];
    let [power, rate] = factors_to_length(length, inline_norm(gradient));
    for (value, slope) in point.iter_mut().zip(gradient) {
        *value += slope * power * rate;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn place_at(centre: &[f32], distance: f32, point: &mut [f32]) {
    let centre = &centre[..point.len()];
    for (value, clean) in point.iter_mut().zip(centre) {
        *value -= clean;
    }
    let [power, rate] = factors_to_length(distance, inline_norm(point));
    for (value, clean) in point.iter_mut().zip(centre) {
        *value = unit_box(clean + *value * power * rate);
    }
}

/// Factor that takes a change of that length into the ball.
#[inline(always)]
fn shrink(epsilon: f32, length: f32) -> f32 {
    at_most(epsilon, length) / (length + TINY)
}

/// From changes to pixels: shortens the change to the ball, adds it to the centre, cuts to the box.
#[inline(always)]
fn pull(epsilon: f32, centre: &[f32], changes: &mut [f32]) {
    let scale = shrink(epsilon, inline_norm(changes) as f32);
    for (value, clean) in changes.iter_mut().zip(centre) {
        *value = unit_box(clean + *value * scale);
    }
}

#[inline(always)]
fn inline_norm(values: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    for value in rest {
        sums[0] += f64::from(*value) * f64::from(*value);
    }
    libm::sqrt(sums.iter().sum())
}
