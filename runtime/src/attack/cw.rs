//! The L2 attack of Carlini and Wagner ("Towards evaluating the robustness of neural networks", IEEE S&P 2017): looks for the
//! closest misclassified point, whatever ε is.
//!
//! With `x = (tanh w + 1) / 2`, which is in the box for every `w`, Adam minimises `‖x - x₀‖² + c·max(z_y - z_j + κ, 0)`, where
//! `j` is the wrong class of the highest logit. Every search of `c` starts at the clean image. `c` grows tenfold until some point
//! of a search has a margin of `κ`, and is then bisected. A search ends early where a tenth of its steps did not lower the
//! objective by 0.01 %.
//!
//! What differs from the algorithm as printed:
//!
//! - `c` is measured in the unit that would just reach the boundary of a linear model, `2·(z_y - z_j) / ‖∇(z_j - z_y)‖²` at the
//!   clean image, so that it does not depend on the scale of the logits; the paper begins with a small constant.
//! - The gradient belongs to the class that had the highest wrong logit at the point before, because a query names its classes
//!   before the logits are known. At the start a forward pass tells which it is.
//! - `tanh` is a [fraction](tanh) that is the same on every machine.

mod adam;
mod tanh;

use mimir_bundle::attack::CwSpec;

use self::adam::Adam;
use super::closest_adversarial::ClosestAdversarial;
use super::{Answer, Attack, AttackContext, CleanImage, Query, Search, Step, go_half_way};
use crate::ball::Ball;
use crate::logits::{highest_except, margin};
use crate::model::{LabelAndTarget, Loss};

/// Factor of `c` as long as nothing was found.
const GROWTH: f64 = 10.0;
/// Share of an earlier objective that is no progress.
const NO_PROGRESS: f64 = 0.9999;

/// The attack with its ball. It has one unit and no randomness.
#[derive(Debug)]
pub struct Cw {
    spec: CwSpec,
    ball: Ball,
}

impl Cw {
    /// In an evaluation in L2.
    pub fn new(spec: &CwSpec, context: &AttackContext) -> Self {
        Self { spec: spec.clone(), ball: context.ball }
    }
}

impl Attack for Cw {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Forward, Query::Gradient(Loss::Margin)]
    }

    fn units(&self) -> usize {
        1
    }

    fn most_passes(&self) -> u64 {
        1 + 2 * (self.spec.searches * self.spec.steps) as u64
    }

    fn search(&self, clean: &CleanImage, _unit: usize) -> Box<dyn Search + '_> {
        let adam = Adam::new(&clean.pixels, self.spec.learning_rate);
        Box::new(CwSearch {
            attack: self,
            clean: clean.clone(),
            first_rival: None,
            rival: None,
            adam,
            unit: None,
            constant: ConstantSearch::new(self.spec.initial_constant),
            searched: 0,
            taken: 0,
            last_objective: f64::INFINITY,
            closest: ClosestAdversarial::new(clean.pixels.len()),
        })
    }
}

/// The attack on one image.
struct CwSearch<'a> {
    attack: &'a Cw,
    clean: CleanImage,
    /// The wrong class of the highest logit at the clean image; none before the first answer.
    first_rival: Option<usize>,
    /// That at the point before.
    rival: Option<usize>,
    adam: Adam,
    /// The unit of `c`; none before the first gradient that is not zero.
    unit: Option<f64>,
    constant: ConstantSearch,
    /// Values of `c` that are done with.
    searched: usize,
    /// Steps taken with the present one.
    taken: usize,
    /// The objective at the last check.
    last_objective: f64,
    closest: ClosestAdversarial,
}

impl Search for CwSearch<'_> {
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
        out.copy_from_slice(self.adam.point());
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        let CwSpec { confidence, steps, .. } = self.attack.spec;
        let excess = -f64::from(margin(answer.logits, self.clean.label));
        if excess > 0.0 {
            self.closest.offer(self.attack.ball, &self.clean.pixels, self.adam.point());
        }
        let asked = self.rival;
        self.rival = highest_except(answer.logits, self.clean.label);
        if asked.is_none() {
            self.first_rival = self.rival;
            return Step::Continue;
        }
        if excess > 0.0 && excess >= confidence {
            self.constant.found();
        }
        self.unit = self.unit.or_else(|| self.unit_of_constant(answer));
        let missing = (confidence - f64::from(answer.loss)).max(0.0);
        let constant = self.constant.value * self.unit.unwrap_or_default();
        self.taken += 1;
        if self.taken == steps || self.is_stuck(constant * missing) {
            return self.next_constant();
        }
        let weight = if missing > 0.0 { constant } else { 0.0 };
        self.adam.step(&self.clean.pixels, answer.gradient, weight);
        Step::Continue
    }

    /// Half of the way to the clean image.
    fn step_back(&mut self) -> Step {
        self.taken += 1;
        if self.taken == self.attack.spec.steps {
            return self.next_constant();
        }
        self.adam.go_back();
        Step::Continue
    }

    fn closest(&self) -> Option<&[f32]> {
        self.closest.pixels()
    }
}

impl CwSearch<'_> {
    /// The `c` whose minimum lies on the boundary, if the model is linear.
    fn unit_of_constant(&self, answer: &Answer) -> Option<f64> {
        let slope = self.attack.ball.linear_function(answer.gradient).dual_norm();
        let unit = 2.0 * f64::from(-answer.loss) / (slope * slope);
        (unit.is_finite() && unit > 0.0).then_some(unit)
    }

    /// Whether a tenth of the steps brought no progress.
    fn is_stuck(&mut self, penalty: f64) -> bool {
        let period = (self.attack.spec.steps / 10).max(1);
        if !self.taken.is_multiple_of(period) {
            return false;
        }
        let distance = self.attack.ball.distance(&self.clean.pixels, self.adam.point());
        let objective = distance * distance + penalty;
        objective > NO_PROGRESS * std::mem::replace(&mut self.last_objective, objective)
    }

    /// Starts again with another constant.
    fn next_constant(&mut self) -> Step {
        self.searched += 1;
        if self.searched == self.attack.spec.searches {
            return Step::Done;
        }
        self.constant.next();
        self.adam.restart();
        self.rival = self.first_rival;
        (self.taken, self.last_objective) = (0, f64::INFINITY);
        Step::Continue
    }
}

/// The search for the smallest constant that finds a misclassified point.
#[derive(Debug)]
struct ConstantSearch {
    value: f64,
    /// The largest that found nothing.
    lower: f64,
    /// The smallest that found something.
    upper: Option<f64>,
    has_found: bool,
}

impl ConstantSearch {
    fn new(first: f64) -> Self {
        Self { value: first, lower: 0.0, upper: None, has_found: false }
    }

    /// The present value has found something.
    fn found(&mut self) {
        self.has_found = true;
    }

    fn next(&mut self) {
        match std::mem::take(&mut self.has_found) {
            true => self.upper = Some(self.value),
            false => self.lower = self.value,
        }
        self.value = match self.upper {
            Some(upper) => f64::midpoint(self.lower, upper),
            None => (GROWTH * self.value).min(f64::MAX),
        };
    }
}

#[cfg(test)]
mod tests;
