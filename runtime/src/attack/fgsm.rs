//! FGSM (Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015): one step of
//! length ε along the steepest direction of the cross entropy, from the clean image.

use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step};
use crate::ball::{Ball, CUSTOMARY_DENSITY, GradientStep, Scratch};
use crate::model::{LabelAndTarget, Loss};

/// FGSM with its ball. It has one unit and no randomness.
#[derive(Debug)]
pub struct Fgsm {
    ball: Ball,
}

impl Fgsm {
    /// Within the ball of that evaluation.
    pub fn new(context: &AttackContext) -> Self {
        Self { ball: context.ball }
    }
}

impl Attack for Fgsm {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Gradient(Loss::CrossEntropy), Query::Forward]
    }

    fn units(&self) -> usize {
        1
    }

    fn most_passes(&self) -> u64 {
        3
    }

    fn search(&self, clean: &CleanImage, _unit: usize) -> Box<dyn Search + '_> {
        let point = clean.pixels.to_vec();
        Box::new(FgsmSearch { ball: self.ball, clean: clean.clone(), point, moved: false })
    }
}

/// FGSM on one image.
struct FgsmSearch {
    ball: Ball,
    clean: CleanImage,
    point: Vec<f32>,
    /// Whether `point` is the end of the step.
    moved: bool,
}

impl Search for FgsmSearch {
    fn query(&self) -> Query {
        if self.moved { Query::Forward } else { Query::Gradient(Loss::CrossEntropy) }
    }

    fn label_and_target(&self) -> LabelAndTarget {
        LabelAndTarget { label: self.clean.label, target: None }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(&self.point);
    }

    /// The clean image does not.
    fn counts(&self) -> bool {
        self.moved
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        if self.moved {
            return Step::Done;
        }
        let centre = &self.clean.pixels;
        let (gradient, step_size) = (answer.gradient, self.ball.epsilon());
        let step = GradientStep { centre, point: centre, gradient, step_size, density: CUSTOMARY_DENSITY };
        self.ball.gradient_step(step, &mut Scratch::default(), &mut self.point);
        self.moved = true;
        Step::Continue
    }

    /// There is no other point to ask about.
    fn step_back(&mut self) -> Step {
        Step::Done
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::Norm;

    use super::*;
    use crate::attack::testing::context;

    #[test]
    fn one_gradient_at_the_clean_image_then_one_forward_at_the_stepped_one() {
        let cases = [
            (Norm::Linf, [0.7, 0.0, 0.5]),
            (Norm::L2, [0.62, 0.0, 0.5]),
            // All of the step goes to the pixel of the largest slope, which has room for half of it.
            (Norm::L1, [0.5, 0.0, 0.5]),
        ];
        for (norm, want) in cases {
            let fgsm = Fgsm::new(&context(norm, 0.2, 3, 2));
            let clean = CleanImage { image: 0, pixels: [0.5, 0.1, 0.5].into(), label: 1, targets: [].into() };
            let (mut search, mut proposal) = (fgsm.search(&clean, 0), [f32::NAN; 3]);
            search.propose(&mut proposal);
            assert_eq!((search.query(), search.counts()), (fgsm.queries()[0], false));
            assert_eq!(proposal, [0.5, 0.1, 0.5]);
            let gradient = [3.0, -4.0, 0.0];
            assert_eq!(
                search.observe(&Answer { logits: &[], loss: 0.0, gradient: &gradient }),
                Step::Continue
            );
            search.propose(&mut proposal);
            assert_eq!((search.query(), search.counts()), (Query::Forward, true));
            for (got, want) in proposal.iter().zip(want) {
                assert!((got - want).abs() < 1e-6, "{norm:?}: {proposal:?}");
            }
            assert_eq!(search.observe(&Answer { logits: &[], loss: 0.0, gradient: &[] }), Step::Done);
        }
    }
}
