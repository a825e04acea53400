//! Attacks: state machines that propose iterates for one image and learn from the model's answers.
//!
//! An [`Attack`] holds the parameters. Its work on one image falls into *units*, which are independent of each other:
//! one for each target class and restart. [`Attack::search`] makes the [`Search`] of one unit. The
//! [scheduler](crate::scheduler) owns the models: it gathers one proposal from each of many searches into a batch, asks
//! the model once, and hands each search its own row of the answer. A search therefore knows nothing of batches,
//! sessions or other images, and its outcome cannot depend on them. It also does not decide that an image is broken:
//! the scheduler looks at the logits of every proposal, asks the original model where they look broken, and drops all
//! searches of the image when the original model agrees.
//!
//! `docs/adding-an-attack.md` has the steps to a new one; [`pgd`] is the file to copy.

pub mod apgd;
#[cfg(test)]
mod ascent_tests;
#[cfg(test)]
mod budget_tests;
mod build;
mod closest_adversarial;
mod context;
pub mod cw;
pub mod ddn;
mod expectation;
pub mod fab;
mod feature_attack;
pub mod feature_ce;
mod feature_distance;
mod feature_search;
pub mod fgsm;
pub mod fmn;
mod gradient_sum;
mod half_cosine;
pub mod hop_skip_jump;
pub mod malt;
pub mod noise;
pub mod pgd;
mod pgd_ascent;
pub mod pgd_feature;
pub mod pgd_mi;
mod preset;
pub mod relaxed_pgd;
#[cfg(test)]
mod scale_tests;
pub mod square;
#[cfg(test)]
pub(crate) mod testing;
pub mod transfer;
mod warm_started_fab;

pub use build::attack;
pub use context::{AttackContext, DistanceGoal};
pub use preset::{Preset, UnknownAttack, attacks_named};

pub(crate) use warm_started_fab::{WarmStart, WarmStartedFab};

use std::sync::Arc;

use crate::model::{Cotangents, LabelAndTarget, Loss};

/// What a search asks the model about its next proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// Logits only; [`Answer::loss`] is 0 and [`Answer::gradient`] empty.
    Forward,
    /// Logits, loss and input gradient.
    Gradient(Loss),
    /// Logits, and the values of the tensor that the model is cut open at: [`Search::observe_features`].
    Features,
    /// Logits, and the input gradient of what [`Search::cotangents`] weigh logits and features with; [`Answer::loss`] is 0.
    FeatureGradient,
}

impl Query {
    /// Passes that an answer takes: a forward pass, and for a gradient a backward pass.
    pub fn passes(self) -> u64 {
        match self {
            Self::Forward | Self::Features => 1,
            Self::Gradient(_) | Self::FeatureGradient => 2,
        }
    }

    /// Whether it is for a gradient.
    pub fn is_for_gradient(self) -> bool {
        match self {
            Self::Forward | Self::Features => false,
            Self::Gradient(_) | Self::FeatureGradient => true,
        }
    }

    /// Whether it is about a model that is cut open at a tensor.
    pub fn is_about_features(self) -> bool {
        match self {
            Self::Forward | Self::Gradient(_) => false,
            Self::Features | Self::FeatureGradient => true,
        }
    }
}

/// Which model a search asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedModel {
    /// The one that is attacked.
    Attacked,
    /// [Another one](crate::model::ModelSource::surrogate), whose answers decide nothing but the way.
    Surrogate,
}

/// A clean image to attack. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CleanImage {
    /// Position in the evaluation set.
    pub image: usize,
    /// `C·H·W` clean pixels, in `[0, 1]`.
    pub pixels: Arc<[f32]>,
    /// True class, which the model predicts for the clean image.
    pub label: usize,
    /// Wrong classes by falling logit of the clean image, as many as attacks may target.
    pub targets: Arc<[usize]>,
}

/// What the model said about one proposal. The logits mean a class: -∞ may be among them, NaN and +∞ are not. Loss and
/// gradient are finite.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// `K` logits.
    pub logits: &'a [f32],
    /// The loss that the attack maximises.
    pub loss: f32,
    /// `C·H·W` derivatives of the loss.
    pub gradient: &'a [f32],
}

/// An image of the set as it is, which the loss of another image is computed with.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Position in the evaluation set.
    pub image: usize,
    /// `C·H·W` clean pixels.
    pub pixels: Vec<f32>,
    /// `F` values of the tensor that the model is cut open at.
    pub features: Vec<f32>,
}

/// Whether a search has more to propose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is a next proposal.
    Continue,
    /// The budget is spent.
    Done,
}

/// An attack with its parameters.
pub trait Attack: Sync {
    /// Every query that its searches may make of the attacked model.
    fn queries(&self) -> Vec<Query>;

    /// Every query, for gradients, that its searches may make of the surrogate.
    fn surrogate_queries(&self) -> Vec<Query> {
        Vec::new()
    }

    /// Searches on one image, at least 1. The first one that breaks an image is the one that counts.
    fn units(&self) -> usize;

    /// Forward and backward passes of one unit, at most; those that confirm candidates apart. Says how long a run may
    /// take and how workers share it, and changes no result.
    fn most_passes(&self) -> u64;

    /// Whether it is run on that image, by its position in the evaluation set. The others count as not broken by it.
    fn is_run_on(&self, _image: usize) -> bool {
        true
    }

    /// Images that its losses are computed with, by their positions in the set.
    fn reference_images(&self) -> &[usize] {
        &[]
    }

    /// Takes these images, in that order, before any search.
    fn take_references(&mut self, references: Vec<Reference>) {
        let _ = references;
    }

    /// Whether it maximises the margin because its own loss needs more classes than the model has. A report must say
    /// so.
    fn uses_margin(&self) -> bool {
        false
    }

    /// The search of one unit, below [`Attack::units`], for an adversarial version of one image.
    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_>;
}

/// Moves a point half of the way to another: inside every convex set that holds both.
fn go_half_way(point: &mut [f32], towards: &[f32]) {
    for (value, other) in point.iter_mut().zip(towards) {
        *value = f32::midpoint(*value, *other);
    }
}

/// The state of an attack on one image. The scheduler calls, in turn: `query` and `label_and_target`, `propose`,
/// `observe` or `step_back`.
pub trait Search: Send {
    /// What the next proposal needs.
    fn query(&self) -> Query;

    /// Which model is asked about it. What a surrogate answers cannot break the image.
    fn asked_model(&self) -> AskedModel {
        AskedModel::Attacked
    }

    /// The classes that the loss of the next proposal refers to.
    fn label_and_target(&self) -> LabelAndTarget;

    /// For a relaxed loss: half the side of the box around the next proposal over which activations are replaced by their
    /// secants, in pixels.
    fn radius(&self) -> f32 {
        0.0
    }

    /// For [`Query::FeatureGradient`]: the derivatives of the loss by logits and features.
    fn cotangents(&self) -> Cotangents<'_> {
        Cotangents { logits: &[], features: &[] }
    }

    /// Writes the next proposal: `C·H·W` pixels inside the box. Outside the ball it cannot break the image.
    fn propose(&mut self, out: &mut [f32]);

    /// Whether the proposal may break the image: not so where only a last iterate counts.
    fn counts(&self) -> bool {
        true
    }

    /// Learns the answer to the last proposal.
    fn observe(&mut self, answer: &Answer) -> Step;

    /// Learns the answer to a proposal with [`Query::Features`]: logits without gradient, and the features there.
    fn observe_features(&mut self, answer: &Answer, features: &[f32]) -> Step {
        let _ = features;
        self.observe(answer)
    }

    /// Learns that the last proposal has no answer, because the logits there mean no class: the next proposal must lie
    /// nearer to a point that has one. It counts as one of the budget, so that a search ends wherever it goes.
    fn step_back(&mut self) -> Step;

    /// Of an attack that minimises the distance, after its last step: the closest misclassified point that it saw.
    fn closest(&self) -> Option<&[f32]> {
        None
    }
}
