//! Auto-PGD on the cross entropy and a distance of features: `CE(z(x'), y) + w·‖f(x') − f(x)‖₂ / ‖f(x)‖₂`.
//!
//! The distance alone (`pgd-feature`) moves features wherever that is easiest, and seldom across a decision boundary; the cross
//! entropy alone sees only what the head reads. Together they are a surrogate in the sense of adaptive attacks (Tramèr et al.,
//! NeurIPS 2020): it goes against a defence that holds features still, and keeps to what counts as success. The distance is
//! relative, so that one weight suits tensors of any scale. The ascent is that of `apgd-ce`, with its numbers.

use mimir_bundle::attack::{ApgdSpec, FeatureCeSpec};

use super::apgd::ApgdAscent;
use super::feature_distance::FeatureDistance;
use super::feature_search::{Ascent, FeaturePoint, FeatureSearch, Objective, Slopes, most_passes};
use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step};
use crate::ball::Ball;
use crate::loss::at_logits;
use crate::model::{LabelAndTarget, Loss};
use crate::random::{Key, Stream};

/// Its name.
const NAME: &str = "feature-ce";

/// The attack with its ball and seed. One unit is one restart.
#[derive(Debug)]
pub struct FeatureCe {
    spec: FeatureCeSpec,
    apgd: ApgdSpec,
    ball: Ball,
    seed: u64,
}

impl FeatureCe {
    /// Within the ball of that evaluation.
    pub fn new(spec: &FeatureCeSpec, context: &AttackContext) -> Self {
        let apgd = ApgdSpec { steps: spec.steps, ..ApgdSpec::default() };
        Self { spec: spec.clone(), apgd, ball: context.ball, seed: context.seed }
    }
}

impl Attack for FeatureCe {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Features, Query::FeatureGradient]
    }

    fn units(&self) -> usize {
        self.spec.restarts
    }

    fn most_passes(&self) -> u64 {
        most_passes(self.spec.steps, true)
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let key = Key { seed: self.seed, image: clean.image, attack: NAME, target: None, restart: unit };
        let mut start = vec![0.0; clean.pixels.len()];
        self.ball.random_start(&clean.pixels, &mut Stream::new(&key), &mut start);
        let objective = CrossEntropyAndDistance {
            label: clean.label,
            weight: self.spec.distance_weight,
            distance: FeatureDistance::default(),
        };
        let ascent = ApgdAscent::new(&self.apgd, self.ball, clean.pixels.clone(), start);
        Box::new(FeatureSearch::new(clean, Box::new(objective), Box::new(ascent)))
    }
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

impl Ascent for ApgdAscent<'_> {
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
