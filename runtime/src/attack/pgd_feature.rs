//! PGD-fea (Xu et al., "MIMIR: Masked image modeling for mutual information-based adversarial robustness", equation 19):
//! projected gradient ascent on the distance of the features from those of the clean image, `‖f(x') − f(x)‖₂`. No label is
//! used: an image that it breaks was broken by the way.
//!
//! The start is random, because the distance has no derivative at the clean image. The authors' code takes one norm over the whole
//! batch; the direction of each image's gradient is the same, and that is all that a step uses. There the last iterate counts, here
//! every one does, as for `pgd`.

use mimir_bundle::attack::PgdFeatureSpec;

use super::AttackContext;
use super::feature_attack::FeatureAttack;
use super::feature_distance::FeatureDistance;
use super::feature_search::{FeaturePoint, Objective, Slopes};
use super::pgd_ascent::PgdAscent;

/// PGD on features, within the ball of that evaluation.
pub(super) fn pgd_feature(spec: &PgdFeatureSpec, context: &AttackContext) -> FeatureAttack {
    let (ball, PgdFeatureSpec { steps, step_size, restarts, .. }) = (context.ball, spec.clone());
    FeatureAttack::new("pgd-feature", [steps, restarts], context.seed, move |clean, noise| {
        (Box::new(Distance::default()), Box::new(PgdAscent::new(ball, clean, steps, step_size, noise)))
    })
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
