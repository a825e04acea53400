//! What to evaluate against.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use mimir_bundle::attack::PgdMiSpec;
use mimir_bundle::{AttackSpec, ImageShape, ThreatModel};

use crate::archive::Archive;
use crate::attack::{Attack, AttackContext, DistanceGoal, Query, attack};
use crate::ball::Ball;
use crate::error::PlanError;
use crate::evaluation_set::EvaluationSet;
use crate::journal::PossibleRecords;
use crate::model::{Float64Margins, Loss};
use crate::monitor::Observer;
use crate::requirement::Requirements;

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
    /// Stops as soon as the answer to these requirements is certain; without any, everything is done.
    pub stop_when_decided: Option<Requirements>,
    /// Whether the smallest distances of broken images are searched for, after all attacks.
    pub curve: Curve,
    /// Evaluations of the original model that may decide what it predicts at a point: 1 for deterministic models, else
    /// what the [test](crate::majority) may use.
    pub votes: usize,
}

/// What an attack may cost on one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttackCost {
    /// Its name.
    pub name: &'static str,
    /// Forward and backward passes, at most; those that confirm counterexamples apart.
    pub most_passes: u64,
    /// Whether they are passes of gradient graphs.
    pub uses_gradients: bool,
}

/// Passes of an attack on one image, at most.
pub(super) fn most_passes(attack: &dyn Attack) -> u64 {
    attack.units() as u64 * attack.most_passes()
}

/// Whether an accuracy-versus-epsilon curve is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// Only the radius of the threat model.
    No,
    /// From minimum-norm searches, warm-started at the counterexamples that were found.
    Yes,
}

/// What surrounds an evaluation while it runs.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Is told what happens.
    pub observer: &'a dyn Observer,
    /// Keeps what is finished.
    pub archive: &'a Archive,
    /// Measures margins in float64, where somebody can.
    pub float64: Option<&'a dyn Float64Margins>,
    /// Set by whoever wants the evaluation to end in order, soon.
    pub interrupted: &'a AtomicBool,
}

/// Nobody interrupts.
static NEVER: AtomicBool = AtomicBool::new(false);

impl<'a> Control<'a> {
    /// Runs to the end.
    pub fn new(observer: &'a dyn Observer, archive: &'a Archive) -> Self {
        Self { observer, archive, float64: None, interrupted: &NEVER }
    }
}

impl Plan {
    /// Everything that the attacks will ask of a model with such images and so many classes: which graphs it needs.
    ///
    /// # Errors
    /// When the plan cannot be carried out.
    pub fn queries(&self, image: ImageShape, classes: usize) -> Result<BTreeSet<Query>, PlanError> {
        let ball = Ball::new(&self.threat_model)?;
        let context =
            AttackContext { ball, seed: self.seed, image, classes, distances: DistanceGoal::WithinBall };
        let attacks = self.build(&context)?;
        let mut queries: BTreeSet<Query> = attacks.iter().flat_map(|attack| attack.queries()).collect();
        if self.curve == Curve::Yes {
            queries.extend([Query::Forward, Query::Gradient(Loss::Margin)]);
        }
        Ok(queries)
    }

    /// Everything that the attacks will ask of a surrogate with such images and so many classes.
    ///
    /// # Errors
    /// When the plan cannot be carried out.
    pub fn surrogate_queries(&self, image: ImageShape, classes: usize) -> Result<BTreeSet<Query>, PlanError> {
        let ball = Ball::new(&self.threat_model)?;
        let context =
            AttackContext { ball, seed: self.seed, image, classes, distances: DistanceGoal::WithinBall };
        Ok(self.build(&context)?.iter().flat_map(|attack| attack.surrogate_queries()).collect())
    }

    /// What each attack may cost on one image that it does not break, of a model with such images and so many classes.
    ///
    /// # Errors
    /// When the plan cannot be carried out.
    pub fn costs(&self, image: ImageShape, classes: usize) -> Result<Vec<AttackCost>, PlanError> {
        let ball = Ball::new(&self.threat_model)?;
        let context =
            AttackContext { ball, seed: self.seed, image, classes, distances: DistanceGoal::WithinBall };
        let cost = |(spec, attack): (&AttackSpec, Box<dyn Attack>)| AttackCost {
            name: spec.name(),
            most_passes: most_passes(attack.as_ref()),
            uses_gradients: attack.queries().iter().any(|query| query.is_for_gradient()),
        };
        Ok(self.attacks.iter().zip(self.build(&context)?).map(cost).collect())
    }

    /// What the journal of an evaluation of these images by this plan can say, of a model with so many classes.
    ///
    /// # Errors
    /// When the plan cannot be carried out.
    pub fn possible_records(
        &self,
        set: &EvaluationSet,
        image: ImageShape,
        classes: usize,
        keeps_pixels: bool,
    ) -> Result<PossibleRecords, PlanError> {
        let ball = Ball::new(&self.threat_model)?;
        let context =
            AttackContext { ball, seed: self.seed, image, classes, distances: DistanceGoal::WithinBall };
        let mut units: Vec<usize> = self.build(&context)?.iter().map(|attack| attack.units()).collect();
        units.extend((self.curve == Curve::Yes).then_some(1));
        Ok(PossibleRecords {
            labels: set.labels().to_vec(),
            classes,
            units,
            radius: ball.radius(),
            keeps_pixels,
        })
    }

    /// The attacks of the plan, ready to run.
    pub(super) fn build(&self, context: &AttackContext) -> Result<Vec<Box<dyn Attack>>, PlanError> {
        if self.workers == 0 {
            return Err(PlanError::NoWorkers);
        }
        let names: Vec<&str> = self.attacks.iter().map(AttackSpec::name).collect();
        for (index, spec) in self.attacks.iter().enumerate() {
            if names[..index].contains(&spec.name()) {
                return Err(PlanError::Duplicate(spec.name()));
            }
        }
        self.expect_features_known()?;
        self.attacks.iter().map(|spec| Ok(attack(spec, context)?)).collect()
    }

    /// The tensor that the model is cut open at, where an attack of the plan moves features.
    pub fn feature(&self) -> Option<String> {
        self.attacks.iter().find_map(|spec| spec.feature().flatten())
    }

    /// Attacks on features name their tensor, all of them the same, and the images that they need.
    fn expect_features_known(&self) -> Result<(), PlanError> {
        for spec in &self.attacks {
            match (spec.feature(), self.feature()) {
                (Some(None), _) => return Err(PlanError::NoFeature(spec.name())),
                (Some(Some(own)), Some(first)) if own != first => {
                    return Err(PlanError::TwoFeatures { attack: spec.name(), own, first });
                }
                _ => {}
            }
            if let AttackSpec::PgdMi(PgdMiSpec { reference_images, .. }) = spec
                && reference_images.is_empty()
            {
                return Err(PlanError::NoReferences(spec.name()));
            }
        }
        Ok(())
    }

    /// Most wrong classes that an attack of the plan must know, of a model with so many.
    pub(super) fn most_targets(&self, classes: usize) -> usize {
        let targets = self.attacks.iter().map(AttackSpec::ranked_classes);
        targets.max().unwrap_or(0).min(classes - 1)
    }
}
