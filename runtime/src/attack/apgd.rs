//! Auto-PGD (Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
//! parameter-free attacks", ICML 2020, algorithm 1): projected gradient ascent that adapts its step to its progress and
//! returns to its best point. For L∞ and L2 by the rule of [`momentum`], for L1 by that of [`sparse`].
//!
//! Numbers and order of operations are those of the reference implementation, including two accidents of it that
//! results depend on: at the first checkpoint the oldest comparison reads the last row of the loss history, still
//! zero (`Momentum::increases`); and the flag "halved at the last checkpoint" starts as true, so that the second
//! condition cannot fire at the first checkpoint.
//!
//! One unit is one run for one target class and restart: all restarts of the first target, then those of the second.

mod momentum;
mod sparse;
mod track;

use mimir_bundle::attack::{ApgdSpec, AttackSpec, RadiusSchedule, TargetedApgdSpec};

use self::momentum::Momentum;
use self::sparse::Sparse;
use self::track::Track;
use super::expectation::Expectation;
use super::{Answer, Attack, Query, Search, Setting, Step, Subject};
use crate::ball::{AscentRule, Ball};
use crate::model::{Goal, Loss};
use crate::random::{Key, Stream};

/// Fewest classes that have an untargeted difference of logits ratio.
const CLASSES_OF_DLR: usize = 3;
/// Fewest classes that have a targeted difference of logits ratio.
const CLASSES_OF_TARGETED_DLR: usize = 4;

/// Whether an attack on a model of so many classes maximises the margin, because its own loss needs more classes. A report
/// must say so.
pub fn uses_margin(spec: &AttackSpec, classes: usize) -> bool {
    match spec {
        AttackSpec::ApgdDlr(_) => classes < CLASSES_OF_DLR,
        AttackSpec::ApgdT(_) => classes < CLASSES_OF_TARGETED_DLR,
        _ => false,
    }
}

/// APGD with its loss, targets, balls and seed.
#[derive(Debug)]
pub struct Apgd {
    name: &'static str,
    spec: ApgdSpec,
    loss: Loss,
    aim: Aim,
    /// The parts of a run, at least one.
    phases: Vec<Phase>,
    seed: u64,
}

/// Which classes the losses refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// To the label alone.
    Untargeted,
    /// To the only other class of two.
    OtherClass,
    /// To so many targets, one after the other.
    Targets(usize),
}

/// A part of a run, which starts with a state of its own from the best point of the part before.
#[derive(Debug, Clone, Copy)]
struct Phase {
    ball: Ball,
    steps: usize,
}

impl Apgd {
    /// On the cross entropy.
    pub fn cross_entropy(spec: &ApgdSpec, setting: &Setting) -> Self {
        Self::new("apgd-ce", spec, Loss::CrossEntropy, Aim::Untargeted, setting)
    }

    /// On the difference of logits ratio; with two classes on the margin to the other.
    pub fn dlr(spec: &ApgdSpec, setting: &Setting) -> Self {
        let (loss, aim) = match setting.classes {
            CLASSES_OF_DLR.. => (Loss::Dlr, Aim::Untargeted),
            _ => (Loss::Margin, Aim::OtherClass),
        };
        Self::new("apgd-dlr", spec, loss, aim, setting)
    }

    /// On the targeted difference of logits ratio; with two or three classes on the margin to the target.
    pub fn targeted(spec: &TargetedApgdSpec, setting: &Setting) -> Self {
        let loss = match setting.classes {
            CLASSES_OF_TARGETED_DLR.. => Loss::TargetedDlr,
            _ => Loss::Margin,
        };
        let targets = spec.targets.min(setting.classes - 1);
        Self::new("apgd-t", &spec.apgd, loss, Aim::Targets(targets), setting)
    }

    fn new(name: &'static str, spec: &ApgdSpec, loss: Loss, aim: Aim, setting: &Setting) -> Self {
        let phases = phases(spec, setting.ball);
        Self { name, spec: spec.clone(), loss, aim, phases, seed: setting.seed }
    }

    /// The goal of one unit, and its restart.
    fn goal(&self, subject: &Subject, unit: usize) -> (Goal, usize) {
        let (position, restart) = (unit / self.spec.restarts, unit % self.spec.restarts);
        let target = match self.aim {
            Aim::Untargeted => None,
            Aim::OtherClass => Some(1 - subject.label),
            Aim::Targets(_) => Some(subject.targets[position]),
        };
        (Goal { label: subject.label, target }, restart)
    }

    fn start(&self, subject: &Subject, goal: Goal, restart: usize) -> Vec<f32> {
        let target = match self.aim {
            Aim::Targets(_) => goal.target,
            Aim::Untargeted | Aim::OtherClass => None,
        };
        let key = Key { seed: self.seed, image: subject.image, attack: self.name, target, restart };
        let mut start = vec![0.0; subject.pixels.len()];
        self.phases[0].ball.random_start(&subject.pixels, &mut Stream::new(&key), &mut start);
        start
    }
}

/// The phases of a run.
fn phases(spec: &ApgdSpec, ball: Ball) -> Vec<Phase> {
    match spec.radius_schedule {
        RadiusSchedule::Fixed => vec![Phase { ball, steps: spec.steps }],
        RadiusSchedule::Shrinking => {
            let share = (0.3 * spec.steps as f64).ceil() as usize;
            let second = share.min(spec.steps - share);
            let last = spec.steps - share - second;
            let parts = [(3.0, share), (2.0, second), (1.0, last)];
            parts.map(|(factor, steps)| Phase { ball: ball.scaled(factor), steps }).to_vec()
        }
    }
}

impl Attack for Apgd {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Gradient(self.loss)]
    }

    fn units(&self) -> usize {
        let targets = match self.aim {
            Aim::Untargeted | Aim::OtherClass => 1,
            Aim::Targets(targets) => targets,
        };
        targets * self.spec.restarts
    }

    fn search(&self, subject: &Subject, unit: usize) -> Box<dyn Search + '_> {
        let (goal, restart) = self.goal(subject, unit);
        let track = Track::new(self.start(subject, goal, restart));
        let run = Run::new(&self.spec, self.phases[0], &subject.pixels, track);
        let expectation = Expectation::new(self.spec.eot, subject.pixels.len());
        Box::new(ApgdSearch { attack: self, subject: subject.clone(), goal, phase: 0, run, expectation })
    }
}

/// APGD on one image.
struct ApgdSearch<'a> {
    attack: &'a Apgd,
    subject: Subject,
    goal: Goal,
    /// Position of the present phase.
    phase: usize,
    run: Run,
    expectation: Expectation,
}

impl Search for ApgdSearch<'_> {
    fn query(&self) -> Query {
        Query::Gradient(self.attack.loss)
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(self.run.track.point());
    }

    /// Iterates of earlier phases may lie outside the ball.
    fn counts(&self) -> bool {
        self.phase + 1 == self.attack.phases.len()
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let Some(answer) = self.expectation.gather(answer) else { return Step::Continue };
        let Apgd { spec, phases, .. } = self.attack;
        let centre = &self.subject.pixels;
        if self.run.observe(spec, centre, &answer) == Step::Continue {
            return Step::Continue;
        }
        self.phase += 1;
        let Some(phase) = phases.get(self.phase) else { return Step::Done };
        self.run.restart(spec, *phase, centre);
        Step::Continue
    }
}

/// One run through one phase: from its start through `N` steps.
#[derive(Debug)]
struct Run {
    phase: Phase,
    /// Iterates seen so far, the start included.
    seen: usize,
    track: Track,
    rule: Rule,
}

/// How a run ascends.
#[derive(Debug)]
enum Rule {
    Momentum(Momentum),
    Sparse(Sparse),
}

/// Where a step goes.
#[derive(Debug, Clone, Copy)]
struct Move<'a> {
    ball: Ball,
    /// The clean image.
    centre: &'a [f32],
    /// Gradient at the present point; `None` where the run has returned to its best.
    gradient: Option<&'a [f32]>,
}

impl Run {
    fn new(spec: &ApgdSpec, phase: Phase, centre: &[f32], track: Track) -> Self {
        let Phase { ball, steps } = phase;
        let rule = match (ball.ascent_rule(), spec.radius_schedule) {
            (AscentRule::Momentum, _) => Rule::Momentum(Momentum::new(spec, steps, ball.epsilon())),
            (AscentRule::Sparse, RadiusSchedule::Fixed) => {
                Rule::Sparse(Sparse::new(steps, ball.epsilon(), centre.len()))
            }
            // The reference gives the start of every phase, the first one's too, from outside.
            (AscentRule::Sparse, RadiusSchedule::Shrinking) => {
                Rule::Sparse(Sparse::from_start(steps, ball.epsilon(), centre, track.point()))
            }
        };
        Self { phase, seen: 0, track, rule }
    }

    /// Starts again in the next phase, from the best point.
    fn restart(&mut self, spec: &ApgdSpec, phase: Phase, centre: &[f32]) {
        let mut track = std::mem::replace(&mut self.track, Track::new(Vec::new()));
        track.restart(|point| phase.ball.project(centre, point));
        *self = Self::new(spec, phase, centre, track);
    }

    /// Learns what the model said about the present point and moves on.
    fn observe(&mut self, spec: &ApgdSpec, centre: &[f32], answer: &Answer) -> Step {
        let returned = match self.seen {
            0 => self.begin(answer),
            seen => self.record(spec, centre, seen - 1, answer),
        };
        let step = self.seen;
        self.seen += 1;
        if self.seen > self.phase.steps {
            return Step::Done;
        }
        if returned {
            self.track.return_to_best();
        }
        let gradient = if returned { None } else { Some(answer.gradient) };
        let to = Move { ball: self.phase.ball, centre, gradient };
        match &mut self.rule {
            Rule::Momentum(momentum) => momentum.advance(spec, step, &to, &mut self.track),
            Rule::Sparse(sparse) => sparse.advance(&to, &mut self.track),
        }
        Step::Continue
    }

    /// The start is the best point so far.
    fn begin(&mut self, answer: &Answer) -> bool {
        self.track.begin(answer);
        if let Rule::Momentum(momentum) = &mut self.rule {
            momentum.begin(answer.loss);
        }
        false
    }

    /// Books step `step`, counted from 0. True where the run must return to its best point.
    fn record(&mut self, spec: &ApgdSpec, centre: &[f32], step: usize, answer: &Answer) -> bool {
        self.track.record(answer);
        match &mut self.rule {
            Rule::Momentum(momentum) => momentum.record(spec, step, answer.loss, self.track.best_loss()),
            Rule::Sparse(sparse) => sparse.record(step, self.phase.ball.epsilon(), centre, self.track.best()),
        }
    }
}

#[cfg(test)]
mod tests;
