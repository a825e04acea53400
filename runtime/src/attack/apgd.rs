//! Auto-PGD (Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
//! parameter-free attacks", ICML 2020, algorithm 1): projected gradient ascent with momentum, whose step is halved
//! and which returns to its best point whenever a checkpoint finds no progress.
//!
//! Numbers and order of operations are those of the reference implementation, including two accidents of it that
//! results depend on: at the first checkpoint the oldest comparison reads the last row of the loss history, still
//! zero (`Run::increases`); and the flag "halved at the last checkpoint" starts as true, so that the second
//! condition cannot fire at the first checkpoint.

use mimir_bundle::attack::ApgdSpec;

use super::{Answer, Attack, Query, Search, Setting, Step, Subject};
use crate::ball::{Ascent, Ball};
use crate::model::{Goal, Loss};
use crate::random::{Key, Stream};

/// APGD with its ball and seed.
#[derive(Debug)]
pub struct Apgd {
    name: &'static str,
    spec: ApgdSpec,
    ball: Ball,
    seed: u64,
}

impl Apgd {
    /// APGD under that name, which keys its noise.
    pub(super) fn new(name: &'static str, spec: &ApgdSpec, setting: &Setting) -> Self {
        Self { name, spec: spec.clone(), ball: setting.ball, seed: setting.seed }
    }

    fn start(&self, subject: &Subject, restart: usize, out: &mut [f32]) {
        let key = Key { seed: self.seed, image: subject.image, attack: self.name, target: None, restart };
        self.ball.random_start(&subject.pixels, &mut Stream::new(&key), out);
    }
}

/// A share of the steps: rounded down, at least one.
fn share_of_steps(steps: usize, share: f64) -> usize {
    ((share * steps as f64) as usize).max(1)
}

impl Attack for Apgd {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Gradient(Loss::CrossEntropy)]
    }

    fn units(&self) -> usize {
        self.spec.restarts
    }

    fn search(&self, subject: &Subject, unit: usize) -> Box<dyn Search + '_> {
        let mut run = Run::new(&self.spec, self.ball.epsilon(), subject.pixels.len());
        self.start(subject, unit, &mut run.point);
        Box::new(ApgdSearch { attack: self, subject: subject.clone(), run })
    }
}

/// APGD on one image.
struct ApgdSearch<'a> {
    attack: &'a Apgd,
    subject: Subject,
    run: Run,
}

impl Search for ApgdSearch<'_> {
    fn query(&self) -> Query {
        Query::Gradient(Loss::CrossEntropy)
    }

    fn goal(&self) -> Goal {
        Goal { label: self.subject.label, target: None }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(&self.run.point);
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let Apgd { spec, ball, .. } = self.attack;
        self.run.observe(spec, *ball, &self.subject.pixels, answer)
    }
}

/// One run: from a random start through `N` steps.
#[derive(Debug)]
struct Run {
    /// The iterate that the model is asked about.
    point: Vec<f32>,
    /// The iterate before it, for the momentum.
    previous: Vec<f32>,
    /// Iterates seen so far, the random start included.
    seen: usize,
    step_size: f32,
    best: Best,
    /// Losses after each step, `[N]`; zero where none has been taken.
    history: Vec<f32>,
    checkpoint: Checkpoint,
}

/// The iterate of highest loss.
#[derive(Debug)]
struct Best {
    point: Vec<f32>,
    gradient: Vec<f32>,
    loss: f32,
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

impl Run {
    fn new(spec: &ApgdSpec, epsilon: f32, pixels: usize) -> Self {
        Self {
            point: vec![0.0; pixels],
            previous: vec![0.0; pixels],
            seen: 0,
            step_size: spec.initial_step as f32 * epsilon,
            best: Best { point: vec![0.0; pixels], gradient: vec![0.0; pixels], loss: 0.0 },
            history: vec![0.0; spec.steps],
            checkpoint: Checkpoint {
                period: share_of_steps(spec.steps, spec.first_period),
                steps: 0,
                best_loss: 0.0,
                halved: true,
            },
        }
    }

    /// Learns what the model said about `point` and moves on.
    fn observe(&mut self, spec: &ApgdSpec, ball: Ball, centre: &[f32], answer: &Answer) -> Step {
        let returned = match self.seen {
            0 => {
                self.begin(answer);
                false
            }
            seen => self.record(spec, seen - 1, answer),
        };
        self.seen += 1;
        if self.seen > spec.steps {
            return Step::Done;
        }
        let gradient = if returned { &self.best.gradient } else { answer.gradient };
        // The first step has no movement behind it.
        let momentum = if self.seen == 1 { 1.0 } else { spec.momentum as f32 };
        let ascent = Ascent { centre, point: &self.point, gradient, step_size: self.step_size, momentum };
        ball.advance(ascent, &mut self.previous);
        std::mem::swap(&mut self.point, &mut self.previous);
        Step::Continue
    }

    /// The random start is the best point so far.
    fn begin(&mut self, answer: &Answer) {
        self.previous.copy_from_slice(&self.point);
        self.checkpoint.best_loss = answer.loss;
        self.best.improve(&self.point, answer);
    }

    /// Books step `step`, counted from 0. True where the run has returned to its best point.
    fn record(&mut self, spec: &ApgdSpec, step: usize, answer: &Answer) -> bool {
        self.history[step] = answer.loss;
        if answer.loss > self.best.loss {
            self.best.improve(&self.point, answer);
        }
        self.checkpoint.steps += 1;
        if self.checkpoint.steps < self.checkpoint.period {
            return false;
        }
        let halve = self.has_stalled(spec.rho, step);
        if halve {
            self.step_size /= 2.0;
            self.point.copy_from_slice(&self.best.point);
        }
        self.checkpoint = self.checkpoint.next(spec, self.best.loss, halve);
        halve
    }

    /// Whether too few of the steps since the last checkpoint raised the loss, or the best loss has not changed since
    /// a checkpoint that left the step as it was.
    fn has_stalled(&self, rho: f64, step: usize) -> bool {
        let Checkpoint { period, best_loss, halved, .. } = self.checkpoint;
        let oscillates = self.increases(step, period) as f64 <= rho * period as f64;
        let no_improvement = !halved && best_loss >= self.best.loss;
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

impl Best {
    fn improve(&mut self, point: &[f32], answer: &Answer) {
        self.point.copy_from_slice(point);
        self.gradient.copy_from_slice(answer.gradient);
        self.loss = answer.loss;
    }
}

impl Checkpoint {
    fn next(&self, spec: &ApgdSpec, best_loss: f32, halved: bool) -> Self {
        let shorter = self.period.saturating_sub(share_of_steps(spec.steps, spec.period_decrement));
        let period = shorter.max(share_of_steps(spec.steps, spec.shortest_period));
        Self { period, steps: 0, best_loss, halved }
    }
}

#[cfg(test)]
mod tests;
