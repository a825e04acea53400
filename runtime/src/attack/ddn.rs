//! DDN (Rony et al., "Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and defenses",
//! CVPR 2019, algorithm 1): looks for the closest misclassified point in L2, whatever ε is.
//!
//! Each step adds the normalised gradient of the cross entropy to the change, which is then brought to a length that does not
//! depend on it: longer by the share `γ` as long as the point is classified correctly, shorter by `γ` where it is not. The
//! length of a step falls along half a cosine. As in the authors' code, what the box cuts off is no part of the change any
//! more; points are not rounded to 8 bits, except where the threat model says so. A gradient of zero adds nothing, where that
//! code adds noise.

use mimir_bundle::attack::DdnSpec;

use super::closest_adversarial::ClosestAdversarial;
use super::half_cosine::half_cosine;
use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step, go_half_way};
use crate::ball::Ball;
use crate::logits::predicted_class;
use crate::model::{LabelAndTarget, Loss};

/// DDN. It has one unit and no randomness.
#[derive(Debug)]
pub struct Ddn {
    spec: DdnSpec,
    ball: Ball,
}

impl Ddn {
    /// In an evaluation in L2.
    pub fn new(spec: &DdnSpec, context: &AttackContext) -> Self {
        Self { spec: spec.clone(), ball: context.ball }
    }
}

impl Attack for Ddn {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Gradient(Loss::CrossEntropy)]
    }

    fn units(&self) -> usize {
        1
    }

    fn most_passes(&self) -> u64 {
        2 * (self.spec.steps + 1) as u64
    }

    fn search(&self, clean: &CleanImage, _unit: usize) -> Box<dyn Search + '_> {
        let point = clean.pixels.to_vec();
        let closest = ClosestAdversarial::new(point.len());
        let radius = self.spec.initial_radius;
        Box::new(DdnSearch { attack: self, clean: clean.clone(), point, taken: 0, radius, closest })
    }
}

/// DDN on one image.
struct DdnSearch<'a> {
    attack: &'a Ddn,
    clean: CleanImage,
    /// The point that the model is asked about.
    point: Vec<f32>,
    /// Steps taken.
    taken: usize,
    /// How far the next point lies from the clean image, the box left aside.
    radius: f64,
    closest: ClosestAdversarial,
}

impl Search for DdnSearch<'_> {
    fn query(&self) -> Query {
        Query::Gradient(Loss::CrossEntropy)
    }

    fn label_and_target(&self) -> LabelAndTarget {
        LabelAndTarget { label: self.clean.label, target: None }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(&self.point);
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let is_wrong = predicted_class(answer.logits) != Some(self.clean.label);
        if is_wrong {
            self.closest.offer(self.attack.ball, &self.clean.pixels, &self.point);
        }
        let DdnSpec { steps, change, first_length, last_length, .. } = self.attack.spec;
        if self.taken == steps {
            return Step::Done;
        }
        self.radius *= if is_wrong { 1.0 - change } else { 1.0 + change };
        let length = half_cosine(first_length, last_length, self.taken, steps);
        Ball::free_step(answer.gradient, length as f32, &mut self.point);
        Ball::place_at(&self.clean.pixels, self.radius as f32, &mut self.point);
        self.taken += 1;
        Step::Continue
    }

    fn step_back(&mut self) -> Step {
        if self.taken == self.attack.spec.steps {
            return Step::Done;
        }
        self.taken += 1;
        self.radius /= 2.0;
        go_half_way(&mut self.point, &self.clean.pixels);
        Step::Continue
    }

    fn closest(&self) -> Option<&[f32]> {
        self.closest.pixels()
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::Norm;

    use super::*;
    use crate::attack::testing::{context, near_the_boundary};

    fn point(search: &mut dyn Search) -> [f32; 2] {
        let mut out = [f32::NAN; 2];
        search.propose(&mut out);
        out
    }

    fn expect(search: &mut dyn Search, wanted: [f32; 2]) {
        let found = point(search);
        let is_near = found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6);
        assert!(is_near, "{found:?}, wanted {wanted:?}");
    }

    /// By hand, γ = 1/2 and steps of length one.
    #[test]
    fn length_and_direction_go_their_own_ways() {
        let spec =
            DdnSpec { steps: 3, initial_radius: 0.1, change: 0.5, first_length: 1.0, last_length: 1.0 };
        let attack = Ddn::new(&spec, &context(Norm::L2, 0.1, 2, 2));
        let clean = CleanImage { image: 0, pixels: [0.5, 0.5].into(), label: 0, targets: [].into() };
        let mut search = attack.search(&clean, 0);
        let answer = |search: &mut dyn Search, logits: [f32; 2], gradient: [f32; 2]| {
            search.observe(&Answer { logits: &logits, loss: 0.0, gradient: &gradient })
        };
        expect(&mut *search, [0.5, 0.5]);
        // Right: 0.15 along the gradient, whatever its length.
        answer(&mut *search, [1.0, 0.0], [7.0, 0.0]);
        expect(&mut *search, [0.65, 0.5]);
        // Wrong: half of that, along (0.15, 0) + (0, 1).
        answer(&mut *search, [0.0, 1.0], [0.0, 0.01]);
        let length = 0.15_f32.hypot(1.0);
        expect(&mut *search, [0.5 + 0.075 * 0.15 / length, 0.5 + 0.075 / length]);
        assert!(search.closest().is_some_and(|closest| (closest[0] - 0.65).abs() < 1e-6));
        // Right again, and no gradient: only the length grows.
        answer(&mut *search, [1.0, 0.0], [0.0, 0.0]);
        expect(&mut *search, [0.5 + 0.1125 * 0.15 / length, 0.5 + 0.1125 / length]);
        assert_eq!(answer(&mut *search, [1.0, 0.0], [1.0, 0.0]), Step::Done);
    }

    #[test]
    fn the_distance_to_a_linear_boundary_is_found() {
        near_the_boundary(Norm::L2, 1.05, |context| Box::new(Ddn::new(&DdnSpec::default(), context)));
    }

    #[test]
    fn where_the_model_has_no_answer_the_search_goes_half_way_back_and_ends() {
        let attack = Ddn::new(&DdnSpec { steps: 2, ..DdnSpec::default() }, &context(Norm::L2, 0.1, 2, 2));
        let clean = CleanImage { image: 0, pixels: [0.5, 0.5].into(), label: 0, targets: [].into() };
        let mut search = attack.search(&clean, 0);
        search.observe(&Answer { logits: &[1.0, 0.0], loss: 0.0, gradient: &[1.0, 0.0] });
        expect(&mut *search, [1.0, 0.5]);
        assert_eq!(search.step_back(), Step::Continue);
        expect(&mut *search, [0.75, 0.5]);
        assert_eq!(search.step_back(), Step::Done);
    }
}
