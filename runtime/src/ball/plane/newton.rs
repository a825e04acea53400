//! How far coordinates that start together and stop at the edge of the box must go to reach a plane.
//!
//! The height that is lost on the way, `f(λ)`, is concave and made of lines: each coordinate lowers it at a constant rate
//! until it meets the box. Newton's method from a point left of the solution therefore never passes it, and ends with
//! the line that holds it: two or three passes on images, where few pixels meet the box.

use super::lanes::{Real, Side};

/// One coordinate's part of `f`.
pub(super) trait Speed {
    /// Where `λ` may end: by then every coordinate has met the box.
    const LIMIT: f32;

    /// Height lost at `λ`, and the rate of loss there, of a coordinate with that slope and room.
    fn loss<T: Real>(lambda: T, slope: T, room: T) -> (T, T);
}

/// Passes of each kind before bisection takes over. A line is skipped with almost every pass; only rooms that grow like
/// a geometric series, slopes of which shrink as fast, need more.
const PASSES: usize = 24;

/// Share of the height that passes in `f32` leave open: above what their sums can lose on any image.
const NEAR: f64 = 1e-4;

/// Share of `λ` up to which a step of Newton's method is the last: a few roundings of `f32`. As `f` is concave, the height
/// that is still missing is at most the same share.
const CLOSE: f64 = 2.5e-7;

/// The `λ` with `f(λ) = height`, or the limit where `f` stays below. `height` is positive and the slopes have a dual length
/// of one, so that it is also the solution without the box, left of the solution with it.
pub(super) fn solve<S: Speed>(side: Side, height: f64) -> f32 {
    let limit = f64::from(S::LIMIT);
    let mut lambda = approach::<S>(side, height);
    for _ in 0..PASSES {
        let (lost, rate) = side.sums::<f64>(|slope, room| S::loss(lambda, slope, room));
        if rate == 0.0 {
            // Every pixel has met the box: some of them too early, unless the plane is still away.
            return if lost < height { S::LIMIT } else { bisect::<S>(side, height, 0.0, lambda as f32) };
        }
        let next = (lambda + (height - lost) / rate).clamp(0.0, limit);
        if (next - lambda).abs() <= CLOSE * lambda {
            return next as f32;
        }
        lambda = next;
    }
    bisect::<S>(side, height, 0.0, S::LIMIT)
}

/// Close to the solution, in passes at half the price.
fn approach<S: Speed>(side: Side, height: f64) -> f64 {
    let limit = f64::from(S::LIMIT);
    let mut lambda = height.min(limit);
    for _ in 0..PASSES {
        let at = lambda as f32;
        let (lost, rate) = side.sums::<f32>(|slope, room| S::loss(at, slope, room));
        if height - lost <= NEAR * height || rate == 0.0 {
            break;
        }
        lambda = (lambda + (height - lost) / rate).min(limit);
    }
    lambda
}

/// To the last bit: at most 31 passes.
fn bisect<S: Speed>(side: Side, height: f64, low: f32, high: f32) -> f32 {
    let (mut low, mut high) = (low.to_bits(), high.to_bits());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let lambda = f64::from(f32::from_bits(middle));
        let (lost, _) = side.sums::<f64>(|slope, room| S::loss(lambda, slope, room));
        if lost < height { low = middle } else { high = middle }
    }
    f32::from_bits(high)
}
