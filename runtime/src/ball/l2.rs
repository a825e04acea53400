//! L2: the change as a whole is at most ε long. The box is cut after the radial shrink; the result is in both sets,
//! because cutting to a convex set that holds the centre never moves a point away from it.

use multiversion::multiversion;

use super::{Ascent, Climb, LANES, TINY, at_most, unit_box};

/// Euclidean length.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn length(values: &[f32]) -> f32 {
    length_of(values.len(), |index| values[index])
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn project(epsilon: f32, centre: &[f32], point: &mut [f32]) {
    let centre = &centre[..point.len()];
    let length = length_of(centre.len(), |index| point[index] - centre[index]);
    pull(shrink(epsilon, length), centre, point);
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn advance(epsilon: f32, ascent: Ascent<'_>, next: &mut [f32]) {
    let Ascent { centre, point, previous, gradient, step_size, momentum } = ascent;
    let count = next.len();
    let (centre, point) = (&centre[..count], &point[..count]);
    let (previous, gradient) = (&previous[..count], &gradient[..count]);
    let rate = step_size / (length_of(count, |index| gradient[index]) + TINY);
    let stepped = |index: usize| point[index] + gradient[index] * rate - centre[index];
    // The gradient step is computed twice rather than stored: its length is needed before its first element.
    let scale = shrink(epsilon, length_of(count, stepped));
    let length = length_of(count, |index| {
        let here = point[index];
        let target = unit_box(centre[index] + stepped(index) * scale);
        let last_move = here - previous[index];
        next[index] = here + (target - here) * momentum + last_move * (1.0 - momentum);
        next[index] - centre[index]
    });
    pull(shrink(epsilon, length), centre, next);
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn climb(epsilon: f32, climb: Climb<'_>, next: &mut [f32]) {
    let Climb { centre, point, gradient, step_size, .. } = climb;
    let count = next.len();
    let (centre, point, gradient) = (&centre[..count], &point[..count], &gradient[..count]);
    let rate = step_size / (length_of(count, |index| gradient[index]) + TINY);
    let length = length_of(count, |index| {
        next[index] = point[index] + gradient[index] * rate;
        next[index] - centre[index]
    });
    pull(shrink(epsilon, length), centre, next);
}

/// Factor that takes a change of that length into the ball.
#[inline(always)]
fn shrink(epsilon: f32, length: f32) -> f32 {
    at_most(epsilon, length) / (length + TINY)
}

/// Shortens the change by that factor, then cuts to the box.
#[inline(always)]
fn pull(scale: f32, centre: &[f32], point: &mut [f32]) {
    for (value, clean) in point.iter_mut().zip(centre) {
        *value = unit_box(clean + (*value - clean) * scale);
    }
}

/// Euclidean length of `count` elements, each asked for once. Sums in `f64` and in a fixed order, so that the last bit
/// never depends on the machine's vector width.
#[inline(always)]
fn length_of(count: usize, mut element: impl FnMut(usize) -> f32) -> f32 {
    let mut sums = [0.0_f64; LANES];
    let whole = count - count % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let value = f64::from(element(start + lane));
            *sum += value * value;
        }
    }
    for index in whole..count {
        sums[0] += f64::from(element(index)).powi(2);
    }
    libm::sqrt(sums.iter().sum()) as f32
}
