//! The proposals of Square (Andriushchenko, Croce, Flammarion and Hein, ECCV 2020; for L1 as in AutoAttack): a random
//! starting point in the ball, and random changes of a point inside square windows.
//!
//! | norm | starting point | proposal |
//! | --- | --- | --- |
//! | L∞ | vertical stripes of ±ε | ±ε in one window, one sign per channel |
//! | L2, L1 | the paper's pattern η in every cell of a grid | the perturbation of one window is set to zero, and η is added in another |
//!
//! Every point lies in the ball and in the box. Images with a single row or
//! column use windows of one pixel. Memory is allocated only when the search starts.

mod context;
mod eta;
mod eta_moves;
mod sign_moves;
mod square_window;
mod summed_norm;

use std::sync::Arc;

use mimir_bundle::{ImageShape, Norm};

use self::context::WindowContext;
use self::eta_moves::EtaMoves;
use self::sign_moves::SignMoves;
use self::summed_norm::SummedNorm;
use super::Ball;
use crate::random::Stream;

impl Ball {
    /// Side of a square window that covers that share of the pixels of a square image.
    ///
    /// `√(share · H · W)`, rounded half to even and at least 1, for L∞; the next odd number from 3 on for L2 and L1.
    /// Never more than the image has rows or columns.
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

/// The random search of Square on one image: the best point so far, and a candidate that differs from it in windows.
/// The caller decides whether the candidate is accepted.
#[derive(Debug)]
pub struct WindowSearch {
    context: WindowContext,
    moves: WindowMoves,
    best: Vec<f32>,
    candidate: Vec<f32>,
}

/// How a candidate is made from the best point, by norm.
#[derive(Debug)]
enum WindowMoves {
    /// L∞.
    Signs(SignMoves),
    /// L2 and L1, with the sums that the norms of the two perturbations, of the best point and of the candidate, follow
    /// from.
    Eta { eta: EtaMoves, best: f64, candidate: f64 },
}

impl WindowSearch {
    /// At a random point around a clean image of that shape. The candidate is the same point.
    ///
    /// # Panics
    /// When the number of pixels is not that of the shape.
    pub fn new(ball: Ball, image: ImageShape, centre: Arc<[f32]>, noise: &mut Stream) -> Self {
        assert_eq!(centre.len(), image.pixels());
        let mut best = vec![0.0; centre.len()];
        let context = WindowContext { ball, image, centre };
        let norm = match ball.norm {
            Norm::Linf => None,
            Norm::L2 => Some(SummedNorm::Euclidean),
            Norm::L1 => Some(SummedNorm::Absolute),
        };
        let moves = match norm {
            None => {
                let signs = SignMoves::new(&context);
                signs.start(&context, noise, &mut best);
                WindowMoves::Signs(signs)
            }
            Some(norm) => {
                let mut eta = EtaMoves::new(norm, image);
                let sum = eta.start(&context, noise, &mut best);
                WindowMoves::Eta { eta, best: sum, candidate: sum }
            }
        };
        Self { context, moves, candidate: best.clone(), best }
    }

    /// The point that was drawn last, `C·H·W` pixels.
    pub fn candidate(&self) -> &[f32] {
        &self.candidate
    }

    /// Makes the candidate the point that the next ones are neighbours of.
    pub fn accept(&mut self) {
        match &mut self.moves {
            WindowMoves::Signs(signs) => signs.copy(&self.context, &self.candidate, &mut self.best),
            WindowMoves::Eta { best, candidate, .. } => {
                self.best.copy_from_slice(&self.candidate);
                *best = *candidate;
            }
        }
    }

    /// Draws a candidate: a random neighbour of the last accepted point, with windows that cover that share of the
    /// pixels. False where it is that point again, pixel for pixel.
    pub fn draw(&mut self, share: f64, noise: &mut Stream) -> bool {
        let Self { context, moves, best, candidate } = self;
        let side = context.ball.window_side(context.image, share);
        match moves {
            WindowMoves::Signs(signs) => signs.draw(context, side, noise, best, candidate),
            WindowMoves::Eta { eta, best: best_sum, candidate: candidate_sum } => {
                let pair = eta.draw(context.image, side, noise);
                *candidate_sum = eta.apply(context, pair, best, *best_sum, candidate);
                // Mostly settled by the first pixel of the window.
                let mut window = pair.first.rows(context.image, 0);
                window.any(|pixels| candidate[pixels.clone()] != best[pixels]) || candidate != best
            }
        }
    }
}

#[cfg(test)]
mod tests;
