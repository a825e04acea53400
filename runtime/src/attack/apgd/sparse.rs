//! The rule of APGD for L1 (Croce and Hein, "Mind the box: `l1`-APGD for sparse adversarial attacks on image
//! classifiers", ICML 2021): steps along the signs of the largest slopes, without momentum. How many, follows from how
//! many pixels the best point changes; where that number falls the step is long again, elsewhere it shrinks.

use super::iterates::Iterates;
use super::step_context::StepContext;
use crate::ball::{GradientStep, Scratch};

/// Share of the steps from one check to the next.
const PERIOD: f64 = 0.04;
/// Density of the steps of a run from a random start.
const FIRST_DENSITY: f32 = 0.2;
/// Steps are this many times as sparse as the best point.
const SPARSER: f32 = 1.5;
/// A best point that changes less than this share of the pixels that it changed at the last check has become sparser.
const BECAME_SPARSER: f32 = 0.95;
/// What the step is divided by where the best point has not become sparser.
const REDUCTION: f32 = 1.5;
/// The longest step is ε, the shortest this part of it.
const SHORTEST: f32 = 10.0;

/// What the rule remembers during one run.
#[derive(Debug)]
pub(super) struct Sparse {
    /// Steps from one check to the next.
    period: usize,
    step_size: f32,
    /// Share of the slopes that a step follows.
    density: f32,
    /// Pixels that the best point changed at the last check.
    changed: usize,
    scratch: Scratch,
}

impl Sparse {
    /// Before a run of `steps` steps from a random start, on images of so many pixels.
    pub(super) fn new(steps: usize, epsilon: f32, pixels: usize) -> Self {
        let period = ((PERIOD * steps as f64) as usize).max(1);
        let (density, changed) = (FIRST_DENSITY, pixels);
        Self { period, step_size: epsilon, density, changed, scratch: Scratch::default() }
    }

    /// Before a run from a given start, whose own sparsity is the first of the run.
    pub(super) fn from_start(steps: usize, epsilon: f32, centre: &[f32], start: &[f32]) -> Self {
        let mut sparse = Self::new(steps, epsilon, centre.len());
        sparse.changed = changes(centre, start);
        sparse.density = density(sparse.changed, centre.len());
        sparse
    }

    /// Takes in step `step`, counted from 0. True where the run must return to its best point.
    pub(super) fn record(&mut self, step: usize, epsilon: f32, centre: &[f32], best: &[f32]) -> bool {
        if !(step + 1).is_multiple_of(self.period) {
            return false;
        }
        let changed = changes(centre, best);
        // After a check that found no change this is infinite or not a number: not sparser, as in the reference.
        let became_sparser = changed as f32 / (self.changed as f32) < BECAME_SPARSER;
        let step_size = if became_sparser { epsilon } else { self.step_size / REDUCTION };
        self.step_size = step_size.max(epsilon / SHORTEST);
        self.density = density(changed, centre.len());
        self.changed = changed;
        became_sparser
    }

    /// Takes a step.
    pub(super) fn advance(&mut self, to: &StepContext, iterates: &mut Iterates) {
        let Self { step_size, density, scratch, .. } = self;
        iterates.move_on(|point, _, best_gradient, next| {
            let (centre, gradient) = (to.centre, to.gradient.unwrap_or(best_gradient));
            let step = GradientStep { centre, point, gradient, step_size: *step_size, density: *density };
            to.ball.gradient_step(step, scratch, next);
        });
    }
}

/// How many pixels of the two differ.
fn changes(centre: &[f32], point: &[f32]) -> usize {
    centre.iter().zip(point).filter(|(clean, value)| clean != value).count()
}

/// In single precision and in the order of the reference, because it is rounded down to a whole number of slopes.
fn density(changed: usize, pixels: usize) -> f32 {
    changed as f32 / pixels as f32 / SPARSER
}

#[cfg(test)]
mod tests;
