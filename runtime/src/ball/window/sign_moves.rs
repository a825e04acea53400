//! L∞: every pixel at one of the two ends of its interval, stripes at first, then one sign a window and channel.

use super::context::WindowContext;
use super::square_window::Window;
use crate::ball::linf::{highest, lowest};
use crate::random::Stream;

/// The ends of all intervals, and the last move.
#[derive(Debug)]
pub(super) struct SignMoves {
    /// `C·H·W` smallest values, and as many largest ones: each is asked for thousands of times.
    lowest: Box<[f32]>,
    highest: Box<[f32]>,
    /// The candidate is the best point outside of it.
    pub(super) window: Window,
}

impl SignMoves {
    pub(super) fn new(context: &WindowContext) -> Self {
        let ends = |end: fn(f32, f32) -> f32| {
            context.centre.iter().map(|clean| end(context.ball.reach, *clean)).collect()
        };
        Self { lowest: ends(lowest), highest: ends(highest), window: Window::default() }
    }

    /// Vertical stripes: one sign for each channel and column.
    pub(super) fn start(&self, context: &WindowContext, noise: &mut Stream, out: &mut [f32]) {
        let width = context.image.width;
        let channel = context.image.height * width;
        for (index, out) in out.chunks_exact_mut(channel).enumerate() {
            for column in 0..width {
                let ends = &self.ends(noise.sign())[index * channel..][..channel];
                for pixel in (column..channel).step_by(width) {
                    out[pixel] = ends[pixel];
                }
            }
        }
    }

    /// Makes `candidate` the point `best` with all pixels of a random window at one end, one random sign per channel.
    /// Returns whether any pixel differs.
    pub(super) fn draw(
        &mut self,
        context: &WindowContext,
        side: usize,
        noise: &mut Stream,
        best: &[f32],
        candidate: &mut [f32],
    ) -> bool {
        self.copy(context, best, candidate);
        self.window = Window::random(context.image, side, noise);
        let mut differs = false;
        for channel in 0..context.image.channels {
            let ends = self.ends(noise.sign());
            for pixels in self.window.rows(context.image, channel) {
                let (row, ends) = (&mut candidate[pixels.clone()], &ends[pixels]);
                differs = differs || row != ends;
                row.copy_from_slice(ends);
            }
        }
        differs
    }

    /// Copies the last window from one image to another.
    pub(super) fn copy(&self, context: &WindowContext, from: &[f32], to: &mut [f32]) {
        for channel in 0..context.image.channels {
            for pixels in self.window.rows(context.image, channel) {
                to[pixels.clone()].copy_from_slice(&from[pixels]);
            }
        }
    }

    /// The ends of the intervals on that side.
    fn ends(&self, sign: f32) -> &[f32] {
        if sign > 0.0 { &self.highest } else { &self.lowest }
    }
}
