//! L1: the sum of all absolute changes is at most ε.

use multiversion::multiversion;

use super::arithmetic::{LANES, at_least, at_most, unit_box};
use super::step::{GradientStep, MomentumStep, Scratch};

/// Keeps a step without any direction from dividing by zero, as in the reference.
const TINY: f32 = 1e-10;

/// Passes over the pixels that a projection may take; it takes about three from a step and eight from far away.
const PASSES: usize = 128;

/// How much of the budget a projection may leave unused, as a share.
const SLACK: f64 = 1e-6;

/// Euclidean projection on the intersection of the ball and the box.
///
/// With `d = point - centre` the projection is soft thresholding with a cap: coordinate `i` becomes
/// `sign(d_i) · clamp(|d_i| - λ, 0, r_i)`, where `r_i` is how far the box lets the pixel move in that direction. The
/// threshold `λ` is the smallest with `Σ clamp(|d_i| - λ, 0, r_i) ≤ ε`.
///
/// That sum is a decreasing, piecewise linear function of `λ`, with a kink wherever a coordinate reaches 0 or `r_i`, so
/// Newton's method is exact once it is on the right piece. After a Newton step that does not halve the error comes a
/// bisection step. The sum is measured on the rounded pixels, so the result exceeds ε by no more than the rounding of
/// the sum itself.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn project(epsilon: f32, centre: &[f32], point: &mut [f32]) {
    let centre = &centre[..point.len()];
    let lambda = threshold(f64::from(epsilon), centre, point);
    for (value, clean) in point.iter_mut().zip(centre) {
        *value = shrunk(*value, *clean, lambda);
    }
}

/// The smallest threshold `λ` at which the changes sum to at most `budget`, found to within [`SLACK`] of the budget.
#[inline(always)]
fn threshold(budget: f64, centre: &[f32], point: &[f32]) -> f32 {
    let mut low = 0.0;
    let mut left = remaining(low, centre, point);
    if left.sum <= budget {
        return low;
    }
    // At this threshold no change is left.
    let mut high =
        centre.iter().zip(point).fold(0.0, |most, (clean, value)| at_least((value - clean).abs(), most));
    // In the middle of the accepted range, so that rounding rarely takes the result out of it.
    let target_sum = budget * (1.0 - SLACK / 2.0);
    let mut trusted = true;
    for _ in 0..PASSES {
        if low.next_up() >= high {
            break;
        }
        let error = (left.sum - target_sum).abs();
        let newton = (f64::from(left.at) + (left.sum - target_sum) / left.moving) as f32;
        let middle = low + (high - low) / 2.0;
        let next = if trusted { newton } else { middle };
        let next = at_most(at_least(next, low.next_up()), high.next_down());
        left = remaining(next, centre, point);
        if left.sum > budget {
            low = next;
        } else {
            high = next;
            if left.sum >= budget * (1.0 - SLACK) {
                break;
            }
        }
        trusted = !trusted || (left.sum - target_sum).abs() <= error / 2.0;
    }
    high
}

/// The changes that are left at a threshold `λ`.
#[derive(Debug, Clone, Copy)]
struct Remaining {
    /// The `λ`.
    at: f32,
    /// Sum of the absolute changes.
    sum: f64,
    /// Number of coordinates strictly between 0 and their cap: minus the derivative of the sum by `λ`.
    moving: f64,
}

#[inline(always)]
fn remaining(lambda: f32, centre: &[f32], point: &[f32]) -> Remaining {
    let mut sums = [0.0_f64; LANES];
    let mut moving = [0.0_f32; LANES];
    let (centres, rest_of_centre) = centre.as_chunks::<LANES>();
    let (points, rest_of_point) = point.as_chunks::<LANES>();
    for (centre, point) in centres.iter().zip(points) {
        for lane in 0..LANES {
            let (clean, value) = (centre[lane], point[lane]);
            sums[lane] += f64::from((shrunk(value, clean, lambda) - clean).abs());
            moving[lane] += moves(value, clean, lambda);
        }
    }
    for (clean, value) in rest_of_centre.iter().zip(rest_of_point) {
        sums[0] += f64::from((shrunk(*value, *clean, lambda) - clean).abs());
        moving[0] += moves(*value, *clean, lambda);
    }
    Remaining {
        at: lambda,
        sum: sums.iter().sum(),
        moving: moving.iter().map(|count| f64::from(*count)).sum(),
    }
}

/// 1 where the change that is left lies strictly between 0 and its cap, otherwise 0. Without a branch, so that it
/// vectorises.
#[inline(always)]
fn moves(value: f32, clean: f32, lambda: f32) -> f32 {
    let left = (value - clean).abs() - lambda;
    if (left > 0.0) & (left < room(value, clean)) { 1.0 } else { 0.0 }
}

/// The pixel after its change was shortened by `lambda` and capped by the box.
#[inline(always)]
fn shrunk(value: f32, clean: f32, lambda: f32) -> f32 {
    let change = value - clean;
    let kept = at_most(at_least(change.abs() - lambda, 0.0), room(value, clean));
    unit_box(clean + kept.copysign(change))
}

/// How far the pixel may move towards `value` before it leaves the box.
#[inline(always)]
fn room(value: f32, clean: f32) -> f32 {
    if value > clean { 1.0 - clean } else { clean }
}

/// The steepest direction of L1 norm one changes only the pixel with the largest gradient entry.
pub(super) fn momentum_step(epsilon: f32, step: MomentumStep<'_>, next: &mut [f32]) {
    let MomentumStep { centre, point, previous, gradient, step_size, momentum } = step;
    next.copy_from_slice(point);
    let steepest =
        (0..gradient.len()).max_by(|left, right| gradient[*left].abs().total_cmp(&gradient[*right].abs()));
    if let Some(pixel) = steepest.filter(|pixel| gradient[*pixel] != 0.0) {
        next[pixel] += step_size.copysign(gradient[pixel]);
    }
    project(epsilon, centre, next);
    for ((target, here), before) in next.iter_mut().zip(point).zip(previous) {
        *target = here + (*target - here) * momentum + (here - before) * (1.0 - momentum);
    }
    project(epsilon, centre, next);
}

/// A step along the signs of the largest gradient entries. Entries that tie with the smallest of them move too.
pub(super) fn gradient_step(epsilon: f32, step: GradientStep<'_>, scratch: &mut Scratch, next: &mut [f32]) {
    let GradientStep { centre, point, gradient, step_size, density } = step;
    let least = smallest_kept(density, gradient, scratch);
    step_along_signs(point, gradient, step_size, least, next);
    project(epsilon, centre, next);
}

/// Absolute value at position `(1 - density) · D`, rounded down, of the absolute slopes in ascending order.
fn smallest_kept(density: f32, gradient: &[f32], scratch: &mut Scratch) -> f32 {
    let magnitudes = &mut scratch.0;
    magnitudes.clear();
    // Bits of numbers that are not negative are in the order of the numbers, and integers compare faster.
    magnitudes.extend(gradient.iter().map(|slope| slope.abs().to_bits()));
    let Some(last) = magnitudes.len().checked_sub(1) else { return 0.0 };
    let position = ((1.0 - density) * magnitudes.len() as f32) as usize;
    f32::from_bits(*magnitudes.select_nth_unstable(position.min(last)).1)
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn step_along_signs(point: &[f32], gradient: &[f32], step_size: f32, least: f32, next: &mut [f32]) {
    let moves = |slope: f32| slope.abs() >= least && slope != 0.0;
    let moved = gradient.iter().filter(|slope| moves(**slope)).count();
    let length = step_size / (moved as f32 + TINY);
    for ((next, here), slope) in next.iter_mut().zip(point).zip(gradient) {
        *next = here + if moves(*slope) { length.copysign(*slope) } else { 0.0 };
    }
}
