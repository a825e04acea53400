//! Random points of the ball, without any gradient: what noise alone does to a model. An attack that breaks hardly more
//! than this is not one.

use mimir_bundle::attack::NoiseSpec;

use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step};
use crate::ball::Ball;
use crate::model::LabelAndTarget;
use crate::random::{Key, Stream};

/// The noise baseline with its ball and seed. It has one unit.
#[derive(Debug)]
pub struct Noise {
    samples: usize,
    ball: Ball,
    seed: u64,
}

impl Noise {
    /// Within the ball of that evaluation.
    pub fn new(spec: &NoiseSpec, context: &AttackContext) -> Self {
        Self { samples: spec.samples, ball: context.ball, seed: context.seed }
    }
}

impl Attack for Noise {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Forward]
    }

    fn units(&self) -> usize {
        1
    }

    fn most_passes(&self) -> u64 {
        self.samples as u64
    }

    fn search(&self, clean: &CleanImage, _unit: usize) -> Box<dyn Search + '_> {
        let key = Key { seed: self.seed, image: clean.image, attack: "noise", target: None, restart: 0 };
        let noise = Stream::new(&key);
        Box::new(NoiseSearch { ball: self.ball, clean: clean.clone(), noise, left: self.samples })
    }
}

/// Noise on one image.
struct NoiseSearch {
    ball: Ball,
    clean: CleanImage,
    noise: Stream,
    /// Samples that have not been answered.
    left: usize,
}

impl Search for NoiseSearch {
    fn query(&self) -> Query {
        Query::Forward
    }

    fn label_and_target(&self) -> LabelAndTarget {
        LabelAndTarget { label: self.clean.label, target: None }
    }

    fn propose(&mut self, out: &mut [f32]) {
        self.ball.random_point(&self.clean.pixels, &mut self.noise, out);
    }

    fn observe(&mut self, _answer: &Answer) -> Step {
        self.step_back()
    }

    /// The next sample does not depend on this one.
    fn step_back(&mut self) -> Step {
        self.left -= 1;
        if self.left == 0 { Step::Done } else { Step::Continue }
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::Norm;

    use super::*;
    use crate::attack::testing::context;

    #[test]
    fn so_many_different_points_of_the_ball() {
        // A small ball of L1 has its random points at few corners.
        for (norm, epsilon) in [(Norm::Linf, 0.2), (Norm::L2, 0.2), (Norm::L1, 1.5)] {
            let context = context(norm, epsilon, 4, 2);
            let noise = Noise::new(&NoiseSpec { samples: 5 }, &context);
            let clean =
                CleanImage { image: 3, pixels: [0.0, 0.5, 0.9, 1.0].into(), label: 0, targets: [].into() };
            let (mut search, mut seen) = (noise.search(&clean, 0), Vec::new());
            loop {
                let mut point = [f32::NAN; 4];
                search.propose(&mut point);
                assert!(context.ball.contains(&clean.pixels, &point), "{norm:?}: {point:?}");
                assert!(!seen.contains(&point), "{norm:?}");
                seen.push(point);
                if search.observe(&Answer { logits: &[], loss: 0.0, gradient: &[] }) == Step::Done {
                    break;
                }
            }
            assert_eq!(seen.len(), 5, "{norm:?}");
        }
    }
}
