//! PGD (Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018): projected gradient
//! ascent on the cross entropy with a fixed step, from a random point of the ball.
//!
//! For L∞ the start is uniform and the step the sign of the gradient. For L2 the start lies on the sphere and the step
//! is the normalised gradient. For L1 the step follows the signs of the largest 1 % of the slopes (Tramèr and Boneh,
//! NeurIPS 2019), from a projected normal start.
//!
//! With a decay factor it is MI-FGSM (Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018) from that start:
//! the step follows the [sum of gradients](GradientSum) in place of the last one.

use mimir_bundle::attack::{PgdPoint, PgdSpec};

use super::expectation::Expectation;
use super::gradient_sum::GradientSum;
use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step, go_half_way};
use crate::ball::{Ball, CUSTOMARY_DENSITY, GradientStep, Scratch};
use crate::model::{LabelAndTarget, Loss};
use crate::random::{Key, Stream};

/// PGD with its ball and seed. One unit is one restart.
#[derive(Debug)]
pub struct Pgd {
    spec: PgdSpec,
    ball: Ball,
    seed: u64,
}

impl Pgd {
    /// Within the ball of that evaluation.
    pub fn new(spec: &PgdSpec, context: &AttackContext) -> Self {
        Self { spec: spec.clone(), ball: context.ball, seed: context.seed }
    }
}

impl Attack for Pgd {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Gradient(Loss::CrossEntropy)]
    }

    fn units(&self) -> usize {
        self.spec.restarts
    }

    fn most_passes(&self) -> u64 {
        2 * ((self.spec.steps + 1) * self.spec.eot) as u64
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let pixels = clean.pixels.len();
        let mut point = vec![0.0; pixels];
        let key = Key { seed: self.seed, image: clean.image, attack: "pgd", target: None, restart: unit };
        self.ball.random_point(&clean.pixels, &mut Stream::new(&key), &mut point);
        Box::new(PgdSearch {
            attack: self,
            clean: clean.clone(),
            point,
            next: vec![0.0; pixels],
            taken: 0,
            scratch: Scratch::default(),
            expectation: Expectation::new(self.spec.eot, pixels),
            sum: GradientSum::new(self.spec.momentum_decay, pixels),
        })
    }
}

/// PGD on one image.
struct PgdSearch<'a> {
    attack: &'a Pgd,
    clean: CleanImage,
    /// The iterate that the model is asked about.
    point: Vec<f32>,
    /// Room for the one after it.
    next: Vec<f32>,
    /// Steps taken.
    taken: usize,
    scratch: Scratch,
    expectation: Expectation,
    sum: GradientSum,
}

impl Search for PgdSearch<'_> {
    fn query(&self) -> Query {
        Query::Gradient(Loss::CrossEntropy)
    }

    fn label_and_target(&self) -> LabelAndTarget {
        LabelAndTarget { label: self.clean.label, target: None }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(&self.point);
    }

    fn counts(&self) -> bool {
        match self.attack.spec.point {
            PgdPoint::Best => true,
            PgdPoint::Last => self.taken == self.attack.spec.steps,
        }
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let Some(answer) = self.expectation.gather(answer) else { return Step::Continue };
        let Pgd { spec, ball, .. } = self.attack;
        if self.taken == spec.steps {
            return Step::Done;
        }
        let step = GradientStep {
            centre: &self.clean.pixels,
            point: &self.point,
            gradient: self.sum.add(answer.gradient),
            step_size: spec.step_size as f32 * ball.epsilon(),
            density: CUSTOMARY_DENSITY,
        };
        ball.gradient_step(step, &mut self.scratch, &mut self.next);
        std::mem::swap(&mut self.point, &mut self.next);
        self.taken += 1;
        Step::Continue
    }

    fn step_back(&mut self) -> Step {
        self.expectation.forget();
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

    /// Proposals of one unit under a constant gradient, and which of them count.
    fn run(spec: &PgdSpec, norm: Norm, unit: usize, gradient: &[f32]) -> (Vec<Vec<f32>>, Vec<bool>) {
        let pgd = Pgd::new(spec, &context(norm, 0.2, gradient.len(), 2));
        let clean =
            CleanImage { image: 0, pixels: vec![0.5; gradient.len()].into(), label: 0, targets: [].into() };
        let (mut search, mut proposals, mut counts) = (pgd.search(&clean, unit), vec![], vec![]);
        loop {
            let mut proposal = vec![f32::NAN; gradient.len()];
            search.propose(&mut proposal);
            proposals.push(proposal);
            counts.push(search.counts());
            if search.observe(&Answer { logits: &[], loss: 0.0, gradient }) == Step::Done {
                return (proposals, counts);
            }
        }
    }

    #[test]
    fn every_step_has_the_same_length_and_stops_at_the_ball() {
        let spec = PgdSpec { steps: 9, ..PgdSpec::default() };
        let (proposals, _) = run(&spec, Norm::Linf, 0, &[1.0, -2.0, 0.0]);
        assert_eq!(proposals.len(), 10);
        for pair in proposals.windows(2) {
            let want = [(pair[0][0] + 0.05).min(0.7), (pair[0][1] - 0.05).max(0.3), pair[0][2]];
            for (got, want) in pair[1].iter().zip(want) {
                assert!((got - want).abs() < 1e-6, "{pair:?}");
            }
        }
        assert_eq!(proposals[9][..2], [0.7, 0.3]);
    }

    /// By hand, μ = 1/2 and gradients over the mean size of their entries: (1, -1), then (-1/2, 3/2) + (1/2, -1/2) = (0, 1).
    #[test]
    fn with_momentum_a_step_follows_the_gradients_before_it_too() {
        let spec = PgdSpec { steps: 2, momentum_decay: 0.5, step_size: 0.01, ..PgdSpec::default() };
        let context = context(Norm::Linf, 0.2, 2, 2);
        let pgd = Pgd::new(&spec, &context);
        let clean = CleanImage { image: 0, pixels: vec![0.5; 2].into(), label: 0, targets: [].into() };
        let (mut search, mut points) = (pgd.search(&clean, 0), [[f32::NAN; 2]; 3]);
        for (point, gradient) in points.iter_mut().zip([[2e-30, -2e-30], [-1e9, 3e9], [1.0, 1.0]]) {
            search.propose(point);
            search.observe(&Answer { logits: &[], loss: 0.0, gradient: &gradient });
        }
        let moves = |from: usize| [0, 1].map(|pixel| points[from + 1][pixel] - points[from][pixel]);
        let near = |found: [f32; 2], wanted: [f32; 2]| {
            assert!(
                found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6),
                "{points:?}"
            );
        };
        near(moves(0), [0.002, -0.002]);
        near(moves(1), [0.0, 0.002]);
    }

    #[test]
    fn restarts_begin_at_different_points_of_the_ball() {
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let spec = PgdSpec { restarts: 2, ..PgdSpec::default() };
            let [first, second] = [0, 1].map(|unit| run(&spec, norm, unit, &[1.0; 4]).0[0].clone());
            assert_ne!(first, second, "{norm:?}");
            let ball = context(norm, 0.2, 4, 2).ball;
            assert!(ball.contains(&[0.5; 4], &first) && ball.contains(&[0.5; 4], &second), "{norm:?}");
        }
    }

    #[test]
    fn the_last_point_alone_counts_where_that_is_asked_for() {
        let spec = |point, eot| PgdSpec { steps: 2, point, eot, ..PgdSpec::default() };
        let counts = |spec: &PgdSpec| run(spec, Norm::L2, 0, &[1.0; 4]).1;
        assert_eq!(counts(&spec(PgdPoint::Best, 1)), [true; 3]);
        assert_eq!(counts(&spec(PgdPoint::Last, 1)), [false, false, true]);
        assert_eq!(counts(&spec(PgdPoint::Last, 2)), [false, false, false, false, true, true]);
    }
}
