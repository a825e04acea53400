//! L∞: every pixel at one of the two ends of its interval, stripes at first, then one sign a window and channel.

use super::context::WindowContext;
use super::square_window::Window;
use crate::ball::linf::{highest, lowest};
use crate::random::Stream;

/// Vertical stripes: one sign for each channel and column.
pub(super) fn start(context: &WindowContext, noise: &mut Stream, out: &mut [f32]) {
    let (width, reach) = (context.image.width, context.ball.reach);
    let channel = context.image.height * width;
    for (out, centre) in out.chunks_exact_mut(channel).zip(context.centre.chunks_exact(channel)) {
        for column in 0..width {
            let sign = noise.sign();
            for index in (column..channel).step_by(width) {
                out[index] = end(reach, centre[index], sign);
            }
        }
    }
}

/// Moves all pixels of a window to one end, with one random sign per channel. Returns whether any pixel changed.
pub(super) fn set(context: &WindowContext, window: Window, noise: &mut Stream, point: &mut [f32]) -> bool {
    let mut differs = false;
    for channel in 0..context.image.channels {
        let sign = noise.sign();
        for pixels in window.rows(context.image, channel) {
            for (value, clean) in point[pixels.clone()].iter_mut().zip(&context.centre[pixels]) {
                let moved = end(context.ball.reach, *clean, sign);
                differs |= moved != *value;
                *value = moved;
            }
        }
    }
    differs
}

/// The end of a pixel's interval on that side.
#[inline(always)]
fn end(reach: f32, clean: f32, sign: f32) -> f32 {
    if sign > 0.0 { highest(reach, clean) } else { lowest(reach, clean) }
}

/// Copies a window from one image to another.
pub(super) fn copy(context: &WindowContext, window: Window, from: &[f32], to: &mut [f32]) {
    for channel in 0..context.image.channels {
        for pixels in window.rows(context.image, channel) {
            to[pixels.clone()].copy_from_slice(&from[pixels]);
        }
    }
}
