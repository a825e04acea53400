//! How far coordinates that start together and stop at the edge of the box must go to reach a plane.
//!
//! The height that is lost on the way, `f(λ)`, is concave and made of lines: each coordinate lowers it at a constant
//! rate until it meets the box. Newton's method from a point left of the solution therefore never passes it, and ends
//! with the line that holds it: two or three passes on images, where few pixels meet the box.

use super::lanes::{BoxProblem, Real};

/// One coordinate's part of `f`.
pub(super) trait CoordinateLoss {
    /// Where `λ` may end: by then every coordinate has met the box.
    const LIMIT: f32;

    /// Height lost at `λ`, and the rate of loss there, of a coordinate with that slope and room.
    fn loss<T: Real>(lambda: T, slope: T, room: T) -> (T, T);
}

/// Passes of each precision before bisection takes over: far more than images need. Only slopes and rooms that form
/// geometric series have as many lines of which each hides the next.
const PASSES: usize = 16;

/// Share of `λ` up to which a step of Newton's method is the last: a few roundings of `f32`. As `f` is concave, the
/// height that is still missing is at most the same share.
const CLOSE: f64 = 4e-7;

/// Least share of the height that pixels on their way must account for where `f32` is to find `λ` as precisely: the
/// loss of the others is lost from it.
const WELL_CONDITIONED: f64 = 0.25;

/// The `λ` with `f(λ) = height`, or the limit where `f` stays below. `height` is positive and the slopes have a dual
/// norm of one, so that it is also the solution without the box, left of the solution with it.
#[inline(always)]
pub(super) fn solve<S: CoordinateLoss>(problem: BoxProblem, height: f64) -> f32 {
    let limit = f64::from(S::LIMIT);
    let near = newton::<S, f32>(problem, height, height.min(limit));
    if near.converged && near.rate * near.lambda >= WELL_CONDITIONED * height {
        return near.lambda as f32;
    }
    let found = newton::<S, f64>(problem, height, near.lambda);
    match () {
        () if found.converged => found.lambda as f32,
        () if found.rate == 0.0 && found.lost < height => S::LIMIT,
        () => bisect::<S>(problem, height),
    }
}

/// Where Newton's method ended.
struct Found {
    lambda: f64,
    /// Height lost, and its rate, at the last pass.
    lost: f64,
    rate: f64,
    converged: bool,
}

/// Newton's method with terms in one precision. Ends without convergence where every pixel has met the box.
#[inline(always)]
fn newton<S: CoordinateLoss, T: Real>(problem: BoxProblem, height: f64, start: f64) -> Found {
    let mut found = Found { lambda: start, lost: 0.0, rate: 0.0, converged: false };
    for _ in 0..PASSES {
        let lambda = T::from_f64(found.lambda);
        (found.lost, found.rate) = problem.sums::<T>(|slope, room| S::loss(lambda, slope, room));
        if found.rate == 0.0 {
            break;
        }
        let last = found.lambda;
        found.lambda = (last + (height - found.lost) / found.rate).clamp(0.0, f64::from(S::LIMIT));
        found.converged = (found.lambda - last).abs() <= CLOSE * last;
        if found.converged {
            break;
        }
    }
    found
}

/// To the last bit: at most 31 passes.
#[inline(always)]
fn bisect<S: CoordinateLoss>(problem: BoxProblem, height: f64) -> f32 {
    let (mut low, mut high) = (0, S::LIMIT.to_bits());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let lambda = f64::from(f32::from_bits(middle));
        let (lost, _) = problem.sums::<f64>(|slope, room| S::loss(lambda, slope, room));
        if lost < height { low = middle } else { high = middle }
    }
    f32::from_bits(high)
}
