//! L1: the sum of all absolute changes is at most ε.

use super::{Ascent, at_least, at_most};

/// Euclidean projection on the intersection of the ball and the box.
///
/// With `d = point - centre`, each coordinate moves towards the centre by the same amount `λ` after it was cut to the
/// room `r` that the box leaves on its side: `sign(d) · clamp(|d| - λ, 0, r)`. `λ` is bisected to the last bit.
pub(super) fn project(epsilon: f32, centre: &[f32], point: &mut [f32]) {
    let length = |lambda: f32| -> f64 {
        let changes = centre.iter().zip(point.iter());
        changes.map(|(clean, value)| f64::from(kept(*value - clean, *clean, lambda))).sum()
    };
    let mut lambda = 0.0;
    if length(0.0) > f64::from(epsilon) {
        let (mut low, mut high) = (0_u32, f32::MAX.to_bits());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if length(f32::from_bits(middle)) > f64::from(epsilon) { low = middle } else { high = middle }
        }
        lambda = f32::from_bits(high);
    }
    for (value, clean) in point.iter_mut().zip(centre) {
        let change = *value - clean;
        *value = clean + kept(change, *clean, lambda).copysign(change);
    }
}

/// How much of a change is left after `lambda` is taken away and the box is respected.
fn kept(change: f32, clean: f32, lambda: f32) -> f32 {
    let room = if change > 0.0 { 1.0 - clean } else { clean };
    at_most(at_least(change.abs() - lambda, 0.0), room)
}

pub(super) fn advance(epsilon: f32, ascent: Ascent, previous: &mut [f32]) {
    let Ascent { centre, point, gradient, step_size, .. } = ascent;
    let largest = gradient.iter().fold(0.0_f32, |largest, value| at_least(value.abs(), largest));
    for ((next, here), slope) in previous.iter_mut().zip(point).zip(gradient) {
        *next = here + if slope.abs() == largest { step_size.copysign(*slope) } else { 0.0 };
    }
    project(epsilon, centre, previous);
}
