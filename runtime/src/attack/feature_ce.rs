//! Auto-PGD on the cross entropy and a distance of features: `CE(z(x'), y) + w·‖f(x') − f(x)‖₂ / ‖f(x)‖₂`.
//!
//! The distance alone (`pgd-feature`) moves features wherever that is easiest, and seldom across a decision boundary; the cross
//! entropy alone sees only what the head reads. Together they are a surrogate in the sense of adaptive attacks (Tramèr et al.,
//! NeurIPS 2020): it goes against a defence that holds features still, and keeps to what counts as success. The distance is
//! relative, so that one weight suits tensors of any scale. The ascent is that of `apgd-ce`, with its numbers.

use mimir_bundle::attack::{ApgdSpec, FeatureCeSpec};

use super::apgd::ApgdAscent;
use super::feature_attack::FeatureAttack;
use super::feature_distance::FeatureDistance;
use super::feature_search::{Ascent, FeaturePoint, Objective, Slopes};
use super::{Answer, AttackContext, Step};
use crate::loss::at_logits;
use crate::model::{LabelAndTarget, Loss};

/// The attack within the ball of that evaluation.
pub(super) fn feature_ce(spec: &FeatureCeSpec, context: &AttackContext) -> FeatureAttack {
    let (ball, FeatureCeSpec { steps, restarts, distance_weight, .. }) = (context.ball, spec.clone());
    FeatureAttack::new("feature-ce", [steps, restarts], context.seed, move |clean, mut noise| {
        let mut start = vec![0.0; clean.pixels.len()];
        ball.random_start(&clean.pixels, &mut noise, &mut start);
        let distance = FeatureDistance::default();
        let objective = CrossEntropyAndDistance { label: clean.label, weight: distance_weight, distance };
        let apgd = ApgdSpec { steps, ..ApgdSpec::default() };
        (Box::new(objective), Box::new(ApgdAscent::new(apgd, ball, clean.pixels.clone(), start)))
    })
}

/// The loss, for one image.
struct CrossEntropyAndDistance {
    label: usize,
    weight: f64,
    distance: FeatureDistance,
}

impl Objective for CrossEntropyAndDistance {
    fn needs_clean_features(&self) -> bool {
        true
    }

    fn begin(&mut self, features: &[f32]) {
        self.distance.begin(features);
    }

    fn at(&mut self, point: &FeaturePoint<'_>, slopes: &mut Slopes) -> f32 {
        let pair = LabelAndTarget { label: self.label, target: None };
        let entropy = at_logits(Loss::CrossEntropy, point.logits, pair, &mut slopes.logits);
        let length = self.distance.clean_length();
        let weight = if length > 0.0 { self.weight / length } else { self.weight };
        let distance = self.distance.at(point.features, weight, &mut slopes.features);
        (f64::from(entropy) + weight * distance) as f32
    }
}

impl Ascent for ApgdAscent {
    fn point(&self) -> &[f32] {
        self.point()
    }

    fn is_last(&self) -> bool {
        self.is_last()
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        self.observe(answer)
    }

    fn step_back(&mut self) -> Step {
        self.step_back()
    }
}
