//! PGD-fea (Xu et al., "MIMIR: Masked image modeling for mutual information-based adversarial robustness", equation 19):
//! projected gradient ascent on the distance of the features from those of the clean image, `‖f(x') − f(x)‖₂`. No label is
//! used: an image that it breaks was broken by the way.
//!
//! The start is random, because the distance has no derivative at the clean image. The authors' code takes one norm over the whole
//! batch; the direction of each image's gradient is the same, and that is all that a step uses. There the last iterate counts, here
//! every one does, as for `pgd`.

use mimir_bundle::attack::PgdFeatureSpec;

use super::feature_distance::FeatureDistance;
use super::feature_search::{FeaturePoint, FeatureSearch, Objective, Slopes, most_passes};
use super::pgd_ascent::PgdAscent;
use super::{Attack, AttackContext, CleanImage, Query, Search};
use crate::ball::Ball;
use crate::random::{Key, Stream};

/// Its name.
const NAME: &str = "pgd-feature";

/// PGD on features with its ball and seed. One unit is one restart.
#[derive(Debug)]
pub struct PgdFeature {
    spec: PgdFeatureSpec,
    ball: Ball,
    seed: u64,
}

impl PgdFeature {
    /// Within the ball of that evaluation.
    pub fn new(spec: &PgdFeatureSpec, context: &AttackContext) -> Self {
        Self { spec: spec.clone(), ball: context.ball, seed: context.seed }
    }
}

impl Attack for PgdFeature {
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
        let PgdFeatureSpec { steps, step_size, .. } = self.spec;
        let ascent = PgdAscent::new(self.ball, clean, steps, step_size, Stream::new(&key));
        Box::new(FeatureSearch::new(clean, Box::new(Distance::default()), Box::new(ascent)))
    }
}

/// The distance alone.
#[derive(Debug, Default)]
struct Distance(FeatureDistance);

impl Objective for Distance {
    fn needs_clean_features(&self) -> bool {
        true
    }

    fn begin(&mut self, features: &[f32]) {
        self.0.begin(features);
    }

    fn at(&mut self, point: &FeaturePoint<'_>, slopes: &mut Slopes) -> f32 {
        self.0.at(point.features, 1.0, &mut slopes.features) as f32
    }
}
