//! Extra passes that show whether the attacks of an evaluation worked: on few images, after it, and without any effect on its
//! verdicts. [`report`](crate::report) judges what they found.

mod first_order;
mod found;
mod plane;
mod points;
mod subset;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use mimir_bundle::attack::{ApgdSpec, Argument, MultiTargetedApgdSpec};
use mimir_bundle::{AttackSpec, Norm, ThreatModel};

use crate::archive::Archive;
use crate::attack::Preset;
use crate::ball::Ball;
use crate::error::{EvaluateError, PlanError};
use crate::evaluate::{Control, Curve, Evaluation, Plan, Verdict, evaluate};
use crate::evaluation_set::EvaluationSet;
use crate::landscape::InputLandscape;
use crate::model::ModelSource;
use crate::monitor::Silent;
use subset::{Subset, spread};

pub use first_order::{first_order, first_order_of_margins};
pub use found::{
    BrokenWithin, Compared, Experiments, FirstOrder, NoisePoints, Promise, Stability, Stronger, Unconstrained,
};

/// Images that most experiments look at, at most, spread evenly over those that they are about.
const IMAGES: usize = 32;
/// Images that one step is tried on, at most: it costs three passes each.
const ONE_STEP_IMAGES: usize = 256;
/// Steps at each radius.
const STEPS: usize = 50;
/// Multiples of the radius.
const FACTORS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// The attacks that the experiments of a plan run, each once by its name, to know which graphs they need; none where no attack of
/// the plan follows gradients.
pub fn plan_of_experiments(plan: &Plan) -> Option<Plan> {
    let main = main_attack(plan)?;
    let mut names = BTreeSet::new();
    let norm = plan.threat_model.norm;
    let all = [main, ascent(norm, STEPS), margin_ascent(norm, STEPS), one_step()];
    let attacks = all.into_iter().filter(|attack| names.insert(attack.name())).collect();
    Some(Plan { attacks, curve: Curve::No, stop_when_decided: None, ..plan.clone() })
}

/// Makes the experiments on what an evaluation by that plan has found. None of a model with random operators: each point would
/// need many draws.
///
/// # Errors
/// When the engine fails, or an image cannot be read; [`EvaluateError::Interrupted`] when somebody wants it to end.
pub fn experiment(
    source: &dyn ModelSource,
    set: &EvaluationSet,
    plan: &Plan,
    evaluation: &Evaluation,
    interrupted: &AtomicBool,
) -> Result<Experiments, EvaluateError> {
    let run = Run { source, set, plan, interrupted };
    let correct = images_where(evaluation, |verdict| !matches!(verdict, Verdict::NonFinite { .. }));
    let unbroken = images_where(evaluation, |verdict| *verdict == Verdict::StillRobust);
    let (few, few_unbroken) = (spread(&correct, IMAGES), spread(&unbroken, IMAGES));
    let mut classifier = source.classifier()?;
    let (repeated, regrouped) = points::compare(classifier.as_mut(), set, &|| run.expect_wanted())?;
    let ball = Ball::new(&plan.threat_model).map_err(PlanError::from)?;
    let stability = points::stability(classifier.as_mut(), set, &few, plan)?;
    run.expect_wanted()?;
    let noise =
        points::noise(classifier.as_mut(), set, &unbroken, &ball, plan.seed, &|| run.expect_wanted())?;
    drop(classifier);
    let with_gradients = match main_attack(plan) {
        Some(main) => run.with_gradients(&main, &few, &few_unbroken, &unbroken)?,
        None => Experiments::default(),
    };
    Ok(Experiments {
        repeated: Some(repeated),
        regrouped: Some(regrouped),
        stability,
        noise,
        ..with_gradients
    })
}

/// Margins on planes around some images that are classified correctly, at most so many, spread over them: along the direction to a
/// counterexample within four times the radius, or else anywhere in the box. An image without one is left out, and all of a model
/// that no attack of the plan could follow gradients of.
///
/// # Errors
/// As [`experiment`].
pub fn landscapes(
    source: &dyn ModelSource,
    set: &EvaluationSet,
    plan: &Plan,
    evaluation: &Evaluation,
    most: usize,
) -> Result<Vec<InputLandscape>, EvaluateError> {
    if main_attack(plan).is_none() {
        return Ok(Vec::new());
    }
    let images =
        spread(&images_where(evaluation, |verdict| !matches!(verdict, Verdict::NonFinite { .. })), most);
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let ThreatModel { norm, epsilon, .. } = plan.threat_model;
    let everywhere = furthest(norm, set.pixels_per_image());
    let mut points: Vec<Option<Vec<f32>>> = vec![None; images.len()];
    for radius in [(4.0 * epsilon).min(everywhere), everywhere] {
        let plan = Plan {
            threat_model: ThreatModel { epsilon: radius, ..plan.threat_model },
            attacks: vec![ascent(norm, STEPS), margin_ascent(norm, STEPS)],
            stop_when_decided: None,
            curve: Curve::No,
            ..plan.clone()
        };
        let found = plane::adversarial_points(source, set, &images, &plan)?;
        points.iter_mut().zip(found).for_each(|(point, found)| *point = point.take().or(found));
        if points.iter().all(Option::is_some) {
            break;
        }
    }
    let mut classifier = source.classifier()?;
    let known = images.iter().zip(&points).filter_map(|(image, point)| Some((*image, point.as_ref()?)));
    known.map(|(image, point)| plane::plane(classifier.as_mut(), set, image, point, plan)).collect()
}

/// What all experiments share.
struct Run<'a> {
    source: &'a dyn ModelSource,
    set: &'a EvaluationSet<'a>,
    plan: &'a Plan,
    interrupted: &'a AtomicBool,
}

impl Run<'_> {
    fn expect_wanted(&self) -> Result<(), EvaluateError> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err(EvaluateError::Interrupted),
            false => Ok(()),
        }
    }

    /// The experiments that follow gradients.
    fn with_gradients(
        &self,
        main: &AttackSpec,
        few: &[usize],
        few_unbroken: &[usize],
        unbroken: &[usize],
    ) -> Result<Experiments, EvaluateError> {
        let ThreatModel { norm, epsilon, .. } = self.plan.threat_model;
        let seed = self.plan.seed;
        let mut doubled = main.clone();
        let steps = count(main, "steps").unwrap_or(1);
        doubled.set("steps", Argument::Count(2 * steps));
        let mut radii = Vec::new();
        for factor in FACTORS {
            let radius = (factor * epsilon).min(furthest(norm, self.set.pixels_per_image()));
            let broken = self.broken(&ascent(norm, STEPS), radius, few, seed)?;
            radii.push(BrokenWithin { factor, images: few.len(), broken });
        }
        Ok(Experiments {
            doubled: self.stronger(&doubled, few_unbroken, seed)?,
            restarted: self.stronger(main, few_unbroken, seed.wrapping_add(1))?,
            one_step: self.stronger(&one_step(), &spread(unbroken, ONE_STEP_IMAGES), seed)?,
            radii: if few.is_empty() { Vec::new() } else { radii },
            unconstrained: self.unconstrained(few)?,
            ..Experiments::default()
        })
    }

    /// With no limit but the box: on the cross entropy, and what that leaves on the margin, which does not saturate.
    fn unconstrained(&self, images: &[usize]) -> Result<Option<Unconstrained>, EvaluateError> {
        if images.is_empty() {
            return Ok(None);
        }
        let norm = self.plan.threat_model.norm;
        let everywhere = furthest(norm, self.set.pixels_per_image());
        let (mut left, mut names) = (images.to_vec(), Vec::new());
        for attack in [ascent(norm, 2 * STEPS), margin_ascent(norm, 2 * STEPS)] {
            let broken = self.broken(&attack, everywhere, &left, self.plan.seed)?;
            left.retain(|image| !broken.contains(image));
            names.push(attack.name());
        }
        Ok(Some(Unconstrained { attack: names.join(" and "), images: images.len(), left }))
    }

    fn stronger(
        &self,
        attack: &AttackSpec,
        images: &[usize],
        seed: u64,
    ) -> Result<Option<Stronger>, EvaluateError> {
        if images.is_empty() {
            // Nothing was left that a stronger attack could break.
            return Ok(Some(Stronger { attack: attack.name().to_owned(), images: 0, broken: Vec::new() }));
        }
        let broken = self.broken(attack, self.plan.threat_model.epsilon, images, seed)?;
        Ok(Some(Stronger { attack: attack.name().to_owned(), images: images.len(), broken }))
    }

    /// Images that one attack breaks within a radius.
    fn broken(
        &self,
        attack: &AttackSpec,
        epsilon: f64,
        images: &[usize],
        seed: u64,
    ) -> Result<Vec<usize>, EvaluateError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let plan = Plan {
            threat_model: ThreatModel { epsilon, ..self.plan.threat_model },
            attacks: vec![attack.clone()],
            seed,
            stop_when_decided: None,
            curve: Curve::No,
            ..self.plan.clone()
        };
        let subset = Subset { set: self.set, images };
        let labels: Vec<usize> = images.iter().map(|image| self.set.labels()[*image]).collect();
        let set = EvaluationSet::new(&subset, &labels)?.with_pixels(self.plan.threat_model.pixels);
        let archive = Archive::none();
        let control = Control { interrupted: self.interrupted, ..Control::new(&Silent, &archive) };
        let evaluation = evaluate(self.source, &set, &plan, &control)?;
        self.expect_wanted()?;
        let broken = images_where(&evaluation, |verdict| matches!(verdict, Verdict::Broken { .. }));
        Ok(broken.into_iter().map(|position| images[position]).collect())
    }
}

/// Images that are classified correctly as they are, with such a verdict.
fn images_where(evaluation: &Evaluation, holds: impl Fn(&Verdict) -> bool) -> Vec<usize> {
    let outcomes = evaluation.outcomes.iter();
    let chosen = outcomes.filter(|outcome| outcome.is_clean_correct() && holds(&outcome.verdict));
    chosen.map(|outcome| outcome.image).collect()
}

fn count(attack: &AttackSpec, name: &str) -> Option<usize> {
    match attack.get(name) {
        Some(Argument::Count(count)) => Some(count),
        _ => None,
    }
}

/// The first attack of a plan that raises a loss by steps, with one restart.
fn main_attack(plan: &Plan) -> Option<AttackSpec> {
    let is_ascent = |attack: &&AttackSpec| {
        let has_steps = count(attack, "steps").is_some() && !attack.needs_no_gradient();
        has_steps && !attack.minimises_distance() && attack.feature().is_none()
    };
    let mut main = plan.attacks.iter().find(is_ascent)?.clone();
    main.set("restarts", Argument::Count(1));
    Some(main)
}

/// Auto-PGD on the cross entropy in the form that the norm asks for.
fn ascent(norm: Norm, steps: usize) -> AttackSpec {
    let standard = Preset::Standard.attacks(norm);
    let apgd = standard.into_iter().find(|attack| matches!(attack, AttackSpec::ApgdCe(_)));
    let mut apgd = apgd.unwrap_or_else(|| AttackSpec::ApgdCe(ApgdSpec::default()));
    apgd.set("steps", Argument::Count(steps));
    apgd.set("restarts", Argument::Count(1));
    apgd
}

/// The same on the margin to the nearest class.
fn margin_ascent(norm: Norm, steps: usize) -> AttackSpec {
    let AttackSpec::ApgdCe(apgd) = ascent(norm, steps) else { return ascent(norm, steps) };
    AttackSpec::ApgdMt(MultiTargetedApgdSpec { targets: 1, apgd })
}

fn one_step() -> AttackSpec {
    AttackSpec::Fgsm(mimir_bundle::attack::FgsmSpec::default())
}

/// The distance of two opposite corners of the box: the ball around any image holds all of it.
fn furthest(norm: Norm, pixels: usize) -> f64 {
    match norm {
        Norm::Linf => 1.0,
        Norm::L2 => (pixels as f64).sqrt(),
        Norm::L1 => pixels as f64,
    }
}

#[cfg(test)]
mod tests;
