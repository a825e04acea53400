//! L∞: every pixel at one of the two ends of its interval, stripes at first, then one sign a window and channel.

use super::Scene;
use super::region::Window;
use crate::ball::unit_box;
use crate::random::Stream;

/// Vertical stripes: one sign for each channel and column.
pub(super) fn start(scene: &Scene, noise: &mut Stream, out: &mut [f32]) {
    let (width, epsilon) = (scene.image.width, scene.ball.epsilon);
    let channel = scene.image.height * width;
    for (out, centre) in out.chunks_exact_mut(channel).zip(scene.centre.chunks_exact(channel)) {
        for column in 0..width {
            let change = epsilon * noise.sign();
            for index in (column..channel).step_by(width) {
                out[index] = unit_box(centre[index] + change);
            }
        }
    }
}

/// Moves all pixels of a window to one end, with one random sign a channel. Whether any of them was not there.
pub(super) fn set(scene: &Scene, window: Window, noise: &mut Stream, point: &mut [f32]) -> bool {
    let mut differs = false;
    for channel in 0..scene.image.channels {
        let change = scene.ball.epsilon * noise.sign();
        for pixels in window.rows(scene.image, channel) {
            for (value, clean) in point[pixels.clone()].iter_mut().zip(&scene.centre[pixels]) {
                let moved = unit_box(clean + change);
                differs |= moved != *value;
                *value = moved;
            }
        }
    }
    differs
}

/// Copies a window from one image to another.
pub(super) fn copy(scene: &Scene, window: Window, from: &[f32], to: &mut [f32]) {
    for channel in 0..scene.image.channels {
        for pixels in window.rows(scene.image, channel) {
            to[pixels.clone()].copy_from_slice(&from[pixels]);
        }
    }
}
