//! PGD along relaxed gradients, against ReLUs that are off: for networks where most units pass no gradient.
//!
//! At an image where most ReLUs are off, the gradient says nothing about the units behind them, though a step would turn
//! some on. The relaxed gradient replaces each ReLU by its secant over a box around the iterate
//! ([`Loss::RelaxedMargin`]): `u/(u − l)` for units that may be on or off there, where `[l, u]` bounds their input by
//! interval arithmetic. That is the slope of the triangle relaxation (Ehlers, ATVA 2017), whose gradient with the
//! bounds of the whole ball is the first step of LP-based falsifiers. Here the box shrinks: `r = ε·(1 − k/S)²` at step `k`
//! of the `S` relaxed ones, so that the relaxation goes over into the network itself, as in a continuation method. The
//! remaining steps go on from the best point along the gradient of the margin.
//!
//! Steps are those of PGD; their length falls linearly from `initial_step`·ε to zero. For L2 and L1 the box has the half
//! side ε too, and is larger than the ball. The verdict is the original model's, as ever.

use mimir_bundle::attack::RelaxedPgdSpec;

use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step, go_half_way};
use crate::ball::{Ball, CUSTOMARY_DENSITY, GradientStep, Scratch};
use crate::model::{LabelAndTarget, Loss};
use crate::random::{Key, Stream};

/// Its name.
const NAME: &str = "relaxed-pgd";

/// Largest half side of the box: pixels are in `[0, 1]`.
const LARGEST_RADIUS: f32 = 1.0;

/// Relaxed PGD with its ball and seed. One unit is one run for one target and restart.
#[derive(Debug)]
pub struct RelaxedPgd {
    spec: RelaxedPgdSpec,
    ball: Ball,
    targets: usize,
    seed: u64,
}

impl RelaxedPgd {
    /// Within the ball of that evaluation.
    pub fn new(spec: &RelaxedPgdSpec, context: &AttackContext) -> Self {
        let targets = spec.targets.min(context.classes - 1);
        Self { spec: spec.clone(), ball: context.ball, targets, seed: context.seed }
    }

    /// Steps that follow relaxed gradients.
    fn relaxed_steps(&self) -> usize {
        (self.spec.relaxed_share * self.spec.steps as f64).round() as usize
    }

    /// Half the side of the box at a step; none where the gradient is followed.
    fn radius(&self, step: usize) -> Option<f32> {
        let relaxed = self.relaxed_steps();
        let left = (step < relaxed).then(|| 1.0 - step as f32 / relaxed as f32)?;
        Some((self.ball.epsilon() * left * left).min(LARGEST_RADIUS))
    }

    fn step_size(&self, step: usize) -> f32 {
        let left = 1.0 - step as f32 / self.spec.steps as f32;
        self.spec.initial_step as f32 * self.ball.epsilon() * left
    }
}

impl Attack for RelaxedPgd {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Gradient(Loss::RelaxedMargin), Query::Gradient(Loss::Margin)]
    }

    fn units(&self) -> usize {
        self.targets * self.spec.restarts
    }

    fn most_passes(&self) -> u64 {
        2 * (self.spec.steps as u64 + 1)
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let (target, restart) = (clean.targets[unit / self.spec.restarts], unit % self.spec.restarts);
        let key = Key { seed: self.seed, image: clean.image, attack: NAME, target: Some(target), restart };
        let mut point = vec![0.0; clean.pixels.len()];
        self.ball.random_point(&clean.pixels, &mut Stream::new(&key), &mut point);
        Box::new(RelaxedPgdSearch {
            attack: self,
            clean: clean.clone(),
            pair: LabelAndTarget { label: clean.label, target: Some(target) },
            best: point.clone(),
            best_loss: f32::NEG_INFINITY,
            next: point.clone(),
            point,
            taken: 0,
            scratch: Scratch::default(),
        })
    }
}

/// Relaxed PGD on one image.
struct RelaxedPgdSearch<'a> {
    attack: &'a RelaxedPgd,
    clean: CleanImage,
    pair: LabelAndTarget,
    /// The iterate that the model is asked about.
    point: Vec<f32>,
    /// Room for the one after it.
    next: Vec<f32>,
    /// The iterate of largest margin, and that margin.
    best: Vec<f32>,
    best_loss: f32,
    /// Steps taken.
    taken: usize,
    scratch: Scratch,
}

impl Search for RelaxedPgdSearch<'_> {
    fn query(&self) -> Query {
        Query::Gradient(match self.attack.radius(self.taken) {
            Some(_) => Loss::RelaxedMargin,
            None => Loss::Margin,
        })
    }

    fn label_and_target(&self) -> LabelAndTarget {
        self.pair
    }

    fn radius(&self) -> f32 {
        self.attack.radius(self.taken).unwrap_or_default()
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(&self.point);
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        if answer.loss > self.best_loss {
            self.best_loss = answer.loss;
            self.best.copy_from_slice(&self.point);
        }
        if self.taken == self.attack.spec.steps {
            return Step::Done;
        }
        let step = GradientStep {
            centre: &self.clean.pixels,
            point: &self.point,
            gradient: answer.gradient,
            step_size: self.attack.step_size(self.taken),
            density: CUSTOMARY_DENSITY,
        };
        self.attack.ball.gradient_step(step, &mut self.scratch, &mut self.next);
        std::mem::swap(&mut self.point, &mut self.next);
        self.taken += 1;
        if self.taken == self.attack.relaxed_steps() {
            self.point.copy_from_slice(&self.best);
        }
        Step::Continue
    }

    fn step_back(&mut self) -> Step {
        if self.taken == self.attack.spec.steps {
            return Step::Done;
        }
        go_half_way(&mut self.point, &self.clean.pixels);
        self.taken += 1;
        Step::Continue
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::Norm;

    use super::*;
    use crate::attack::testing::context;

    /// What one unit asked, the radii, and its proposals, under gradients of one.
    fn run(spec: &RelaxedPgdSpec, unit: usize, losses: &[f32]) -> (Vec<Query>, Vec<f32>, Vec<Vec<f32>>) {
        let attack = RelaxedPgd::new(spec, &context(Norm::Linf, 0.2, 2, 3));
        let clean = CleanImage { image: 0, pixels: vec![0.5; 2].into(), label: 0, targets: [2, 1].into() };
        let mut search = attack.search(&clean, unit);
        let (mut queries, mut radii, mut proposals) = (vec![], vec![], vec![]);
        loop {
            let mut proposal = vec![f32::NAN; 2];
            search.propose(&mut proposal);
            queries.push(search.query());
            radii.push(search.radius());
            let loss = losses.get(proposals.len()).copied().unwrap_or_default();
            proposals.push(proposal);
            if search.observe(&Answer { logits: &[], loss, gradient: &[1.0, -1.0] }) == Step::Done {
                return (queries, radii, proposals);
            }
        }
    }

    #[test]
    fn the_box_shrinks_and_the_gradient_follows() {
        let spec = RelaxedPgdSpec { steps: 4, relaxed_share: 0.5, ..RelaxedPgdSpec::default() };
        let (queries, radii, _) = run(&spec, 0, &[]);
        let (relaxed, exact) = (Query::Gradient(Loss::RelaxedMargin), Query::Gradient(Loss::Margin));
        assert_eq!(queries, [relaxed, relaxed, exact, exact, exact]);
        for (radius, want) in radii.iter().zip([0.2, 0.05, 0.0, 0.0, 0.0]) {
            assert!((radius - want).abs() < 1e-7, "{radii:?}");
        }
    }

    #[test]
    fn the_gradient_starts_from_the_best_relaxed_point() {
        let spec = RelaxedPgdSpec { steps: 4, relaxed_share: 0.5, ..RelaxedPgdSpec::default() };
        let (_, _, proposals) = run(&spec, 0, &[3.0, 1.0]);
        assert_ne!(proposals[0], proposals[1]);
        assert_eq!(proposals[2], proposals[0]);
        // A step of 0.2, stopped at the ball.
        let want = [(proposals[0][0] + 0.2).min(0.7), (proposals[0][1] - 0.2).max(0.3)];
        for (found, want) in proposals[3].iter().zip(want) {
            assert!((found - want).abs() < 1e-6, "{proposals:?}");
        }
    }

    #[test]
    fn units_are_targets_then_restarts() {
        let spec = RelaxedPgdSpec { restarts: 2, ..RelaxedPgdSpec::default() };
        let context = context(Norm::Linf, 0.2, 2, 3);
        let attack = RelaxedPgd::new(&spec, &context);
        assert_eq!(attack.units(), 4, "two wrong classes");
        let clean = CleanImage { image: 0, pixels: vec![0.5; 2].into(), label: 0, targets: [2, 1].into() };
        let targets = [0, 1, 2, 3].map(|unit| attack.search(&clean, unit).label_and_target().target);
        assert_eq!(targets, [Some(2), Some(2), Some(1), Some(1)]);
        let starts = [0, 1, 2].map(|unit| run(&spec, unit, &[]).2[0].clone());
        assert!(starts[0] != starts[1] && starts[0] != starts[2], "{starts:?}");
    }
}
