//! The rule of APGD for L∞ and L2: steps with momentum, whose length is halved where a checkpoint finds no progress.

use mimir_bundle::attack::ApgdSpec;

use super::iterates::Iterates;
use super::step_context::StepContext;
use crate::ball::MomentumStep;

/// What the rule remembers during one run.
#[derive(Debug)]
pub(super) struct Momentum {
    step_size: f32,
    /// Losses after each step, `[N]`; zero where none has been taken.
    history: Vec<f32>,
    checkpoint: Checkpoint,
}

/// What the last checkpoint left behind.
#[derive(Debug)]
struct Checkpoint {
    /// Steps from the last checkpoint to the next.
    period: usize,
    /// Steps since.
    steps: usize,
    best_loss: f32,
    halved: bool,
}

impl Momentum {
    /// Before a run of `steps` steps in a ball of that radius.
    pub(super) fn new(spec: &ApgdSpec, steps: usize, epsilon: f32) -> Self {
        let period = share_of_steps(steps, spec.first_period);
        Self {
            step_size: spec.initial_step as f32 * epsilon,
            history: vec![0.0; steps],
            checkpoint: Checkpoint { period, steps: 0, best_loss: 0.0, halved: true },
        }
    }

    /// Learns the loss of the start.
    pub(super) fn begin(&mut self, loss: f32) {
        self.checkpoint.best_loss = loss;
    }

    /// Takes in step `step`, counted from 0. True where the run must return to its best point.
    pub(super) fn record(&mut self, spec: &ApgdSpec, step: usize, loss: f32, best_loss: f32) -> bool {
        self.history[step] = loss;
        self.checkpoint.steps += 1;
        if self.checkpoint.steps < self.checkpoint.period {
            return false;
        }
        let halve = self.has_stalled(spec.rho, step, best_loss);
        if halve {
            self.step_size /= 2.0;
        }
        self.checkpoint = self.checkpoint.next(spec, self.history.len(), best_loss, halve);
        halve
    }

    /// Takes step `step`, counted from 0.
    pub(super) fn advance(&self, spec: &ApgdSpec, step: usize, to: &StepContext, iterates: &mut Iterates) {
        // The first step has no movement behind it.
        let momentum = if step == 0 { 1.0 } else { spec.momentum as f32 };
        let step_size = self.step_size;
        iterates.move_on(|point, previous, best_gradient, next| {
            let (centre, gradient) = (to.centre, to.gradient.unwrap_or(best_gradient));
            to.ball
                .momentum_step(MomentumStep { centre, point, previous, gradient, step_size, momentum }, next);
        });
    }

    /// Whether too few of the steps since the last checkpoint raised the loss, or the best loss has not changed since
    /// a checkpoint that left the step as it was.
    fn has_stalled(&self, rho: f64, step: usize, now: f32) -> bool {
        let Checkpoint { period, best_loss, halved, .. } = self.checkpoint;
        let oscillates = self.increases(step, period) as f64 <= rho * period as f64;
        let no_improvement = !halved && best_loss >= now;
        oscillates || no_improvement
    }

    /// How many of the last `period` steps raised the loss.
    ///
    /// Before step 0 stands the last entry of the history, as in the reference: still zero at the first checkpoint, so
    /// that a positive first loss counts as an increase.
    fn increases(&self, step: usize, period: usize) -> usize {
        let count = self.history.len();
        let raised = |current: &usize| self.history[*current] > self.history[(current + count - 1) % count];
        (step + 1 - period..=step).filter(raised).count()
    }
}

impl Checkpoint {
    fn next(&self, spec: &ApgdSpec, steps: usize, best_loss: f32, halved: bool) -> Self {
        let shorter = self.period.saturating_sub(share_of_steps(steps, spec.period_decrement));
        let period = shorter.max(share_of_steps(steps, spec.shortest_period));
        Self { period, steps: 0, best_loss, halved }
    }
}

/// A share of the steps: rounded down, at least one.
fn share_of_steps(steps: usize, share: f64) -> usize {
    ((share * steps as f64) as usize).max(1)
}

#[cfg(test)]
mod tests;
