//! Sums over the pixels in several lanes and a fixed order, so that the last bit never depends on the machine's vector width.

use std::ops::{Add, Mul};

/// Partial sums that run side by side.
const LANES: usize = 16;

/// `f32` for passes that only have to come close, `f64` for the last ones.
pub(super) trait Real:
    Copy + Default + PartialOrd + Add<Output = Self> + Mul<Output = Self> + From<f32> + Into<f64>
{
}

impl Real for f32 {}
impl Real for f64 {}

/// A point seen from one side of a plane: against the slopes is towards it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    /// `[D]`.
    pub(super) slopes: &'a [f32],
    /// `[D]`, in the box.
    pub(super) point: &'a [f32],
    /// Brings the slopes to a dual length of one, with the sign that makes the height positive.
    pub(super) scale: f32,
}

impl Side<'_> {
    /// Two sums over all coordinates of what `term` makes of speed `|w|` and room `r`.
    pub(super) fn sums<T: Real>(self, term: impl Fn(T, T) -> (T, T)) -> (f64, f64) {
        let Self { slopes, point, scale } = self;
        let mut lanes = [(T::default(), T::default()); LANES];
        // The product of two f32 is exact in f64.
        let (size, positive) = (T::from(scale.abs()), scale > 0.0);
        let add = |(first, second): (T, T), slope: f32, value: f32| {
            let room = if (slope > 0.0) == positive { value } else { 1.0 - value };
            let (more, other) = term(T::from(slope.abs()) * size, T::from(room));
            (first + more, second + other)
        };
        let (slope_blocks, slope_rest) = slopes.as_chunks::<LANES>();
        let (value_blocks, value_rest) = point.as_chunks::<LANES>();
        for (slopes, values) in slope_blocks.iter().zip(value_blocks) {
            for lane in 0..LANES {
                lanes[lane] = add(lanes[lane], slopes[lane], values[lane]);
            }
        }
        for (lane, (slope, value)) in slope_rest.iter().zip(value_rest).enumerate() {
            lanes[lane] = add(lanes[lane], *slope, *value);
        }
        let total =
            |(first, second): (f64, f64), (more, other): (T, T)| (first + more.into(), second + other.into());
        lanes.into_iter().fold((0.0, 0.0), total)
    }

    /// Writes to each coordinate, against its slope, the distance that `distance` makes of its speed and room.
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
pub(super) fn speed_and_room(slope: f32, value: f32) -> (f32, f32) {
    (slope.abs(), if slope > 0.0 { value } else { 1.0 - value })
}

/// Sum of what `term` makes of each value.
pub(super) fn sum<T: Real>(values: &[f32], term: impl Fn(f32) -> T) -> f64 {
    let mut lanes = [T::default(); LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = lanes[lane] + term(block[lane]);
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        lanes[lane] = lanes[lane] + term(*value);
    }
    lanes.into_iter().map(T::into).sum()
}

/// `<w, v>`, with `v` given by its coordinates.
pub(super) fn dot(slopes: &[f32], value: impl Fn(usize) -> f32) -> f64 {
    let mut lanes = [0.0_f64; LANES];
    let (blocks, rest) = slopes.as_chunks::<LANES>();
    for (block, slopes) in blocks.iter().enumerate() {
        for lane in 0..LANES {
            lanes[lane] += f64::from(slopes[lane]) * f64::from(value(block * LANES + lane));
        }
    }
    for (lane, slope) in rest.iter().enumerate() {
        lanes[lane] += f64::from(*slope) * f64::from(value(blocks.len() * LANES + lane));
    }
    lanes.iter().sum()
}
