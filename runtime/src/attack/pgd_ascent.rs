//! The iterates of PGD: steps of one length along the gradient from a random point of the ball, for attacks that make losses of
//! their own.

use super::feature_search::Ascent;
use super::{Answer, CleanImage, Step, go_half_way};
use crate::ball::{Ball, CUSTOMARY_DENSITY, GradientStep, Scratch};
use crate::random::Stream;

/// A run of PGD on one image.
#[derive(Debug)]
pub(super) struct PgdAscent {
    ball: Ball,
    clean: CleanImage,
    point: Vec<f32>,
    /// Room for the next iterate.
    next: Vec<f32>,
    steps: usize,
    /// In pixels.
    step_size: f32,
    /// Steps taken.
    taken: usize,
    scratch: Scratch,
}

impl PgdAscent {
    /// So many steps of a length in units of ε, from a point drawn from `stream`.
    pub(super) fn new(
        ball: Ball,
        clean: &CleanImage,
        steps: usize,
        step_size: f64,
        mut stream: Stream,
    ) -> Self {
        let mut point = vec![0.0; clean.pixels.len()];
        ball.random_point(&clean.pixels, &mut stream, &mut point);
        let next = vec![0.0; clean.pixels.len()];
        let (step_size, scratch) = (step_size as f32 * ball.epsilon(), Scratch::default());
        Self { ball, clean: clean.clone(), point, next, steps, step_size, taken: 0, scratch }
    }
}

impl Ascent for PgdAscent {
    fn point(&self) -> &[f32] {
        &self.point
    }

    fn is_last(&self) -> bool {
        self.taken == self.steps
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        if self.is_last() {
            return Step::Done;
        }
        let step = GradientStep {
            centre: &self.clean.pixels,
            point: &self.point,
            gradient: answer.gradient,
            step_size: self.step_size,
            density: CUSTOMARY_DENSITY,
        };
        self.ball.gradient_step(step, &mut self.scratch, &mut self.next);
        std::mem::swap(&mut self.point, &mut self.next);
        self.taken += 1;
        Step::Continue
    }

    fn step_back(&mut self) -> Step {
        if self.is_last() {
            return Step::Done;
        }
        go_half_way(&mut self.point, &self.clean.pixels);
        self.taken += 1;
        Step::Continue
    }
}
