//! The whole evaluation: clean accuracy, each attack on what is still robust, verification of what was found.
//!
//! The accuracy that is left is an upper bound of the robust accuracy: an attack that finds nothing proves nothing.

mod attack_run;
mod clean_margins;
mod outcome;
mod plan;
mod references;
mod state;
mod traces;

pub use crate::error::{EvaluateError, PlanError};
pub use crate::evaluation_set::{EvaluationSet, Images, SetError};
pub use crate::monitor::{Observer, Progress, Silent, Stage};
pub use mimir_bundle::AttackSpec;
pub(crate) use outcome::counts_of;
pub use outcome::{
    AttackResult, AttackSigns, Ending, Evaluation, ImageOutcome, PassCounts, TracePoint, Verdict,
};
pub use plan::{AttackCost, Control, Curve, Plan};

use crate::attack::{AttackContext, DistanceGoal};
use crate::ball::Ball;
use crate::model::ModelSource;
use crate::monitor::{Monitor, MostPasses};
use crate::requirement::{Conclusion, Known};
use crate::scheduler::{self, CleanPrediction, GateProgress, StopSignal, Votes, Worker};
use crate::verify::verify_stored;
use attack_run::AttackRun;
use clean_margins::measure_clean_margins;
use plan::most_passes;
use references::give_references;
use state::EvaluationState;

/// Attacks every image that the model classifies correctly, until it is broken or every attack is spent.
///
/// Results depend on the model, the set, the threat model, the attacks and the seed; not on the batch size, the number
/// of workers, which other images are in the set, or which attacks ran before. This rests on an engine that computes a
/// row of a batch without regard to its place: `docs/architecture.md`, "Determinism", has the one exception that we
/// know.
///
/// # Errors
/// When the set does not fit the model, the plan cannot be carried out, the engine fails, what is finished cannot be
/// kept, or the logits of the model mean no class for any image. No verdict survives an error, but the archive does.
pub fn evaluate(
    source: &dyn ModelSource,
    set: &EvaluationSet,
    plan: &Plan,
    control: &Control,
) -> Result<Evaluation, EvaluateError> {
    let mut workers = Worker::create(source, plan.workers)?;
    let context = context(&mut workers[0], plan)?;
    set.fits(context.image.pixels(), context.classes)?;
    let mut attacks = plan.build(&context)?;
    let stop = StopSignal::new(control.interrupted);
    let monitor = Monitor::new(control.observer, set.count());
    let most_passes: Vec<u64> = attacks.iter().map(|attack| most_passes(attack.as_ref())).collect();
    monitor.start(
        Stage::Clean,
        set.count(),
        MostPasses { now: plan.votes as u64, later: most_passes.iter().sum() },
    );
    let clean = classify(&mut workers, set, plan, context.classes, &stop, &monitor)?;

    let mut state = EvaluationState::new(set, &clean);
    let gate = gate(plan, &state, &stop);
    let run = AttackRun {
        set,
        plan,
        context,
        doubt: source.doubt(),
        clean: &clean,
        gate: gate.as_ref(),
        control,
        monitor: &monitor,
        most_passes: &most_passes,
    };
    for (index, (spec, attack)) in plan.attacks.iter().zip(&mut attacks).enumerate() {
        if stop.is_set() {
            break;
        }
        give_references(&mut workers[0], set, spec, attack.as_mut())?;
        run.attack(&mut workers, index, spec, attack.as_ref(), &stop, &mut state)?;
    }
    if plan.curve == Curve::Yes && !stop.is_set() {
        run.find_distances(&mut workers, &stop, &mut state)?;
    }

    let mut evaluation = state.finish(attacks.len(), &stop);
    if plan.curve == Curve::Yes && stop.is_interrupted() {
        // Every verdict may be known, but not every distance.
        evaluation.ending = Ending::Interrupted;
    }
    expect_decided(&evaluation, plan)?;
    if let (Some(store), 1) = (control.archive.counterexamples(), plan.votes) {
        let count = evaluation.slots.iter().flatten().count();
        monitor.start(Stage::Verify, count, MostPasses { now: 1, later: 0 });
        let verified =
            verify_stored(workers[0].original(), set, &evaluation.slots, store, &plan.threat_model);
        verified.map_err(|error| match control.archive.was_resumed() {
            true => EvaluateError::Resumed(error),
            false => EvaluateError::Verification(error),
        })?;
    }
    if let (Some(float64), 1) = (control.float64, plan.votes) {
        monitor.start(Stage::Float64Margins, set.count(), MostPasses { now: 1, later: 0 });
        measure_clean_margins(&mut evaluation, set, float64, &stop)?;
    }
    Ok(evaluation)
}

fn classify(
    workers: &mut [Worker],
    set: &EvaluationSet,
    plan: &Plan,
    classes: usize,
    stop: &StopSignal,
    monitor: &Monitor,
) -> Result<Vec<CleanPrediction>, EvaluateError> {
    let targets = plan.most_targets(classes);
    let clean = scheduler::classify(workers, set, Votes(plan.votes), targets, stop, monitor)?;
    match clean.iter().all(|image| image.prediction.is_none()) {
        true => Err(EvaluateError::NonFinite(set.count())),
        false => Ok(clean),
    }
}

/// Counts towards the requirements, where the evaluation may stop for them.
fn gate(plan: &Plan, state: &EvaluationState, stop: &StopSignal) -> Option<GateProgress> {
    let possible = state.remaining().len();
    let gate = GateProgress::new(plan.stop_when_decided?, state.images(), possible, possible);
    gate.check(stop);
    Some(gate)
}

/// An evaluation that stopped because the answer was certain must have that answer in its counts.
fn expect_decided(evaluation: &Evaluation, plan: &Plan) -> Result<(), EvaluateError> {
    let Some(requirements) = plan.stop_when_decided else { return Ok(()) };
    match (evaluation.ending, requirements.conclude(&Known::from_counts(&evaluation.counts()))) {
        (Ending::GateDecided, Conclusion::Open) => Err(EvaluateError::Undecided),
        _ => Ok(()),
    }
}

fn context(worker: &mut Worker, plan: &Plan) -> Result<AttackContext, EvaluateError> {
    let original = worker.original();
    Ok(AttackContext {
        ball: Ball::new(&plan.threat_model).map_err(PlanError::from)?,
        seed: plan.seed,
        image: original.image_shape(),
        classes: original.classes(),
        distances: DistanceGoal::WithinBall,
    })
}

#[cfg(test)]
mod tests;
