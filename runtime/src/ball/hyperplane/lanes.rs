//! Sums over the pixels in several lanes and a fixed order, so that the last bit never depends on the machine's vector
//! width.

use std::ops::{Add, Mul};

use multiversion::multiversion;

use crate::ball::arithmetic::at_least;

/// Partial sums that run side by side.
const LANES: usize = 16;

/// Pixels whose partial sums are kept in the terms' own precision; those go on in `f64`. Eight terms a lane lose no
/// more than the terms themselves have lost.
const RUN: usize = 8 * LANES;

/// `f32` for passes that only have to come close, `f64` for the last ones.
pub(super) trait Real:
    Copy + Default + PartialOrd + Add<Output = Self> + Mul<Output = Self> + From<f32> + Into<f64>
{
    /// Rounded.
    fn from_f64(value: f64) -> Self;

    fn abs(self) -> Self;
}

impl Real for f32 {
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn abs(self) -> Self {
        self.abs()
    }
}

impl Real for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn abs(self) -> Self {
        self.abs()
    }
}

/// The problem of one displacement: from `point` to the hyperplane, inside the box. Every coordinate can only help by
/// moving against its slope.
#[derive(Debug, Clone, Copy)]
pub(super) struct BoxProblem<'a> {
    /// `[D]`.
    pub(super) slopes: &'a [f32],
    /// `[D]`, in the box.
    pub(super) point: &'a [f32],
    /// Brings the slopes to a dual norm of one, with the sign that makes the height positive.
    pub(super) scale: f32,
}

impl BoxProblem<'_> {
    /// Two sums over all coordinates of what `term` makes of speed `|w|` and room `r`.
    #[inline(always)]
    pub(super) fn sums<T: Real>(self, term: impl Fn(T, T) -> (T, T)) -> (f64, f64) {
        let Self { slopes, point, scale } = self;
        let scale = T::from(scale);
        let terms = |slope: f32, value: f32| {
            // In f64 the product is exact.
            let slope = T::from(slope) * scale;
            let room = if slope > T::default() { value } else { 1.0 - value };
            term(slope.abs(), T::from(room))
        };
        let (mut firsts, mut seconds) = ([0.0; LANES], [0.0; LANES]);
        for (slopes, values) in slopes.chunks(RUN).zip(point.chunks(RUN)) {
            let (first, second) = run_sums(slopes, values, terms);
            for lane in 0..LANES {
                firsts[lane] += first[lane].into();
                seconds[lane] += second[lane].into();
            }
        }
        (firsts.iter().sum(), seconds.iter().sum())
    }

    /// Writes to each coordinate, against its slope, the distance that `distance` makes of its speed and room.
    #[inline(always)]
    pub(super) fn write(self, out: &mut [f32], distance: impl Fn(f32, f32) -> f32) {
        let count = out.len();
        let (slopes, point) = (&self.slopes[..count], &self.point[..count]);
        for index in 0..count {
            let slope = slopes[index] * self.scale;
            let (speed, room) = speed_and_room(slope, point[index]);
            out[index] = distance(speed, room).copysign(-slope);
        }
    }
}

/// `|w|` and how far the box lets a pixel go against `w`.
#[inline(always)]
pub(super) fn speed_and_room(slope: f32, value: f32) -> (f32, f32) {
    (slope.abs(), if slope > 0.0 { value } else { 1.0 - value })
}

/// Two sums in each lane.
#[inline(always)]
fn run_sums<T: Real>(
    slopes: &[f32],
    values: &[f32],
    terms: impl Fn(f32, f32) -> (T, T),
) -> ([T; LANES], [T; LANES]) {
    let (mut firsts, mut seconds) = ([T::default(); LANES], [T::default(); LANES]);
    let (slope_blocks, slope_rest) = slopes.as_chunks::<LANES>();
    let (value_blocks, value_rest) = values.as_chunks::<LANES>();
    for (slopes, values) in slope_blocks.iter().zip(value_blocks) {
        for lane in 0..LANES {
            let (first, second) = terms(slopes[lane], values[lane]);
            firsts[lane] = firsts[lane] + first;
            seconds[lane] = seconds[lane] + second;
        }
    }
    // Copies, as lanes that are indexed by a variable cannot stay in registers.
    let (mut all_firsts, mut all_seconds) = (firsts, seconds);
    for (lane, (slope, value)) in slope_rest.iter().zip(value_rest).enumerate() {
        let (first, second) = terms(*slope, *value);
        all_firsts[lane] = all_firsts[lane] + first;
        all_seconds[lane] = all_seconds[lane] + second;
    }
    (all_firsts, all_seconds)
}

/// Sum of what `term` makes of each value.
#[inline(always)]
pub(super) fn sum<T: Real>(values: &[f32], term: impl Fn(f32) -> T) -> f64 {
    sum_of(values, values, values, |value, _, _| term(value))
}

/// `<w, to - from>`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn change(slopes: &[f32], from: &[f32], to: &[f32]) -> f64 {
    sum_of(slopes, from, to, |slope, from, to| slope * (to - from))
}

/// `<w, v>`, products exact.
#[inline(always)]
pub(super) fn dot(slopes: &[f32], values: &[f32]) -> f64 {
    sum_of(slopes, values, values, |slope, value, _| f64::from(slope) * f64::from(value))
}

/// Sum of what `term` makes of the elements of three slices.
#[inline(always)]
fn sum_of<T: Real>(first: &[f32], second: &[f32], third: &[f32], term: impl Fn(f32, f32, f32) -> T) -> f64 {
    let mut totals = [0.0; LANES];
    for ((first, second), third) in first.chunks(RUN).zip(second.chunks(RUN)).zip(third.chunks(RUN)) {
        let mut lanes = [T::default(); LANES];
        let ((first, first_rest), (second, second_rest)) =
            (first.as_chunks::<LANES>(), second.as_chunks::<LANES>());
        let (third, third_rest) = third.as_chunks::<LANES>();
        for ((first, second), third) in first.iter().zip(second).zip(third) {
            for lane in 0..LANES {
                lanes[lane] = lanes[lane] + term(first[lane], second[lane], third[lane]);
            }
        }
        for lane in 0..LANES {
            totals[lane] += lanes[lane].into();
        }
        for (lane, ((first, second), third)) in first_rest.iter().zip(second_rest).zip(third_rest).enumerate()
        {
            totals[lane] += term(*first, *second, *third).into();
        }
    }
    totals.iter().sum()
}

/// Largest absolute value.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = at_least(block[lane].abs(), lanes[lane]);
        }
    }
    rest.iter().chain(&lanes).fold(0.0, |largest, value| at_least(value.abs(), largest))
}
