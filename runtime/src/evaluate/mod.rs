//! The whole evaluation: clean accuracy, each attack on what is still robust, verification of what was found.
//!
//! The accuracy that is left is an upper bound of the robust accuracy: an attack that finds nothing proves nothing.

mod error;
mod ledger;
mod observer;
mod outcome;
mod plan;
mod set;

use std::time::Instant;

pub use crate::journal::Quantity;
pub use error::{EvaluateError, PlanError};
pub use mimir_bundle::AttackSpec;
pub use observer::{Observer, Progress, Silent, Stage};
pub use outcome::{AttackResult, Ending, Evaluation, ImageOutcome, PassCounts, Verdict};
pub use plan::{Control, Curve, Plan};
pub use set::{EvaluationSet, Images, SetError};

use crate::attack::{Attack, Distances, Setting, WarmStart, WarmStarts};
use crate::ball::Ball;
use crate::engine::{self, CleanImage, Gate, Halt, Job, Phase, Votes, Worker};
use crate::model::ModelSource;
use crate::monitor::Monitor;
use crate::verify::verify_stored;
use ledger::Ledger;

/// Attacks every image that the model classifies correctly, until it is broken or every attack is spent.
///
/// Results depend on the model, the set, the threat model, the attacks and the seed; not on the batch size, the number
/// of workers, which other images are in the set, or which attacks ran before. This rests on an engine that computes a
/// row of a batch without regard to its place: `docs/architecture.md`, "Determinism", has the one exception that we know.
///
/// # Errors
/// When the set does not fit the model, the plan cannot be carried out, the engine fails, what is finished cannot be
/// kept, or the model returns no finite logits at all. No verdict survives an error, but the archive does.
pub fn evaluate(
    source: &dyn ModelSource,
    set: &EvaluationSet,
    plan: &Plan,
    control: &Control,
) -> Result<Evaluation, EvaluateError> {
    let mut workers = Worker::team(source, plan.workers)?;
    let setting = setting(&mut workers[0], plan)?;
    set.fits(setting.image.pixels(), setting.classes)?;
    let attacks = plan.build(&setting)?;
    let halt = Halt::new(control.interrupted);
    let monitor = Monitor::new(control.observer, set.count());
    let clean = classify(&mut workers, set, plan, setting.classes, &halt, &monitor)?;

    let mut ledger = Ledger::new(set, &clean);
    let gate = gate(plan, set.count(), ledger.remaining().len(), &halt);
    let course =
        Course { set, plan, setting, clean: &clean, gate: gate.as_ref(), control, monitor: &monitor };
    for (index, (spec, attack)) in plan.attacks.iter().zip(&attacks).enumerate() {
        if halt.is_set() {
            break;
        }
        course.attack(&mut workers, index, spec, attack.as_ref(), &halt, &mut ledger)?;
    }
    if plan.curve == Curve::Yes && !halt.is_set() {
        course.find_distances(&mut workers, &halt, &mut ledger)?;
    }

    let mut evaluation = ledger.close(attacks.len(), &halt);
    if plan.curve == Curve::Yes && halt.is_interrupted() {
        // Every verdict may be known, but not every distance.
        evaluation.ending = Ending::Interrupted;
    }
    if let (Some(store), 1) = (control.archive.counterexamples(), plan.votes) {
        monitor.start(Stage::Verify, evaluation.slots.iter().flatten().count());
        verify_stored(workers[0].original(), set, &evaluation.slots, store, &plan.threat_model)?;
    }
    Ok(evaluation)
}

fn classify(
    workers: &mut [Worker],
    set: &EvaluationSet,
    plan: &Plan,
    classes: usize,
    halt: &Halt,
    monitor: &Monitor,
) -> Result<Vec<CleanImage>, EvaluateError> {
    monitor.start(Stage::Clean, set.count());
    let targets = plan.most_targets(classes);
    let clean = engine::classify(workers, set, Votes(plan.votes), targets, halt, monitor)?;
    match clean.iter().all(|image| image.prediction.is_none()) {
        true => Err(EvaluateError::NonFinite(set.count())),
        false => Ok(clean),
    }
}

/// Counts towards the requirement, where the evaluation may stop for it.
fn gate(plan: &Plan, images: usize, possible: usize, halt: &Halt) -> Option<Gate> {
    let gate = Gate::new(plan.stop_when_decided?.robust_images_needed(images), possible);
    gate.check(halt);
    Some(gate)
}

/// What all attacks of an evaluation share.
struct Course<'a> {
    set: &'a EvaluationSet<'a>,
    plan: &'a Plan,
    setting: Setting,
    clean: &'a [CleanImage],
    gate: Option<&'a Gate>,
    control: &'a Control<'a>,
    monitor: &'a Monitor<'a>,
}

impl Course<'_> {
    fn job<'b>(&'b self, index: usize, attack: &'b dyn Attack) -> Job<'b> {
        Job {
            attack,
            index: index as u16,
            phase: if index + 1 == self.plan.attacks.len() { Phase::Last } else { Phase::Earlier },
            ball: self.setting.ball,
            distances: Distances::WithinBall,
            set: self.set,
            clean: self.clean,
            votes: Votes(self.plan.votes),
            archive: self.control.archive,
            gate: self.gate,
            monitor: self.monitor,
            workers: self.plan.workers,
        }
    }

    /// Runs one attack on every image that is left, and books what it found.
    fn attack(
        &self,
        workers: &mut [Worker],
        index: usize,
        spec: &AttackSpec,
        attack: &dyn Attack,
        halt: &Halt,
        ledger: &mut Ledger,
    ) -> Result<(), EvaluateError> {
        let mut images = ledger.remaining();
        if self.gate.is_some() {
            // Those that are likely to fall decide a gate soonest.
            let margin = |image: &usize| self.clean[*image].margin;
            images.sort_by(|left, right| margin(left).total_cmp(&margin(right)));
        }
        self.monitor.start(Stage::Attack(spec.name()), images.len());
        let started = Instant::now();
        let report = engine::run(workers, &self.job(index, attack), &images, halt)?;
        self.monitor.show();
        ledger.book(spec, self.setting.classes, attack.units(), &images, &report, started.elapsed());
        Ok(())
    }

    /// Searches the smallest distance of every image that is broken, from its counterexample.
    fn find_distances(
        &self,
        workers: &mut [Worker],
        halt: &Halt,
        ledger: &mut Ledger,
    ) -> Result<(), EvaluateError> {
        let starts: Vec<WarmStart> = ledger.warm_starts().collect();
        let Some(store) = self.control.archive.counterexamples() else { return Ok(()) };
        let images: Vec<usize> = starts.iter().map(|start| start.image).collect();
        let attack = WarmStarts::new(&starts, store, &self.setting);
        self.monitor.start(Stage::Curve, images.len());
        let job = self.job(self.plan.attacks.len(), &attack);
        let job = Job { distances: Distances::Smallest, gate: None, ..job };
        ledger.book_distances(&engine::run(workers, &job, &images, halt)?);
        Ok(())
    }
}

fn setting(worker: &mut Worker, plan: &Plan) -> Result<Setting, EvaluateError> {
    let original = worker.original();
    Ok(Setting {
        ball: Ball::new(&plan.threat_model).map_err(PlanError::from)?,
        seed: plan.seed,
        image: original.image_shape(),
        classes: original.classes(),
        distances: Distances::WithinBall,
    })
}

#[cfg(test)]
mod tests;
