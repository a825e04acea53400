//! FMN, the fast minimum-norm attack (Pintor, Roli, Brendel and Biggio, "Fast minimum-norm adversarial attacks through
//! adaptive norm constraints", NeurIPS 2021, algorithm 1): looks for the closest misclassified point, whatever ε is.
//!
//! Each step goes along the normalised gradient of `z_j - z_y`, where `j` is the wrong class of the highest logit, and is
//! projected on a ball around the clean image. The radius of that ball adapts. As long as nothing was misclassified it
//! is a little beyond where the linearised difference is zero; afterwards it grows by `γ` while the point is classified correctly, and shrinks
//! by `γ`, at most to the closest point found, while it is not. Step length and `γ` fall along half a cosine.
//!
//! What differs from the algorithm as printed:
//!
//! - There the first radius is where the linearised difference is zero. A search of a linear difference then creeps up to the boundary and
//!   crosses it by rounding only. Here it goes [beyond](OVERSHOOT), as DeepFool does.
//! - The gradient belongs to the class that had the highest wrong logit at the point before, because a query names its classes
//!   before the logits are known. At the start a forward pass tells which it is.
//! - A search does not end by itself inside the ball of the evaluation: the scheduler ends it, once the original model has
//!   confirmed the misclassification.

use mimir_bundle::attack::FmnSpec;

use super::closest_adversarial::ClosestAdversarial;
use super::half_cosine::half_cosine;
use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step, go_half_way};
use crate::ball::Ball;
use crate::logits::{highest_except, predicted_class};
use crate::model::{LabelAndTarget, Loss};
use crate::random::{Key, Stream};

/// Radius of random starts, as a share of ε.
const START_RADIUS: f32 = 0.5;

/// How many times as far as the boundary a search looks for its first misclassified point.
const OVERSHOOT: f64 = 1.02;

/// FMN with its ball and seed. One unit is one restart.
#[derive(Debug)]
pub struct Fmn {
    spec: FmnSpec,
    ball: Ball,
    seed: u64,
}

impl Fmn {
    /// In the norm of that evaluation.
    pub fn new(spec: &FmnSpec, context: &AttackContext) -> Self {
        Self { spec: spec.clone(), ball: context.ball, seed: context.seed }
    }
}

impl Attack for Fmn {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Forward, Query::Gradient(Loss::Margin)]
    }

    fn units(&self) -> usize {
        self.spec.restarts
    }

    fn most_passes(&self) -> u64 {
        2 * (self.spec.steps + 1) as u64 + 1
    }

    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let mut point = clean.pixels.to_vec();
        if unit > 0 {
            let key = Key { seed: self.seed, image: clean.image, attack: "fmn", target: None, restart: unit };
            let ball = self.ball.scaled(START_RADIUS);
            ball.random_start(&clean.pixels, &mut Stream::new(&key), &mut point);
        }
        let closest = ClosestAdversarial::new(point.len());
        let clean = clean.clone();
        Box::new(FmnSearch { attack: self, rival: None, clean, point, taken: 0, radius: None, closest })
    }
}

/// FMN on one image.
struct FmnSearch<'a> {
    attack: &'a Fmn,
    clean: CleanImage,
    /// The wrong class whose difference to the label is followed; none before the first answer.
    rival: Option<usize>,
    /// The point that the model is asked about.
    point: Vec<f32>,
    /// Steps taken, `k`.
    taken: usize,
    /// Radius of the ball that the next point is projected on; none before the first gradient that is not zero.
    radius: Option<f64>,
    closest: ClosestAdversarial,
}

impl Search for FmnSearch<'_> {
    fn query(&self) -> Query {
        match self.rival {
            None => Query::Forward,
            Some(_) => Query::Gradient(Loss::Margin),
        }
    }

    fn label_and_target(&self) -> LabelAndTarget {
        LabelAndTarget { label: self.clean.label, target: self.rival }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(&self.point);
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let is_wrong = predicted_class(answer.logits) != Some(self.clean.label);
        if is_wrong {
            self.closest.offer(self.attack.ball, &self.clean.pixels, &self.point);
        }
        if self.taken == self.attack.spec.steps {
            return Step::Done;
        }
        if self.rival.is_none() {
            self.rival = highest_except(answer.logits, self.clean.label);
            return Step::Continue;
        }
        self.taken += 1;
        self.adapt_radius(is_wrong, answer);
        self.advance(answer.gradient);
        self.rival = highest_except(answer.logits, self.clean.label);
        Step::Continue
    }

    /// Iterates leave the ball, and so may leave where the model has an answer: then half of the way to the clean image.
    fn step_back(&mut self) -> Step {
        if self.taken == self.attack.spec.steps {
            return Step::Done;
        }
        self.taken += 1;
        go_half_way(&mut self.point, &self.clean.pixels);
        Step::Continue
    }

    fn closest(&self) -> Option<&[f32]> {
        self.closest.pixels()
    }
}

impl FmnSearch<'_> {
    fn adapt_radius(&mut self, is_wrong: bool, answer: &Answer) {
        let FmnSpec { first_change, last_change, .. } = self.attack.spec;
        let change = self.scheduled(first_change, last_change);
        self.radius = match (is_wrong, self.closest.pixels().is_some()) {
            (true, _) => {
                let shrunk = self.radius.map_or(f64::INFINITY, |radius| radius * (1.0 - change));
                Some(shrunk.min(self.closest.distance()))
            }
            (false, true) => self.radius.map(|radius| radius * (1.0 + change)),
            (false, false) => self.radius_beyond_the_boundary(answer).or(self.radius),
        };
    }

    /// A little beyond where the linearised difference is zero, in the ball's norm, the box left aside; none where it has no slope.
    fn radius_beyond_the_boundary(&self, answer: &Answer) -> Option<f64> {
        let ball = &self.attack.ball;
        let slope = ball.linear_function(answer.gradient).dual_norm();
        let way = f64::from(answer.loss.abs()) / slope;
        way.is_finite().then(|| OVERSHOOT * (ball.distance(&self.clean.pixels, &self.point) + way))
    }

    /// A step along the gradient, projected.
    fn advance(&mut self, gradient: &[f32]) {
        let FmnSpec { first_length, last_length, .. } = self.attack.spec;
        let Some(radius) = self.radius else { return };
        Ball::free_step(gradient, self.scheduled(first_length, last_length) as f32, &mut self.point);
        self.attack.ball.with_radius(radius).project(&self.clean.pixels, &mut self.point);
    }

    /// From `first` to `last` along half a cosine: the value for step `k` of `K`.
    fn scheduled(&self, first: f64, last: f64) -> f64 {
        half_cosine(first, last, self.taken, self.attack.spec.steps)
    }
}

#[cfg(test)]
mod tests;
