//! L2 and L1: patterns all over the image at first; then a window gives up its change to another one, which gains a
//! pattern.

use mimir_bundle::ImageShape;

use super::Scene;
use super::length::Length;
use super::pattern::Pattern;
use super::region::{Window, tiles};
use crate::ball::{Ball, TOLERANCE, unit_box};
use crate::random::Stream;

/// Keeps a length of zero from dividing by zero, as in the reference.
const TINY: f64 = 1e-12;

/// Keeps a factor finite in `f32` where a radius is far beyond every image.
const LARGEST_FACTOR: f64 = 1e30;

/// The share of its radius by which the L1 ball is kept smaller, as in the reference: room for rounding.
const L1_ROOM: f64 = 1e-6;

/// Makes neighbours of a point.
#[derive(Debug)]
pub(super) struct Bumps {
    pub(super) length: Length,
    pattern: Pattern,
    channels: Vec<Channel>,
}

/// Where the next pattern goes. Its sign in each channel is in [`Bumps::channels`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    /// Gains a pattern.
    pub(super) first: Window,
    /// Gives up its change, but for what also lies in the first.
    pub(super) second: Window,
    /// Whether the bumps lie side by side.
    pub(super) transposed: bool,
}

/// One channel of the first window: its new change is `(sign · pattern + change · inverse) · scale`.
#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    sign: f32,
    inverse: f32,
    scale: f32,
}

impl Bumps {
    pub(super) fn new(length: Length, image: ImageShape) -> Self {
        let pattern = Pattern::with_room_for(image.height.min(image.width));
        Self { length, pattern, channels: vec![Channel::default(); image.channels] }
    }

    /// Patterns side by side, each with a random orientation, and a random sign in each channel. Returns the sum that
    /// belongs to the length of the change.
    pub(super) fn start(&mut self, scene: &Scene, noise: &mut Stream, out: &mut [f32]) -> f64 {
        out.copy_from_slice(&scene.centre);
        for tile in tiles(scene.image) {
            self.pattern.set_side(tile.side, self.length);
            let transposed = noise.sign() > 0.0;
            for channel in 0..scene.image.channels {
                let sign = noise.sign();
                for (row, pixels) in tile.rows(scene.image, channel).enumerate() {
                    for (column, value) in out[pixels].iter_mut().enumerate() {
                        *value += sign * self.pattern.at(row, column, transposed);
                    }
                }
            }
        }
        self.fit(scene, out)
    }

    /// Draws where the next pattern of that side goes, and its sign in each channel.
    pub(super) fn draw(&mut self, image: ImageShape, side: usize, noise: &mut Stream) -> Shift {
        self.set_pattern(side, std::iter::repeat_with(|| noise.sign()));
        Shift {
            first: Window::random(image, side, noise),
            second: Window::random(image, side, noise),
            transposed: noise.sign() > 0.0,
        }
    }

    /// The side of the next pattern, and its sign in each channel.
    pub(super) fn set_pattern(&mut self, side: usize, signs: impl Iterator<Item = f32>) {
        self.pattern.set_side(side, self.length);
        for (channel, sign) in self.channels.iter_mut().zip(signs) {
            channel.sign = sign;
        }
    }

    /// Writes the neighbour of `best` that a shift leads to. Takes and returns the sum that belongs to the length of the
    /// change.
    pub(super) fn apply(
        &mut self,
        scene: &Scene,
        shift: Shift,
        best: &[f32],
        total: f64,
        out: &mut [f32],
    ) -> f64 {
        let changes = Changes { scene, best };
        out.copy_from_slice(best);
        for index in 0..self.channels.len() {
            self.channels[index] = self.mix(&changes, shift, total, index);
            for pixels in shift.second.rows_outside(shift.first, scene.image, index) {
                out[pixels.clone()].copy_from_slice(&scene.centre[pixels]);
            }
            let Channel { scale, .. } = self.channels[index];
            self.each_mixture(&changes, shift, index, |pixel, mixture| {
                out[pixel] = scene.centre[pixel] + mixture * scale;
            });
        }
        self.fit(scene, out)
    }

    /// How much of the old change and of the pattern the first window gets in one channel: the old one and the pattern
    /// in equal lengths, scaled to the length of what the two windows give up and this channel's share of what is left
    /// of the radius.
    fn mix(&mut self, changes: &Changes, shift: Shift, total: f64, index: usize) -> Channel {
        let Shift { first, second, .. } = shift;
        let (length, image) = (self.length, changes.scene.image);
        let first_sum = changes.sum(first.rows(image, index), length);
        let windows = first_sum + changes.sum(second.rows_outside(first, image, index), length);
        self.channels[index].inverse = (1.0 / (TINY + length.of_sum(first_sum))).min(LARGEST_FACTOR) as f32;
        let mut mixed = 0.0;
        self.each_mixture(changes, shift, index, |_, mixture| mixed += length.term(f64::from(mixture)));
        let left = (length.term(f64::from(changes.scene.ball.epsilon)) - total).max(0.0);
        let budget = length.budget(left, windows, image.channels as f64);
        let scale = (budget / (TINY + length.of_sum(mixed))).min(LARGEST_FACTOR) as f32;
        Channel { scale, ..self.channels[index] }
    }

    /// Visits every pixel of the first window in one channel, with its unscaled new change.
    fn each_mixture(&self, changes: &Changes, shift: Shift, index: usize, mut visit: impl FnMut(usize, f32)) {
        let Channel { sign, inverse, .. } = self.channels[index];
        for (row, pixels) in shift.first.rows(changes.scene.image, index).enumerate() {
            for (column, pixel) in pixels.enumerate() {
                let pattern = sign * self.pattern.at(row, column, shift.transposed);
                visit(pixel, pattern + changes.at(pixel) * inverse);
            }
        }
    }

    /// Brings a point into the ball and the box: for L2 its change is scaled to the radius and cut to the box; for L1 it is
    /// projected. Returns the sum that belongs to the length of the change.
    ///
    /// Float32 may round all pixels outwards. Such a point is brought to a smaller radius until the ball contains it.
    fn fit(&self, scene: &Scene, point: &mut [f32]) -> f64 {
        let epsilon = f64::from(scene.ball.epsilon);
        let mut radius = match self.length {
            Length::Euclidean => epsilon,
            Length::Absolute => epsilon * (1.0 - L1_ROOM),
        };
        let mut caution = 1.0;
        loop {
            self.bring_to(radius, scene, point);
            let sum = self.length.sum(&scene.centre, point);
            let excess = self.length.of_sum(sum) - (epsilon + TOLERANCE / 2.0);
            if excess <= 0.0 || radius <= 0.0 {
                return sum;
            }
            // Doubled every time, so that the radius is soon zero if nothing else helps.
            caution *= 2.0;
            radius = (radius - caution * excess).max(0.0);
        }
    }

    fn bring_to(&self, radius: f64, scene: &Scene, point: &mut [f32]) {
        match self.length {
            Length::Absolute => {
                Ball { epsilon: radius as f32, ..scene.ball }.project(&scene.centre, point);
            }
            Length::Euclidean => {
                let length = self.length.of_sum(self.length.sum(&scene.centre, point));
                let scale = (radius / (TINY + length)).min(LARGEST_FACTOR) as f32;
                for (value, clean) in point.iter_mut().zip(scene.centre.iter()) {
                    *value = unit_box(clean + (*value - clean) * scale);
                }
            }
        }
    }
}

impl Length {
    /// The length that a channel's first window gets, from what is left of the radius and from what the channel's two
    /// windows give up (both as sums). For L1 as often as there are channels, as in the reference: the projection that
    /// follows takes from all pixels alike what is too much.
    fn budget(self, left: f64, windows: f64, channels: f64) -> f64 {
        let share = left / channels + windows;
        match self {
            Self::Euclidean => share.sqrt(),
            Self::Absolute => share * channels,
        }
    }
}

/// How far a point is from the centre, pixel by pixel.
struct Changes<'a> {
    scene: &'a Scene,
    best: &'a [f32],
}

impl Changes<'_> {
    fn at(&self, pixel: usize) -> f32 {
        self.best[pixel] - self.scene.centre[pixel]
    }

    fn sum(&self, rows: impl Iterator<Item = std::ops::Range<usize>>, length: Length) -> f64 {
        rows.flatten().map(|pixel| length.term(f64::from(self.at(pixel)))).sum()
    }
}
