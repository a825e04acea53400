//! L2 and L1: a grid of patterns η at the start; then each move sets the perturbation of one window to zero and adds η
//! in another.

use mimir_bundle::ImageShape;

use super::context::WindowContext;
use super::eta::EtaPattern;
use super::square_window::{Window, tiles};
use super::summed_norm::SummedNorm;
use crate::ball::Ball;
use crate::ball::arithmetic::unit_box;
use crate::random::Stream;

/// Keeps a norm of zero from dividing by zero, as in the reference.
const TINY: f64 = 1e-12;

/// Keeps a factor finite in `f32` where a radius is far beyond every image.
const LARGEST_FACTOR: f64 = 1e30;

/// The share of its radius by which the L1 ball is kept smaller, as in the reference: room for rounding.
const L1_ROOM: f64 = 1e-6;

/// Draws and applies the moves.
#[derive(Debug)]
pub(super) struct EtaMoves {
    pub(super) norm: SummedNorm,
    pattern: EtaPattern,
    channels: Vec<Channel>,
}

/// The two windows of a move. The sign of η in each channel is in [`EtaMoves::channels`].
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowPair {
    /// Where η is added.
    pub(super) first: Window,
    /// Where the perturbation is set to zero, except in the pixels that also lie in the first.
    pub(super) second: Window,
    /// Whether the two pyramids of η lie side by side.
    pub(super) transposed: bool,
}

/// One channel of the first window: its new change is `(sign · pattern + change · inverse) · scale`.
#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    sign: f32,
    inverse: f32,
    scale: f32,
}

impl EtaMoves {
    /// For images of that shape.
    pub(super) fn new(norm: SummedNorm, image: ImageShape) -> Self {
        let pattern = EtaPattern::with_room_for(image.height.min(image.width));
        Self { norm, pattern, channels: vec![Channel::default(); image.channels] }
    }

    /// Writes the starting point: a grid of patterns, each with a random orientation and a random sign in each channel.
    /// Returns the sum over the pixels that the norm of the perturbation follows from.
    pub(super) fn start(&mut self, context: &WindowContext, noise: &mut Stream, out: &mut [f32]) -> f64 {
        out.copy_from_slice(&context.centre);
        for tile in tiles(context.image) {
            self.pattern.set_side(tile.side, self.norm);
            let transposed = noise.sign() > 0.0;
            for channel in 0..context.image.channels {
                let sign = noise.sign();
                for (row, pixels) in tile.rows(context.image, channel).enumerate() {
                    for (column, value) in out[pixels].iter_mut().enumerate() {
                        *value += sign * self.pattern.at(row, column, transposed);
                    }
                }
            }
        }
        self.fit(context, out)
    }

    /// Draws the windows of the next move, and the sign of η in each channel.
    pub(super) fn draw(&mut self, image: ImageShape, side: usize, noise: &mut Stream) -> WindowPair {
        self.set_pattern(side, std::iter::repeat_with(|| noise.sign()));
        WindowPair {
            first: Window::random(image, side, noise),
            second: Window::random(image, side, noise),
            transposed: noise.sign() > 0.0,
        }
    }

    /// Sets the side of η, and its sign in each channel.
    pub(super) fn set_pattern(&mut self, side: usize, signs: impl Iterator<Item = f32>) {
        self.pattern.set_side(side, self.norm);
        for (channel, sign) in self.channels.iter_mut().zip(signs) {
            channel.sign = sign;
        }
    }

    /// Writes the point that a move of `best` leads to. Takes and returns the sum over the pixels that the norm of the
    /// perturbation follows from.
    pub(super) fn apply(
        &mut self,
        context: &WindowContext,
        pair: WindowPair,
        best: &[f32],
        total: f64,
        out: &mut [f32],
    ) -> f64 {
        let changes = Changes { context, best };
        out.copy_from_slice(best);
        for index in 0..self.channels.len() {
            self.channels[index] = self.mix(&changes, pair, total, index);
            for pixels in pair.second.rows_outside(pair.first, context.image, index) {
                out[pixels.clone()].copy_from_slice(&context.centre[pixels]);
            }
            let Channel { scale, .. } = self.channels[index];
            self.each_mixture(&changes, pair, index, |pixel, mixture| {
                out[pixel] = context.centre[pixel] + mixture * scale;
            });
        }
        self.fit(context, out)
    }

    /// The new perturbation of the first window in one channel: the old one and η with equal norms, scaled so that
    /// their sum has the norm that the two windows had, plus this channel's share of what is left of the radius.
    fn mix(&mut self, changes: &Changes, pair: WindowPair, total: f64, index: usize) -> Channel {
        let WindowPair { first, second, .. } = pair;
        let (norm, image) = (self.norm, changes.context.image);
        let first_sum = changes.sum(first.rows(image, index), norm);
        let windows = first_sum + changes.sum(second.rows_outside(first, image, index), norm);
        self.channels[index].inverse =
            (1.0 / (TINY + norm.norm_for_sum(first_sum))).min(LARGEST_FACTOR) as f32;
        let mut mixed = 0.0;
        self.each_mixture(changes, pair, index, |_, mixture| mixed += norm.term(f64::from(mixture)));
        let left = (norm.term(f64::from(changes.context.ball.epsilon)) - total).max(0.0);
        let budget = norm.budget(left, windows, image.channels as f64);
        let scale = (budget / (TINY + norm.norm_for_sum(mixed))).min(LARGEST_FACTOR) as f32;
        Channel { scale, ..self.channels[index] }
    }

    /// Visits every pixel of the first window in one channel, with its unscaled new change.
    fn each_mixture(
        &self,
        changes: &Changes,
        pair: WindowPair,
        index: usize,
        mut visit: impl FnMut(usize, f32),
    ) {
        let Channel { sign, inverse, .. } = self.channels[index];
        for (row, pixels) in pair.first.rows(changes.context.image, index).enumerate() {
            for (column, pixel) in pixels.enumerate() {
                let pattern = sign * self.pattern.at(row, column, pair.transposed);
                visit(pixel, pattern + changes.at(pixel) * inverse);
            }
        }
    }

    /// Brings a point into the ball and the box: for L2 its change is scaled to the radius and cut to the box; for L1
    /// it is projected. Returns the sum that the norm of the perturbation follows from.
    fn fit(&self, context: &WindowContext, point: &mut [f32]) -> f64 {
        let radius = match self.norm {
            SummedNorm::Euclidean => context.ball.radius,
            SummedNorm::Absolute => context.ball.radius * (1.0 - L1_ROOM),
        };
        self.rescale_to(radius, context, point);
        // Float32 may have rounded all pixels outwards.
        context.ball.pull_in_sum(&context.centre, point);
        self.norm.sum(&context.centre, point)
    }

    fn rescale_to(&self, radius: f64, context: &WindowContext, point: &mut [f32]) {
        match self.norm {
            SummedNorm::Absolute => {
                Ball::of_radius(context.ball.norm, radius).project(&context.centre, point);
            }
            SummedNorm::Euclidean => {
                let length = self.norm.norm_for_sum(self.norm.sum(&context.centre, point));
                let scale = (radius / (TINY + length)).min(LARGEST_FACTOR) as f32;
                for (value, clean) in point.iter_mut().zip(context.centre.iter()) {
                    *value = unit_box(clean + (*value - clean) * scale);
                }
            }
        }
    }
}

impl SummedNorm {
    /// The norm that the perturbation of a channel's first window gets, from what is left of the radius and from what
    /// the channel's two windows give up (both as sums). For L1 as often as there are channels, as in the reference:
    /// the projection that follows takes from all pixels alike what is too much.
    fn budget(self, left: f64, windows: f64, channels: f64) -> f64 {
        let share = left / channels + windows;
        match self {
            Self::Euclidean => share.sqrt(),
            Self::Absolute => share * channels,
        }
    }
}

/// The perturbation of the best point, pixel by pixel.
struct Changes<'a> {
    context: &'a WindowContext,
    best: &'a [f32],
}

impl Changes<'_> {
    fn at(&self, pixel: usize) -> f32 {
        self.best[pixel] - self.context.centre[pixel]
    }

    fn sum(&self, rows: impl Iterator<Item = std::ops::Range<usize>>, norm: SummedNorm) -> f64 {
        rows.flatten().map(|pixel| norm.term(f64::from(self.at(pixel)))).sum()
    }
}
