//! L1: pixels go to the edge of the box one after the other, by falling slope; the last one goes part of the way.
//!
//! Which slopes are large enough is bisected, not sorted: first by value, because images have slopes of all sizes and
//! few pixels move, then by bits, which bounds the passes at about 40 whatever the slopes are. As soon as few
//! candidates for the last pixel are left, those are put in order by themselves.

use multiversion::multiversion;

use super::lanes::{BoxProblem, dot, largest, speed_and_room, sum};

/// Candidates that are put in order.
const FEW: usize = 64;

/// Passes that halve the range of slopes, before passes that halve its bits.
const BY_VALUE: usize = 12;

/// Pixels with slopes above `high` all move: what they lose is at most the height. Those with slopes above `low` lose
/// more.
struct Bracket {
    low: f32,
    high: f32,
    /// How many slopes are above each.
    above: [f64; 2],
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn displacement(problem: BoxProblem<'_>, height: f64, out: &mut [f32]) -> f32 {
    let (capacity, count) = above(problem, 0.0);
    if capacity <= height {
        problem.write(out, |slope, room| if slope > 0.0 { room } else { 0.0 });
    } else {
        let mut bracket = bracket(problem, height, count);
        let mut missing = height;
        if bracket.above[0] <= FEW as f64 {
            // Few pixels move at all: those that need no order join the others.
            bracket.high = f32::MAX;
            out.fill(0.0);
        } else {
            problem.write(out, |slope, room| if slope > bracket.high { room } else { 0.0 });
            missing += f64::from(problem.scale) * dot(problem.slopes, out);
        }
        finish(problem, &bracket, missing, out);
    }
    sum(out, f32::abs) as f32
}

/// Height that the slopes above a threshold lose when they go to the edge, and how many they are.
#[inline(always)]
fn above(problem: BoxProblem, threshold: f32) -> (f64, f64) {
    problem.sums::<f32>(|slope, room| if slope > threshold { (slope * room, 1.0) } else { (0.0, 0.0) })
}

/// Narrows the range of the last slope until it holds few pixels or one value.
#[inline(always)]
fn bracket(problem: BoxProblem, height: f64, count: f64) -> Bracket {
    // The largest slope is one, give or take a rounding.
    let mut bracket = Bracket { low: 0.0, high: 1.0 + 2.0 * f32::EPSILON, above: [count, 0.0] };
    for pass in 0.. {
        let (low, high) = (bracket.low.to_bits(), bracket.high.to_bits());
        if bracket.above[0] - bracket.above[1] <= FEW as f64 || high - low <= 1 {
            break;
        }
        let by_value = bracket.low + (bracket.high - bracket.low) / 2.0;
        let middle = if pass < BY_VALUE { by_value } else { f32::from_bits(low + (high - low) / 2) };
        let (lost, count) = above(problem, middle);
        if lost > height {
            (bracket.low, bracket.above[0]) = (middle, count);
        } else {
            (bracket.high, bracket.above[1]) = (middle, count);
        }
    }
    bracket
}

/// Moves the pixels that the bracket holds.
#[inline(always)]
fn finish(problem: BoxProblem, bracket: &Bracket, missing: f64, out: &mut [f32]) {
    let Bracket { low, high, above } = *bracket;
    if above[0] - above[1] > FEW as f64 {
        finish_in_order(problem, high, missing, out);
    } else {
        finish_few(problem, low, high, missing, out);
    }
}

/// Moves pixels of one slope, in their own order, until nothing is missing.
fn finish_in_order(problem: BoxProblem, slope: f32, mut missing: f64, out: &mut [f32]) {
    for (index, change) in out.iter_mut().enumerate() {
        let signed = problem.slopes[index] * problem.scale;
        if signed.abs() == slope {
            missing -= problem.move_pixel(index, missing, change);
        }
    }
}

/// Moves the pixels with slopes in `(low, high]` by falling slope, until nothing is missing.
fn finish_few(problem: BoxProblem, low: f32, high: f32, mut missing: f64, out: &mut [f32]) {
    let mut candidates = [(0.0_f32, 0_usize); FEW];
    let mut count = 0;
    for (index, slope) in problem.slopes.iter().enumerate() {
        let signed = slope * problem.scale;
        if signed.abs() > low && signed.abs() <= high && count < FEW {
            candidates[count] = (signed, index);
            count += 1;
        }
    }
    let candidates = &mut candidates[..count];
    candidates
        .sort_unstable_by(|left, right| right.0.abs().total_cmp(&left.0.abs()).then(left.1.cmp(&right.1)));
    for (_, index) in candidates {
        missing -= problem.move_pixel(*index, missing, &mut out[*index]);
    }
}

impl BoxProblem<'_> {
    /// Moves one pixel as far as it helps, and says how much height it lost.
    fn move_pixel(self, index: usize, missing: f64, change: &mut f32) -> f64 {
        let slope = f64::from(self.slopes[index]) * f64::from(self.scale);
        let (_, room) = speed_and_room(slope as f32, self.point[index]);
        let distance = ((missing / slope.abs()).max(0.0) as f32).min(room);
        *change = distance.copysign(-slope as f32);
        slope.abs() * f64::from(distance)
    }
}

/// Largest absolute value: the norm that gradients are measured in.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn dual_norm(slopes: &[f32]) -> f64 {
    f64::from(largest(slopes))
}
