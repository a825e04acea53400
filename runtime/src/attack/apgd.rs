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

mod iterates;
mod momentum;
mod sparse;
mod step_context;

use std::sync::Arc;

use mimir_bundle::attack::{
    ApgdSpec, MaltSpec, MultiTargetedApgdSpec, RadiusSchedule, TargetedApgdSpec, TransferSpec,
};

use self::iterates::Iterates;
use self::momentum::Momentum;
use self::sparse::Sparse;
use self::step_context::StepContext;
use super::expectation::Expectation;
use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step, go_half_way};
use crate::ball::{ApgdRule, Ball};
use crate::model::{LabelAndTarget, Loss};
use crate::random::{Key, Stream};

/// Fewest classes that have an untargeted difference of logits ratio.
const CLASSES_OF_DLR: usize = Loss::Dlr.min_classes();
/// Fewest classes that have a targeted difference of logits ratio.
const CLASSES_OF_TARGETED_DLR: usize = Loss::TargetedDlr.min_classes();

/// APGD with its loss, targets, balls and seed.
#[derive(Debug)]
pub struct Apgd {
    name: &'static str,
    spec: ApgdSpec,
    loss: Loss,
    /// Whether the loss stands in for one that needs more classes.
    is_substitute: bool,
    targeting: Targeting,
    /// The parts of a run, at least one.
    phases: Vec<RadiusPhase>,
    seed: u64,
}

/// Which classes the losses refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Targeting {
    /// To the label alone.
    Untargeted,
    /// To the only other class of two.
    OtherClass,
    /// To so many targets, one after the other.
    Targets(usize),
}

/// A part of a run, which starts with a state of its own from the best point of the part before.
#[derive(Debug, Clone, Copy)]
struct RadiusPhase {
    ball: Ball,
    steps: usize,
}

impl Apgd {
    /// On the cross entropy.
    pub fn cross_entropy(spec: &ApgdSpec, context: &AttackContext) -> Self {
        Self::new("apgd-ce", spec, [Loss::CrossEntropy; 2], Targeting::Untargeted, context)
    }

    /// On the difference of logits ratio; with two classes on the margin to the other.
    pub fn dlr(spec: &ApgdSpec, context: &AttackContext) -> Self {
        let (loss, targeting) = match context.classes {
            CLASSES_OF_DLR.. => (Loss::Dlr, Targeting::Untargeted),
            _ => (Loss::Margin, Targeting::OtherClass),
        };
        Self::new("apgd-dlr", spec, [Loss::Dlr, loss], targeting, context)
    }

    /// On the targeted difference of logits ratio; with two or three classes on the margin to the target.
    pub fn targeted(spec: &TargetedApgdSpec, context: &AttackContext) -> Self {
        let targets = spec.targets.min(context.classes - 1);
        let losses = [Loss::TargetedDlr, targeted_loss(context)];
        Self::new("apgd-t", &spec.apgd, losses, Targeting::Targets(targets), context)
    }

    /// On the margin to each of many targets: it does not depend on third classes, as ratios do, and has a gradient where
    /// the softmax is saturated.
    pub fn multi_targeted(spec: &MultiTargetedApgdSpec, context: &AttackContext) -> Self {
        let targets = spec.targets.min(context.classes - 1);
        Self::new("apgd-mt", &spec.apgd, [Loss::Margin; 2], Targeting::Targets(targets), context)
    }

    /// As [`Apgd::targeted`], for the targets of MALT.
    pub(super) fn malt(spec: &MaltSpec, context: &AttackContext) -> Self {
        let targets = spec.targets.min(context.classes - 1);
        let losses = [Loss::TargetedDlr, targeted_loss(context)];
        Self::new("malt", &spec.apgd, losses, Targeting::Targets(targets), context)
    }

    /// Without target and with targets, on a surrogate.
    pub(super) fn transfer(spec: &TransferSpec, context: &AttackContext) -> [Self; 2] {
        let TransferSpec { surrogate: _, targets, steps, restarts } = spec;
        let apgd = ApgdSpec { steps: *steps, restarts: *restarts, ..ApgdSpec::default() };
        let targets = (*targets).min(context.classes - 1);
        let losses = [Loss::TargetedDlr, targeted_loss(context)];
        [
            Self::new("transfer", &apgd, [Loss::CrossEntropy; 2], Targeting::Untargeted, context),
            Self::new("transfer", &apgd, losses, Targeting::Targets(targets), context),
        ]
    }

    /// `losses` are the one of its definition, and the one that so many classes allow.
    fn new(
        name: &'static str,
        spec: &ApgdSpec,
        [wanted, loss]: [Loss; 2],
        targeting: Targeting,
        context: &AttackContext,
    ) -> Self {
        let (phases, is_substitute) = (phases(spec, context.ball), loss != wanted);
        Self { name, spec: spec.clone(), loss, is_substitute, targeting, phases, seed: context.seed }
    }

    /// Label and target of one unit, and its restart.
    fn label_and_target(&self, clean: &CleanImage, unit: usize) -> (LabelAndTarget, usize) {
        let (position, restart) = (unit / self.spec.restarts, unit % self.spec.restarts);
        let target = match self.targeting {
            Targeting::Untargeted => None,
            Targeting::OtherClass => Some(1 - clean.label),
            Targeting::Targets(_) => Some(clean.targets[position]),
        };
        (LabelAndTarget { label: clean.label, target }, restart)
    }

    fn start(&self, clean: &CleanImage, pair: LabelAndTarget, restart: usize) -> Vec<f32> {
        let target = match self.targeting {
            Targeting::Targets(_) => pair.target,
            Targeting::Untargeted | Targeting::OtherClass => None,
        };
        let key = Key { seed: self.seed, image: clean.image, attack: self.name, target, restart };
        let mut start = vec![0.0; clean.pixels.len()];
        self.phases[0].ball.random_start(&clean.pixels, &mut Stream::new(&key), &mut start);
        start
    }
}

/// The loss of an attack with targets.
fn targeted_loss(context: &AttackContext) -> Loss {
    match context.classes {
        CLASSES_OF_TARGETED_DLR.. => Loss::TargetedDlr,
        _ => Loss::Margin,
    }
}

/// The phases of a run.
fn phases(spec: &ApgdSpec, ball: Ball) -> Vec<RadiusPhase> {
    match spec.radius_schedule {
        RadiusSchedule::Fixed => vec![RadiusPhase { ball, steps: spec.steps }],
        RadiusSchedule::Shrinking => {
            let share = (0.3 * spec.steps as f64).ceil() as usize;
            let second = share.min(spec.steps - share);
            let last = spec.steps - share - second;
            let parts = [(3.0, share), (2.0, second), (1.0, last)];
            parts.map(|(factor, steps)| RadiusPhase { ball: ball.scaled(factor), steps }).to_vec()
        }
    }
}

impl Attack for Apgd {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Gradient(self.loss)]
    }

    fn units(&self) -> usize {
        self.targets() * self.spec.restarts
    }

    /// The start of each phase and its steps.
    fn most_passes(&self) -> u64 {
        let points: usize = self.phases.iter().map(|phase| phase.steps + 1).sum();
        2 * (points * self.spec.eot) as u64
    }

    fn uses_margin(&self) -> bool {
        self.is_substitute
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let (pair, restart) = self.label_and_target(clean, unit);
        Box::new(self.run(clean, pair, restart))
    }
}

impl Apgd {
    /// One run on one image.
    pub(super) fn run(&self, clean: &CleanImage, pair: LabelAndTarget, restart: usize) -> ApgdSearch<'_> {
        let iterates = Iterates::new(self.start(clean, pair, restart));
        let run = ApgdRun::new(&self.spec, self.phases[0], &clean.pixels, iterates);
        let expectation = Expectation::new(self.spec.eot, clean.pixels.len());
        ApgdSearch { attack: self, clean: clean.clone(), pair, phase: 0, run, expectation }
    }

    /// Targets that it aims at, one after the other.
    pub(super) fn targets(&self) -> usize {
        match self.targeting {
            Targeting::Untargeted | Targeting::OtherClass => 1,
            Targeting::Targets(targets) => targets,
        }
    }
}

/// APGD on one image.
pub(super) struct ApgdSearch<'a> {
    attack: &'a Apgd,
    clean: CleanImage,
    pair: LabelAndTarget,
    /// Position of the present phase.
    phase: usize,
    run: ApgdRun,
    expectation: Expectation,
}

impl Search for ApgdSearch<'_> {
    fn query(&self) -> Query {
        Query::Gradient(self.attack.loss)
    }

    fn label_and_target(&self) -> LabelAndTarget {
        self.pair
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(self.run.iterates.point());
    }

    /// Iterates of earlier phases may lie outside the ball.
    fn counts(&self) -> bool {
        self.phase + 1 == self.attack.phases.len()
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let Some(answer) = self.expectation.gather(answer) else { return Step::Continue };
        let step = self.run.observe(&self.attack.spec, &self.clean.pixels, &answer);
        self.after(step)
    }

    fn step_back(&mut self) -> Step {
        self.expectation.forget();
        let step = self.run.step_back(&self.attack.spec, &self.clean.pixels);
        self.after(step)
    }
}

impl ApgdSearch<'_> {
    /// Goes on to the next phase where one is over.
    fn after(&mut self, step: Step) -> Step {
        if step == Step::Continue {
            return Step::Continue;
        }
        let Apgd { spec, phases, .. } = self.attack;
        self.phase += 1;
        let Some(phase) = phases.get(self.phase) else { return Step::Done };
        self.run.restart(spec, *phase, &self.clean.pixels);
        Step::Continue
    }
}

/// One run in one ball, for attacks that make losses of their own.
#[derive(Debug)]
pub(super) struct ApgdAscent {
    spec: ApgdSpec,
    centre: Arc<[f32]>,
    run: ApgdRun,
}

impl ApgdAscent {
    /// From that start, by those parameters as far as they are of one run.
    pub(super) fn new(spec: ApgdSpec, ball: Ball, centre: Arc<[f32]>, start: Vec<f32>) -> Self {
        let phase = RadiusPhase { ball, steps: spec.steps };
        let run = ApgdRun::new(&spec, phase, &centre, Iterates::new(start));
        Self { spec, centre, run }
    }

    /// The present iterate.
    pub(super) fn point(&self) -> &[f32] {
        self.run.iterates.point()
    }

    /// Whether no step follows it.
    pub(super) fn is_last(&self) -> bool {
        self.run.seen == self.run.phase.steps
    }

    /// Learns what was found about it and moves on.
    pub(super) fn observe(&mut self, answer: &Answer) -> Step {
        self.run.observe(&self.spec, &self.centre, answer)
    }

    /// Moves on from an iterate that has no answer.
    pub(super) fn step_back(&mut self) -> Step {
        self.run.step_back(&self.spec, &self.centre)
    }
}

/// One run through one phase: from its start through `N` steps.
#[derive(Debug)]
struct ApgdRun {
    phase: RadiusPhase,
    /// Iterates seen so far, the start included.
    seen: usize,
    /// Whether one of them had an answer.
    has_begun: bool,
    iterates: Iterates,
    rule: StepRule,
}

/// How a run ascends.
#[derive(Debug)]
enum StepRule {
    Momentum(Momentum),
    Sparse(Sparse),
}

impl ApgdRun {
    fn new(spec: &ApgdSpec, phase: RadiusPhase, centre: &[f32], iterates: Iterates) -> Self {
        let RadiusPhase { ball, steps } = phase;
        let rule = match (ball.apgd_rule(), spec.radius_schedule) {
            (ApgdRule::Momentum, _) => StepRule::Momentum(Momentum::new(spec, steps, ball.epsilon())),
            (ApgdRule::Sparse, RadiusSchedule::Fixed) => {
                StepRule::Sparse(Sparse::new(steps, ball.epsilon(), centre.len()))
            }
            // The reference gives the start of every phase, the first one's too, from outside.
            (ApgdRule::Sparse, RadiusSchedule::Shrinking) => {
                StepRule::Sparse(Sparse::from_start(steps, ball.epsilon(), centre, iterates.point()))
            }
        };
        Self { phase, seen: 0, has_begun: false, iterates, rule }
    }

    /// Starts again in the next phase, from the best point.
    fn restart(&mut self, spec: &ApgdSpec, phase: RadiusPhase, centre: &[f32]) {
        let mut iterates = std::mem::replace(&mut self.iterates, Iterates::new(Vec::new()));
        iterates.restart(|point| phase.ball.project(centre, point));
        *self = Self::new(spec, phase, centre, iterates);
    }

    /// Learns what the model said about the present point and moves on.
    fn observe(&mut self, spec: &ApgdSpec, centre: &[f32], answer: &Answer) -> Step {
        let returned = match self.has_begun {
            false => self.begin(answer),
            true => self.record(spec, centre, self.seen - 1, answer),
        };
        let step = self.seen;
        self.seen += 1;
        if self.seen > self.phase.steps {
            return Step::Done;
        }
        if returned {
            self.iterates.return_to_best();
        }
        let gradient = if returned { None } else { Some(answer.gradient) };
        let to = StepContext { ball: self.phase.ball, centre, gradient };
        match &mut self.rule {
            StepRule::Momentum(momentum) => momentum.advance(spec, step, &to, &mut self.iterates),
            StepRule::Sparse(sparse) => sparse.advance(&to, &mut self.iterates),
        }
        Step::Continue
    }

    /// An iterate without an answer counts as one of the lowest loss. The next one lies half of the way back: to the
    /// best point, or to the clean image as long as there is none.
    fn step_back(&mut self, spec: &ApgdSpec, centre: &[f32]) -> Step {
        if self.has_begun {
            let lowest = Answer { logits: &[], loss: f32::MIN, gradient: &[] };
            self.record(spec, centre, self.seen - 1, &lowest);
        }
        self.seen += 1;
        if self.seen > self.phase.steps {
            return Step::Done;
        }
        let (ball, towards_best) = (self.phase.ball, self.has_begun);
        self.iterates.step_back(|point, best| {
            go_half_way(point, if towards_best { best } else { centre });
            ball.project(centre, point);
        });
        Step::Continue
    }

    /// The first iterate with an answer is the best point so far.
    fn begin(&mut self, answer: &Answer) -> bool {
        self.has_begun = true;
        self.iterates.begin(answer);
        if let StepRule::Momentum(momentum) = &mut self.rule {
            momentum.begin(answer.loss);
        }
        false
    }

    /// Takes in step `step`, counted from 0. True where the run must return to its best point.
    fn record(&mut self, spec: &ApgdSpec, centre: &[f32], step: usize, answer: &Answer) -> bool {
        self.iterates.record(answer);
        match &mut self.rule {
            StepRule::Momentum(momentum) => {
                momentum.record(spec, step, answer.loss, self.iterates.best_loss())
            }
            StepRule::Sparse(sparse) => {
                sparse.record(step, self.phase.ball.epsilon(), centre, self.iterates.best())
            }
        }
    }
}

#[cfg(test)]
mod tests;
