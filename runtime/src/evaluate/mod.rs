//! The whole evaluation: clean accuracy, each attack on what is still robust, verification of what was found.
//!
//! The accuracy that is left is an upper bound of the robust accuracy: an attack that finds nothing proves nothing.

mod clean;
mod error;
mod observer;
mod outcome;
mod set;

use std::time::Instant;

use mimir_bundle::ThreatModel;

pub use error::{EvaluateError, NonFinite, PlanError, Quantity};
pub use mimir_bundle::attack::{ApgdSpec, AttackSpec};
pub use observer::{Observer, Progress, Silent, Stage};
pub use outcome::{AttackResult, Evaluation, ImageOutcome, PassCounts, Verdict};
pub use set::{EvaluationSet, SetError};

use crate::attack::{Attack, Distances, Setting, attack};
use crate::ball::Ball;
use crate::engine::{self, Found, Job, Worker};
use crate::model::ModelSource;
use crate::monitor::Monitor;
use crate::verify::{Counterexample, verify};

/// What to evaluate against.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The ball around each image.
    pub threat_model: ThreatModel,
    /// Attacks, in order; each sees the images that the earlier ones left. Without any, clean accuracy is all.
    pub attacks: Vec<AttackSpec>,
    /// Keys all noise.
    pub seed: u64,
    /// Threads, each with its own sessions. Results do not depend on it.
    pub workers: usize,
}

/// Attacks every image that the model classifies correctly, until it is broken or every attack is spent.
///
/// Results depend on the model, the set, the threat model, the attacks and the seed; not on the batch size, the number
/// of workers, or which other images are in the set. This rests on an engine that computes a row of a batch without
/// regard to its place: `docs/architecture.md`, "Determinism", has the one exception that we know.
///
/// # Errors
/// When the set does not fit the model, the plan cannot be carried out, the engine fails, or a model returns a number
/// that is not finite. No verdict survives an error.
pub fn evaluate(
    source: &dyn ModelSource,
    set: &EvaluationSet,
    plan: &Plan,
    observer: &dyn Observer,
) -> Result<Evaluation, EvaluateError> {
    let ball = Ball::new(&plan.threat_model).map_err(PlanError::from)?;
    let mut workers = Worker::team(source, plan.workers)?;
    let first = workers[0].classifier();
    set.fits(first.image_shape().pixels(), first.classes())?;
    let setting = Setting {
        ball,
        seed: plan.seed,
        image: first.image_shape(),
        classes: first.classes(),
        distances: Distances::WithinBall,
    };
    let attacks = plan.attacks(&setting)?;
    let monitor = Monitor::new(observer, set.count());
    let clean = clean::classify(&mut workers, set, &monitor)?;
    let mut evaluation = clean.evaluation(set);
    for (spec, attack) in plan.attacks.iter().zip(&attacks) {
        let job = Job { attack: attack.as_ref(), ball, set, clean_logits: &clean.logits };
        run_attack(&mut workers, &job, spec, &monitor, &mut evaluation)?;
    }
    monitor.start(Stage::Verify, evaluation.adversarial.iter().flatten().count());
    verify(workers[0].classifier(), set, &evaluation.counterexamples(), &plan.threat_model)?;
    Ok(evaluation)
}

impl Plan {
    /// The attacks of the plan, ready to run.
    fn attacks(&self, setting: &Setting) -> Result<Vec<Box<dyn Attack>>, PlanError> {
        if self.workers == 0 {
            return Err(PlanError::NoWorkers);
        }
        let names: Vec<&str> = self.attacks.iter().map(AttackSpec::name).collect();
        for (index, spec) in self.attacks.iter().enumerate() {
            if names[..index].contains(&spec.name()) {
                return Err(PlanError::Duplicate(spec.name()));
            }
        }
        self.attacks.iter().map(|spec| Ok(attack(spec, setting)?)).collect()
    }
}

/// Runs one attack on every image that is still robust, and books what it found.
fn run_attack(
    workers: &mut [Worker],
    job: &Job,
    spec: &AttackSpec,
    monitor: &Monitor,
    evaluation: &mut Evaluation,
) -> Result<(), EvaluateError> {
    let started = Instant::now();
    let targets: Vec<usize> = evaluation.robust_images().collect();
    monitor.start(Stage::Attack(spec.name()), targets.len());
    let report = engine::run(workers, job, &targets, monitor)?;
    let broken = report.found.len();
    for found in report.found {
        evaluation.book(spec.name(), job.ball.distance(job.set.pixels(found.image), &found.pixels), found);
    }
    evaluation.attacks.push(AttackResult {
        name: spec.name().to_owned(),
        spec: spec.clone(),
        attacked: targets.len(),
        broken,
        still_robust: targets.len() - broken,
        seconds: started.elapsed().as_secs_f64(),
        forwards: report.passes.forwards,
        backwards: report.passes.backwards,
        steps: report.steps,
    });
    Ok(())
}

impl Evaluation {
    fn robust_images(&self) -> impl Iterator<Item = usize> {
        let robust = self.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::StillRobust);
        robust.map(|outcome| outcome.image)
    }

    fn book(&mut self, attack: &str, distance: f64, found: Found) {
        let Found { image, step, prediction, pixels } = found;
        self.outcomes[image].verdict =
            Verdict::Broken { attack: attack.to_owned(), step, prediction, distance };
        self.adversarial[image] = Some(pixels);
    }

    /// What [`verify`] has to check.
    fn counterexamples(&self) -> Vec<Counterexample<'_>> {
        let found = self.adversarial.iter().enumerate();
        found
            .filter_map(|(image, pixels)| pixels.as_deref().map(|pixels| Counterexample { image, pixels }))
            .collect()
    }
}

#[cfg(test)]
mod tests;
