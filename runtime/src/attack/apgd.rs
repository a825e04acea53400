//! Auto-PGD (Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
//! parameter-free attacks", ICML 2020, algorithm 1): projected gradient ascent with momentum, whose step is halved
//! and which returns to its best point whenever a checkpoint finds no progress.
//!
//! Numbers and order of operations are those of the reference implementation, including two accidents of it that
//! results depend on: at the first checkpoint the oldest comparison reads the last row of the loss history, still
//! zero (`Run::increases`); and the flag "halved at the last checkpoint" starts as true, so that the second
//! condition cannot fire at the first checkpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Attack, Query, Search, SpecError, Step, Subject};
use crate::ball::{Ascent, Ball};
use crate::model::{Goal, Loss};
use crate::random::{Key, Stream};

/// Parameters of APGD. The defaults are those of AutoAttack's standard evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApgdSpec {
    /// Steps of one run, `N ≥ 1`; a run asks for `N + 1` gradients, one of them at its random start.
    pub steps: usize,
    /// Runs from independent random starts, at least 1.
    pub restarts: usize,
    /// Share ρ of the steps since the last checkpoint that must have raised the loss, in `[0, 1]`.
    pub rho: f64,
    /// Weight `a` of the gradient step against the last movement, in `[0, 1]`; the very first step has weight 1.
    pub momentum: f64,
    /// First step size in units of ε.
    pub initial_step: f64,
    /// Steps before the first checkpoint, in units of `N`.
    pub first_period: f64,
    /// By how much each period is shorter than the one before, in units of `N`.
    pub period_decrement: f64,
    /// The shortest period, in units of `N`.
    pub shortest_period: f64,
}

impl Default for ApgdSpec {
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            rho: 0.75,
            momentum: 0.75,
            initial_step: 2.0,
            first_period: 0.22,
            period_decrement: 0.03,
            shortest_period: 0.06,
        }
    }
}

impl ApgdSpec {
    fn check(&self, attack: &'static str) -> Result<(), SpecError> {
        let share = 0.0..=1.0;
        let parameters = [
            ("steps", self.steps as f64, (1..=1_000_000).contains(&self.steps), "1 to 1000000"),
            ("restarts", self.restarts as f64, (1..=1_000_000).contains(&self.restarts), "1 to 1000000"),
            ("rho", self.rho, share.contains(&self.rho), "0 to 1"),
            ("momentum", self.momentum, share.contains(&self.momentum), "0 to 1"),
            ("initial_step", self.initial_step, self.initial_step > 0.0, "more than 0"),
            ("first_period", self.first_period, share.contains(&self.first_period), "0 to 1"),
            ("period_decrement", self.period_decrement, share.contains(&self.period_decrement), "0 to 1"),
            ("shortest_period", self.shortest_period, share.contains(&self.shortest_period), "0 to 1"),
        ];
        match parameters.into_iter().find(|(_, _, fits, _)| !fits) {
            None => Ok(()),
            Some((parameter, found, _, wanted)) => Err(SpecError { attack, parameter, found, wanted }),
        }
    }

    /// A share of the steps: rounded down, at least one.
    fn share_of_steps(&self, share: f64) -> usize {
        ((share * self.steps as f64) as usize).max(1)
    }
}

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
    ///
    /// # Errors
    /// Names the parameter that is out of its range.
    pub fn new(name: &'static str, spec: ApgdSpec, ball: Ball, seed: u64) -> Result<Self, SpecError> {
        spec.check(name)?;
        Ok(Self { name, spec, ball, seed })
    }

    fn start(&self, subject: Subject, restart: usize, out: &mut [f32]) {
        let key = Key { seed: self.seed, image: subject.image, attack: self.name, target: None, restart };
        self.ball.random_start(subject.pixels, &mut Stream::new(&key), out);
    }
}

impl Attack for Apgd {
    fn query(&self) -> Query {
        Query::Gradient(Loss::CrossEntropy)
    }

    fn search<'a>(&'a self, subject: Subject<'a>) -> Box<dyn Search + 'a> {
        let mut run = Run::new(&self.spec, self.ball.epsilon(), subject.pixels.len());
        self.start(subject, 0, &mut run.point);
        Box::new(ApgdSearch { attack: self, subject, restart: 0, run })
    }
}

/// APGD on one image.
struct ApgdSearch<'a> {
    attack: &'a Apgd,
    subject: Subject<'a>,
    restart: usize,
    run: Run,
}

impl Search for ApgdSearch<'_> {
    fn goal(&self) -> Goal {
        Goal { label: self.subject.label, target: None }
    }

    fn propose(&self, out: &mut [f32]) {
        out.copy_from_slice(&self.run.point);
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let Apgd { spec, ball, .. } = self.attack;
        if self.run.observe(spec, *ball, self.subject.pixels, answer) == Step::Continue {
            return Step::Continue;
        }
        self.restart += 1;
        if self.restart == spec.restarts {
            return Step::Done;
        }
        self.run = Run::new(spec, ball.epsilon(), self.subject.pixels.len());
        self.attack.start(self.subject, self.restart, &mut self.run.point);
        Step::Continue
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
                period: spec.share_of_steps(spec.first_period),
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
        let shorter = self.period.saturating_sub(spec.share_of_steps(spec.period_decrement));
        let period = shorter.max(spec.share_of_steps(spec.shortest_period));
        Self { period, steps: 0, best_loss, halved }
    }
}

#[cfg(test)]
mod tests;
