//! The geometry of Square (Andriushchenko, Croce, Flammarion and Hein, ECCV 2020; for L1 as in AutoAttack): a random
//! point of the ball, and neighbours of a point that differ from it in square windows.
//!
//! | norm | start | neighbour |
//! | --- | --- | --- |
//! | L∞ | vertical stripes of ±ε | ±ε in one window, one sign a channel |
//! | L2, L1 | patterns of two bumps, side by side | one window gives up its change, another gains a pattern |
//!
//! Every point is in the ball, within [`TOLERANCE`](super::TOLERANCE), and in the box. Images with a single row or column
//! work, with windows of one pixel. After the first window nothing is allocated.

mod bumps;
mod length;
mod pattern;
mod region;
mod signs;

use std::sync::Arc;

use mimir_bundle::{ImageShape, Norm};

use self::bumps::Bumps;
use self::length::Length;
use self::region::Window;
use super::Ball;
use crate::random::Stream;

impl Ball {
    /// Side of a square window that covers that share of the pixels of a square image.
    ///
    /// `√(share · H · W)`, rounded half to even and at least 1, for L∞; the next odd number from 3 on for L2 and L1. Never
    /// more than the image has rows or columns.
    pub fn window_side(&self, image: ImageShape, share: f64) -> usize {
        let covered =
            (share * image.pixels() as f64 / image.channels as f64).sqrt().round_ties_even() as usize;
        let side = match self.norm {
            Norm::Linf => covered.max(1),
            Norm::L2 | Norm::L1 => covered.max(3) | 1,
        };
        side.min(image.height).min(image.width)
    }
}

/// A point of the ball that moves window by window, where its owner accepts the move.
#[derive(Debug)]
pub struct Windows {
    scene: Scene,
    moves: Moves,
    best: Vec<f32>,
    candidate: Vec<f32>,
}

/// What never changes.
#[derive(Debug)]
struct Scene {
    ball: Ball,
    image: ImageShape,
    /// `C·H·W` clean pixels.
    centre: Arc<[f32]>,
}

/// How to get from the best point to a candidate, by norm.
#[derive(Debug)]
enum Moves {
    /// L∞, with the window outside of which the candidate is the best point.
    Signs(Window),
    /// L2 and L1, with the sums that belong to the changes of the best point and of the candidate.
    Bumps { bumps: Bumps, best: f64, candidate: f64 },
}

impl Windows {
    /// At a random point around a clean image of that shape. The candidate is the same point.
    ///
    /// # Panics
    /// When the number of pixels is not that of the shape.
    pub fn new(ball: Ball, image: ImageShape, centre: Arc<[f32]>, noise: &mut Stream) -> Self {
        assert_eq!(centre.len(), image.pixels());
        let mut best = vec![0.0; centre.len()];
        let scene = Scene { ball, image, centre };
        let length = match ball.norm {
            Norm::Linf => None,
            Norm::L2 => Some(Length::Euclidean),
            Norm::L1 => Some(Length::Absolute),
        };
        let moves = match length {
            None => {
                signs::start(&scene, noise, &mut best);
                Moves::Signs(Window::default())
            }
            Some(length) => {
                let mut bumps = Bumps::new(length, image);
                let sum = bumps.start(&scene, noise, &mut best);
                Moves::Bumps { bumps, best: sum, candidate: sum }
            }
        };
        Self { scene, moves, candidate: best.clone(), best }
    }

    /// The point that was drawn last, `C·H·W` pixels.
    pub fn candidate(&self) -> &[f32] {
        &self.candidate
    }

    /// Makes the candidate the point that the next ones are neighbours of.
    pub fn accept(&mut self) {
        match &mut self.moves {
            Moves::Signs(window) => signs::copy(&self.scene, *window, &self.candidate, &mut self.best),
            Moves::Bumps { best, candidate, .. } => {
                self.best.copy_from_slice(&self.candidate);
                *best = *candidate;
            }
        }
    }

    /// Draws a candidate: a random neighbour of the last accepted point, with windows that cover that share of the pixels.
    /// False where it is that point again, pixel for pixel.
    pub fn draw(&mut self, share: f64, noise: &mut Stream) -> bool {
        let Self { scene, moves, best, candidate } = self;
        let side = scene.ball.window_side(scene.image, share);
        match moves {
            Moves::Signs(window) => {
                signs::copy(scene, *window, best, candidate);
                *window = Window::random(scene.image, side, noise);
                signs::set(scene, *window, noise, candidate)
            }
            Moves::Bumps { bumps, best: best_sum, candidate: candidate_sum } => {
                let shift = bumps.draw(scene.image, side, noise);
                *candidate_sum = bumps.apply(scene, shift, best, *best_sum, candidate);
                // Mostly settled by the first pixel of the window.
                let mut window = shift.first.rows(scene.image, 0);
                window.any(|pixels| candidate[pixels.clone()] != best[pixels]) || candidate != best
            }
        }
    }
}

#[cfg(test)]
mod tests;
