//! L2: the change as a whole is at most ε long. The box is cut after the radial shrink; the result is in both sets,
//! because cutting to a convex set that holds the centre never moves a point away from it.

use super::{Ascent, TINY, at_most, unit_box};

/// Partial sums that run side by side: enough for two vectors of `f64` in flight on any machine.
const LANES: usize = 8;

/// Euclidean length.
pub(super) fn length(values: &[f32]) -> f32 {
    length_of(values.len(), |index| values[index])
}

pub(super) fn project(epsilon: f32, centre: &[f32], point: &mut [f32]) {
    let centre = &centre[..point.len()];
    let scale = shrink(epsilon, length_of(centre.len(), |index| point[index] - centre[index]));
    for (value, clean) in point.iter_mut().zip(centre) {
        *value = unit_box(clean + (*value - clean) * scale);
    }
}

pub(super) fn advance(epsilon: f32, ascent: Ascent, previous: &mut [f32]) {
    let Ascent { centre, point, gradient, step_size, momentum } = ascent;
    let count = previous.len();
    let (centre, point, gradient) = (&centre[..count], &point[..count], &gradient[..count]);
    let rate = step_size / (length(gradient) + TINY);
    let stepped = |index: usize| point[index] + gradient[index] * rate - centre[index];
    // The gradient step is computed twice rather than stored: its length is needed before its first element.
    let scale = shrink(epsilon, length_of(count, stepped));
    for index in 0..count {
        let here = point[index];
        let target = unit_box(centre[index] + stepped(index) * scale);
        let last_move = here - previous[index];
        previous[index] = here + (target - here) * momentum + last_move * (1.0 - momentum);
    }
    project(epsilon, centre, previous);
}

/// Factor that takes a change of that length into the ball.
fn shrink(epsilon: f32, length: f32) -> f32 {
    at_most(epsilon, length) / (length + TINY)
}

/// Euclidean length of `count` elements. Sums in `f64` and in a fixed order, so that the last bit never depends on the
/// machine's vector width.
fn length_of(count: usize, element: impl Fn(usize) -> f32) -> f32 {
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
