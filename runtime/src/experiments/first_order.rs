//! What gradients promise, and what a step along them does.
//!
//! An attack along gradients rests on one assumption: that over a step the loss changes about as its gradient says. Behind a
//! staircase of steep sigmoids, or waves too short for any step, it does not: gradients are not zero, and lead nowhere. Traces of
//! searches do not show it. A search of an honest model within a small ball has also done what it can after one step, and random
//! search within a budget that a gate can afford finds less than misleading gradients do.
//!
//! So the assumption itself is looked at, on images that nothing broke. From a random point of the ball a step of length ε is taken
//! along the largest slopes, those that make half of the promise: a staircase promises through few pixels that stand on a slope, and a
//! step along all of them crosses as many stairs by chance. Another point, far away, tells gradients that promise too little.
//! Measured on the networks that we have, of all norms and of radii from 10⁻⁵ to where every image is broken: honest steps keep more
//! than 40 % of the promise, those of staircases and waves less than 15 % in the median.

use mimir_bundle::ImageShape;

use super::found::{FirstOrder, Promise};
use super::images_where;
use super::subset::spread;
use crate::attack::Query;
use crate::ball::{Ball, CUSTOMARY_DENSITY, GradientStep, Scratch};
use crate::error::{EvaluateError, PlanError};
use crate::evaluate::{Evaluation, Plan, Verdict};
use crate::evaluation_set::EvaluationSet;
use crate::logits::{ROUNDING, highest_except};
use crate::loss::at_logits;
use crate::model::{Differentiable, LabelAndTarget, Loss, ModelSource};
use crate::random::{Key, Stream};
use crate::same_function::{Differentiated, MarginOfFeatures, differentiate};

/// Images that are looked at, at most: at eight passes each, a hundredth of what the shortest gate makes.
const IMAGES: usize = 32;

/// Share of the promise that the step is taken along.
const HALF: f64 = 0.5;

/// The losses by which it is looked at, the one that saturates last.
const LOSSES: [Loss; 4] = [Loss::Margin, Loss::TargetedDlr, Loss::Dlr, Loss::CrossEntropy];

/// A cross entropy whose derivative by the label's logit is smaller has a gradient of few bits.
const LEAST_COTANGENT: f32 = 1e-6;

/// What gradients promise at images that nothing broke, of a model with such images and so many classes: by a loss that attacks of the
/// plan follow, which the source has. None where none is one of these.
///
/// # Errors
/// When the plan cannot be carried out, the engine fails, or an image cannot be read.
pub fn first_order(
    source: &dyn ModelSource,
    set: &EvaluationSet,
    plan: &Plan,
    (image, classes): (ImageShape, usize),
    evaluation: &Evaluation,
) -> Result<Option<FirstOrder>, EvaluateError> {
    let queries = plan.queries(image, classes)?;
    if let Some(loss) = LOSSES.into_iter().find(|loss| queries.contains(&Query::Gradient(*loss))) {
        let mut graph = source.differentiable(loss)?;
        return look(graph.as_mut(), loss, set, plan, evaluation).map(Some);
    }
    if queries.contains(&Query::FeatureGradient) {
        let mut model = source.feature_model()?;
        let mut margin = MarginOfFeatures::new(model.as_mut());
        return look(&mut margin, Loss::Margin, set, plan, evaluation).map(Some);
    }
    Ok(None)
}

/// The same by the margin, whatever the attacks follow: for those whose own loss says nothing. The source must have its graph.
///
/// # Errors
/// As [`first_order`].
pub fn first_order_of_margins(
    source: &dyn ModelSource,
    set: &EvaluationSet,
    plan: &Plan,
    evaluation: &Evaluation,
) -> Result<FirstOrder, EvaluateError> {
    look(source.differentiable(Loss::Margin)?.as_mut(), Loss::Margin, set, plan, evaluation)
}

fn look(
    graph: &mut dyn Differentiable,
    loss: Loss,
    set: &EvaluationSet,
    plan: &Plan,
    evaluation: &Evaluation,
) -> Result<FirstOrder, EvaluateError> {
    let images = spread(&images_where(evaluation, |verdict| *verdict == Verdict::StillRobust), IMAGES);
    let ball = Ball::new(&plan.threat_model).map_err(PlanError::from)?;
    Look { set, ball, seed: plan.seed, images: &images }.at(graph, loss)
}

/// Where promises are looked at.
struct Look<'a> {
    set: &'a EvaluationSet<'a>,
    ball: Ball,
    seed: u64,
    images: &'a [usize],
}

impl Look<'_> {
    fn at(&self, graph: &mut dyn Differentiable, loss: Loss) -> Result<FirstOrder, EvaluateError> {
        let places = self.images.iter().map(|image| self.place(*image)).collect::<Result<Vec<_>, _>>()?;
        let starts: Vec<Vec<f32>> = places.iter().map(|place| place.start.clone()).collect();
        // Any target will do to learn which class is nearest.
        let pairs: Vec<LabelAndTarget> = places.iter().map(|place| place.pair).collect();
        let answers = differentiate(graph, &starts, &pairs)?;
        let pairs: Vec<LabelAndTarget> = pairs
            .iter()
            .zip(&answers)
            .map(|(pair, answer)| LabelAndTarget {
                target: highest_except(&answer.scored.logits, pair.label),
                ..*pair
            })
            .collect();
        let answers = differentiate(graph, &starts, &pairs)?;
        let steps: Vec<Vec<f32>> =
            places.iter().zip(&answers).map(|(place, answer)| self.step(place, &answer.gradient)).collect();
        let after = differentiate(graph, &steps, &pairs)?;
        let elsewhere: Vec<Vec<f32>> = places.iter().map(|place| place.elsewhere.clone()).collect();
        let far = differentiate(graph, &elsewhere, &pairs)?;
        let promises = places.iter().enumerate().filter_map(|(index, place)| {
            let linear = Linearised::at(loss, &answers[index], pairs[index])?;
            let slopes = self.ball.linear_function(&answers[index].gradient);
            Some(Promise {
                image: place.image,
                promised: slopes.change(&place.start, &steps[index]),
                kept: linear.change(&after[index])?,
                // The distance of two points of the ball is at most 2 ε.
                most: 2.0 * self.ball.radius() * slopes.dual_norm(),
                elsewhere: linear.change(&far[index])?.abs(),
                rounding: linear.rounding,
            })
        });
        let promises: Vec<Promise> = promises.collect();
        Ok(FirstOrder { left_out: places.len() - promises.len(), promises })
    }

    fn place(&self, image: usize) -> Result<Place, EvaluateError> {
        let (clean, label) = (self.set.image(image)?, self.set.labels()[image]);
        let key = Key { seed: self.seed, image, attack: "promise", target: None, restart: 0 };
        let mut noise = Stream::new(&key);
        let [mut start, mut elsewhere] = [vec![0.0; clean.len()], vec![0.0; clean.len()]];
        self.ball.random_point(&clean, &mut noise, &mut start);
        super::points::furthest_point(&self.ball, &clean, &mut noise, &mut elsewhere);
        self.ball.snap(&clean, &mut start);
        self.ball.snap(&clean, &mut elsewhere);
        let pair = LabelAndTarget { label, target: Some(usize::from(label == 0)) };
        Ok(Place { image, clean: clean.to_vec(), pair, start, elsewhere })
    }

    /// A step of length ε along the largest slopes.
    fn step(&self, place: &Place, gradient: &[f32]) -> Vec<f32> {
        let mut next = vec![0.0; gradient.len()];
        let step = GradientStep {
            centre: &place.clean,
            point: &place.start,
            gradient: &largest_slopes(gradient),
            step_size: self.ball.epsilon(),
            density: CUSTOMARY_DENSITY,
        };
        self.ball.gradient_step(step, &mut Scratch::default(), &mut next);
        self.ball.snap(&place.clean, &mut next);
        next
    }
}

/// The points that are looked at around one image.
struct Place {
    image: usize,
    clean: Vec<f32>,
    pair: LabelAndTarget,
    /// A random point of the ball, where attacks start.
    start: Vec<f32>,
    /// One as far out as the ball goes.
    elsewhere: Vec<f32>,
}

/// The gradient without the smaller slopes: as few as make half of the sum are left.
fn largest_slopes(gradient: &[f32]) -> Vec<f32> {
    let mut sizes: Vec<f32> =
        gradient.iter().map(|slope| slope.abs()).filter(|size| size.is_finite()).collect();
    sizes.sort_unstable_by(|left, right| right.total_cmp(left));
    let all: f64 = sizes.iter().map(|size| f64::from(*size)).sum();
    let mut sum = 0.0;
    let least = sizes.into_iter().find(|size| {
        sum += f64::from(*size);
        sum >= HALF * all
    });
    let least = least.unwrap_or_default();
    let kept = |slope: &f32| if slope.is_finite() && slope.abs() >= least { *slope } else { 0.0 };
    gradient.iter().map(kept).collect()
}

/// A loss as a linear function of the logits: by its derivative at one point, so that it does not saturate on the way to another.
struct Linearised<'a> {
    /// `[K]`
    cotangent: Vec<f32>,
    logits: &'a [f32],
    /// What the rounding of the logits may change it by.
    rounding: f64,
}

impl<'a> Linearised<'a> {
    /// None where numbers are not finite, or the derivative has few bits.
    fn at(loss: Loss, answer: &'a Differentiated, pair: LabelAndTarget) -> Option<Self> {
        let logits = &answer.scored.logits[..];
        let finite = logits.iter().chain(&answer.gradient).all(|value| value.is_finite());
        if !finite {
            return None;
        }
        let mut cotangent = vec![0.0; logits.len()];
        at_logits(loss, logits, pair, &mut cotangent);
        if loss == Loss::CrossEntropy && cotangent[pair.label].abs() < LEAST_COTANGENT {
            return None;
        }
        let terms = cotangent.iter().zip(logits).map(|(slope, logit)| f64::from(slope * logit).abs());
        Some(Self { rounding: f64::from(ROUNDING) * terms.sum::<f64>(), cotangent, logits })
    }

    /// How much it changes to there.
    fn change(&self, there: &Differentiated) -> Option<f64> {
        let logits = self.logits.iter().zip(&there.scored.logits);
        let changes = self.cotangent.iter().zip(logits);
        let change: f64 =
            changes.map(|(slope, (from, to))| f64::from(*slope) * (f64::from(*to) - f64::from(*from))).sum();
        change.is_finite().then_some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_promise_is_in_the_largest_slopes() {
        assert_eq!(largest_slopes(&[1.0, -4.0, 0.5, 2.0]), [0.0, -4.0, 0.0, 0.0]);
        assert_eq!(largest_slopes(&[1.0, -1.0, 1.0, -1.0]), [1.0, -1.0, 1.0, -1.0], "equal ones go together");
        assert_eq!(largest_slopes(&[3.0, -2.0, 2.5, 0.0]), [3.0, 0.0, 2.5, 0.0]);
        assert_eq!(largest_slopes(&[0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(largest_slopes(&[f32::NAN, 1.0]), [0.0, 1.0]);
    }
}
