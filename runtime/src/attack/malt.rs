//! MALT (Melamed, Yehudai and Vardi, "MALT powers up adversarial attacks", NeurIPS 2024): targeted APGD that chooses its
//! targets by slopes, not by logits.
//!
//! Near the image a network is almost linear at the scale of ε, so that the boundary to class `t` is about
//! `(z_y - z_t) / ‖∇(z_y - z_t)‖` away. Of the classes of highest logit, one gradient each measures that distance; APGD on the
//! targeted difference of logits ratio runs towards the nearest ones, nearest first.
//!
//! The norm of the gradient is the dual of the threat model's: L1 for L∞, as in the paper, L2 for L2, L∞ for L1. All targets
//! of one restart are one search: their order is known only after the gradients, which are asked for once.

use mimir_bundle::attack::MaltSpec;

use super::apgd::{Apgd, ApgdSearch};
use super::expectation::Expectation;
use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step};
use crate::ball::Ball;
use crate::model::{LabelAndTarget, Loss};

/// MALT with the attack that it directs. One unit is one restart.
#[derive(Debug)]
pub struct Malt {
    apgd: Apgd,
    ball: Ball,
    candidates: usize,
    restarts: usize,
    /// Gradients averaged at each point.
    eot: usize,
}

impl Malt {
    /// Within the ball of that evaluation.
    pub fn new(spec: &MaltSpec, context: &AttackContext) -> Self {
        let candidates = spec.candidates.min(context.classes - 1);
        Self {
            apgd: Apgd::malt(spec, context),
            ball: context.ball,
            candidates,
            restarts: spec.apgd.restarts,
            eot: spec.apgd.eot,
        }
    }

    /// Targets of one search.
    fn targets(&self) -> usize {
        self.apgd.targets().min(self.candidates)
    }
}

impl Attack for Malt {
    fn queries(&self) -> Vec<Query> {
        let mut queries = vec![Query::Gradient(Loss::Margin)];
        queries
            .extend(self.apgd.queries().into_iter().filter(|query| *query != Query::Gradient(Loss::Margin)));
        queries
    }

    fn units(&self) -> usize {
        self.restarts
    }

    fn most_passes(&self) -> u64 {
        2 * (self.candidates * self.eot) as u64 + self.targets() as u64 * self.apgd.most_passes()
    }

    fn uses_margin(&self) -> bool {
        self.apgd.uses_margin()
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let candidates = clean.targets[..self.candidates.min(clean.targets.len())].iter();
        Box::new(MaltSearch {
            attack: self,
            clean: clean.clone(),
            restart: unit,
            distances: Vec::with_capacity(self.candidates),
            left: candidates.rev().copied().collect(),
            expectation: Expectation::new(self.eot, clean.pixels.len()),
            run: None,
        })
    }
}

/// MALT on one image.
struct MaltSearch<'a> {
    attack: &'a Malt,
    clean: CleanImage,
    restart: usize,
    /// How far the boundary to a class is by the slopes at the image, for those that are measured.
    distances: Vec<(f64, usize)>,
    /// Before the first run the candidates that are not measured, then the targets that have not had their run; the next one
    /// is the last.
    left: Vec<usize>,
    /// Of the candidate that is measured.
    expectation: Expectation,
    /// The run towards the present target; none while candidates are measured.
    run: Option<ApgdSearch<'a>>,
}

impl Search for MaltSearch<'_> {
    fn query(&self) -> Query {
        self.run.as_ref().map_or(Query::Gradient(Loss::Margin), Search::query)
    }

    fn label_and_target(&self) -> LabelAndTarget {
        match &self.run {
            Some(run) => run.label_and_target(),
            None => LabelAndTarget { label: self.clean.label, target: self.left.last().copied() },
        }
    }

    fn propose(&mut self, out: &mut [f32]) {
        match &mut self.run {
            Some(run) => run.propose(out),
            None => out.copy_from_slice(&self.clean.pixels),
        }
    }

    /// The clean image does not.
    fn counts(&self) -> bool {
        self.run.as_ref().is_some_and(Search::counts)
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        match &mut self.run {
            Some(run) => match run.observe(answer) {
                Step::Continue => Step::Continue,
                Step::Done => self.next_run(),
            },
            None => {
                let Some(answer) = self.expectation.gather(answer) else { return Step::Continue };
                let slope = self.attack.ball.linear_function(answer.gradient).dual_norm();
                let distance = f64::from(-answer.loss) / slope;
                self.measured(distance)
            }
        }
    }

    fn step_back(&mut self) -> Step {
        match &mut self.run {
            Some(run) => match run.step_back() {
                Step::Continue => Step::Continue,
                Step::Done => self.next_run(),
            },
            // Nothing is known of this class.
            None => {
                self.expectation.forget();
                self.measured(f64::INFINITY)
            }
        }
    }
}

impl MaltSearch<'_> {
    /// Takes in the distance to a candidate; after the last of them the runs begin.
    fn measured(&mut self, distance: f64) -> Step {
        if let Some(candidate) = self.left.pop() {
            // A gradient of zero says nothing either.
            self.distances.push((if distance.is_nan() { f64::INFINITY } else { distance }, candidate));
        }
        if !self.left.is_empty() {
            return Step::Continue;
        }
        // Equal ones stay in the order of their logits.
        self.distances.sort_by(|left, right| left.0.total_cmp(&right.0));
        let nearest = self.distances.iter().take(self.attack.targets());
        self.left = nearest.rev().map(|(_, class)| *class).collect();
        self.next_run()
    }

    fn next_run(&mut self) -> Step {
        let Some(target) = self.left.pop() else { return Step::Done };
        let pair = LabelAndTarget { label: self.clean.label, target: Some(target) };
        self.run = Some(self.attack.apgd.run(&self.clean, pair, self.restart));
        Step::Continue
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::attack::{ApgdSpec, TargetedApgdSpec};
    use mimir_bundle::{ImageShape, Norm};
    use ndarray::{Array2, array, s};

    use super::*;
    use crate::attack::testing::{clean_image, context, run};
    use crate::testing::{attack_context, linear_around_grey};

    fn image() -> CleanImage {
        CleanImage { image: 0, pixels: [0.5, 0.5].into(), label: 0, targets: [3, 1, 2].into() }
    }

    fn spec(candidates: usize, targets: usize) -> MaltSpec {
        MaltSpec { candidates, targets, apgd: ApgdSpec { steps: 1, ..ApgdSpec::default() } }
    }

    /// The classes that a search asks about, with the loss, under these margins and gradients of the candidates.
    fn asked(spec: &MaltSpec, norm: Norm, answers: &[(f32, [f32; 2])]) -> Vec<(Loss, usize, bool)> {
        let attack = Malt::new(spec, &context(norm, 0.1, 2, 4));
        let clean = image();
        let mut search = attack.search(&clean, 0);
        let mut asked = Vec::new();
        loop {
            let Query::Gradient(loss) = search.query() else { panic!("a forward pass") };
            asked.push((loss, search.label_and_target().target.unwrap(), search.counts()));
            let (loss, gradient) = answers.get(asked.len() - 1).copied().unwrap_or((-1.0, [1.0, 1.0]));
            if search.observe(&Answer { logits: &[1.0, 0.0, 0.0, 0.0], loss, gradient: &gradient })
                == Step::Done
            {
                return asked;
            }
        }
    }

    /// By hand, margins over dual norms. L∞: 3/4, 2/2, 1/7. L2: 3/√8, 2/2, 1/5. L1: 3/2, 2/2, 1/4.
    #[test]
    fn targets_come_by_their_distance_along_the_slopes() {
        let answers = [(-3.0, [2.0, 2.0]), (-2.0, [0.0, 2.0]), (-1.0, [3.0, 4.0])];
        let order = |norm, spec: &MaltSpec| {
            let asked = asked(spec, norm, &answers);
            let measured = spec.candidates.min(3);
            let wanted = [(Loss::Margin, 3, false), (Loss::Margin, 1, false), (Loss::Margin, 2, false)];
            assert_eq!(asked[..measured], wanted[..measured]);
            // Two iterates for each run.
            let runs = asked[measured..].chunks(2).map(|run| {
                assert_eq!(run[0], run[1]);
                assert_eq!((run[0].0, run[0].2), (Loss::TargetedDlr, true));
                run[0].1
            });
            runs.collect::<Vec<_>>()
        };
        assert_eq!(order(Norm::Linf, &spec(100, 9)), [2, 3, 1]);
        assert_eq!(order(Norm::L2, &spec(100, 9)), [2, 1, 3]);
        assert_eq!(order(Norm::L1, &spec(100, 9)), [2, 1, 3]);
        assert_eq!(order(Norm::Linf, &spec(100, 2)), [2, 3]);
        assert_eq!(order(Norm::Linf, &spec(2, 9)), [3, 1]);
    }

    /// Of a model with random operators each class is measured by a mean gradient, so that points come in whole groups of
    /// answers.
    #[test]
    fn each_class_is_measured_by_so_many_gradients_as_a_step() {
        let apgd = ApgdSpec { steps: 1, eot: 2, ..ApgdSpec::default() };
        let spec = MaltSpec { candidates: 2, targets: 1, apgd };
        // By the mean slopes 1/4 and 2/10: the first gradient of the second class alone would say 1/3.
        let answers = [(-1.0, [4.0, 0.0]), (-1.0, [4.0, 0.0]), (-2.0, [6.0, 0.0]), (-2.0, [14.0, 0.0])];
        let targets: Vec<usize> = asked(&spec, Norm::Linf, &answers).iter().map(|asked| asked.1).collect();
        assert_eq!(targets, [3, 3, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_class_without_slope_comes_last() {
        let flat =
            asked(&spec(3, 3), Norm::Linf, &[(0.0, [0.0, 0.0]), (-9.0, [1.0, 0.0]), (-8.0, [1.0, 0.0])]);
        let targets: Vec<usize> = flat[3..].iter().map(|(_, target, _)| *target).collect();
        assert_eq!(targets, [2, 2, 1, 1, 3, 3]);
    }

    /// The boundary to the class of the second highest logit is 0.1 away, that to the third 0.06: one target is enough only
    /// if it is chosen by slopes.
    #[test]
    fn one_target_breaks_what_the_highest_logit_cannot() {
        const PIXELS: usize = 40;
        let shape = ImageShape { channels: 1, height: 1, width: PIXELS };
        let mut weights: Array2<f32> = Array2::zeros((4, PIXELS));
        weights[[1, 0]] = 1.0;
        weights.slice_mut(s![2, 1..]).fill(1.0);
        weights.slice_mut(s![3, 1..]).fill(-1.0);
        let model = linear_around_grey(weights, &array![1.0, 0.9, 1.0 - 0.06 * 39.0, -20.0], shape, 1);
        let context = attack_context(Norm::Linf, 0.08, shape, 4);
        let clean = clean_image(&mut model.clone(), 0, &[0.5; PIXELS]);
        assert_eq!((clean.label, clean.targets[0]), (0, 1));
        let malt = Malt::new(&MaltSpec { targets: 1, ..MaltSpec::default() }, &context);
        assert!(run(&model, &malt, &context, &clean, 0).broken.is_some());
        let spec = TargetedApgdSpec { targets: 1, ..TargetedApgdSpec::default() };
        assert!(run(&model, &Apgd::targeted(&spec, &context), &context, &clean, 0).broken.is_none());
    }

    #[test]
    fn restarts_are_units_with_starts_of_their_own() {
        let apgd = ApgdSpec { restarts: 2, steps: 1, ..ApgdSpec::default() };
        let attack = Malt::new(&MaltSpec { apgd, ..MaltSpec::default() }, &context(Norm::Linf, 0.1, 2, 4));
        assert_eq!(attack.units(), 2);
        let clean = image();
        let starts = [0, 1].map(|unit| {
            let mut search = attack.search(&clean, unit);
            let mut point = [0.0; 2];
            for _ in 0..3 {
                search.observe(&Answer { logits: &[], loss: -1.0, gradient: &[1.0, 1.0] });
            }
            search.propose(&mut point);
            point
        });
        assert_ne!(starts[0], starts[1]);
    }
}
