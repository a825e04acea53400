//! Gradients of a graph against differences of the file's losses.
//!
//! A difference over a step says how a function falls or rises on the average of the step. It is a measure of the slope at
//! the point only where the function is smooth on the step and its change rises above rounding. Both are measured: by how
//! much the slopes on the two sides of the point differ, and by how much rounding moves scores. A step on which these are not
//! small beside the slope says nothing.

use super::comparison::{Comparison, label_and_nearest};
use super::points::{STEPS, SlopeRows};
use crate::loss::at_logits;
use crate::model::{LabelAndTarget, Loss};

/// Roundings that a difference of two losses may have the size of.
const ROUNDINGS: f64 = 4.0;

/// Slack in units of the length of the gradient, for what no measure sees.
const SLACK: f64 = 0.02;

/// Of a cross entropy whose derivatives by the scores are smaller in sum, the probabilities of float32 leave too few digits:
/// what the graph takes from 1 is then mostly rounding.
const UNSATURATED: f64 = 1e-3;

/// A step says something where what explains a disagreement is at most this share of the slope.
const TELLING: f64 = 0.3;

/// A point, and the scores of the file there and around it.
pub(super) struct SlopePoint {
    pub(super) pixels: Vec<f32>,
    pub(super) pair: LabelAndTarget,
    here: Vec<f32>,
    pub(super) directions: Vec<Direction>,
}

/// A direction from a point, and the scores along it.
pub(super) struct Direction {
    /// Entries -1 and 1.
    signs: Vec<f32>,
    /// For each of [`STEPS`], the scores after the step and before it.
    around: Vec<[Vec<f32>; 2]>,
}

impl SlopePoint {
    /// Takes the scores of [`SlopeRows::rows`], in their order.
    pub(super) fn new(rows: &SlopeRows, scores: &mut impl Iterator<Item = Vec<f32>>) -> Self {
        let mut next = || scores.next().unwrap_or_default();
        let here = next();
        let directions = rows.directions.iter().map(|signs| Direction {
            signs: signs.clone(),
            around: STEPS.iter().map(|_| [next(), next()]).collect(),
        });
        let directions = directions.collect();
        let pair = label_and_nearest(&here, rows.label);
        Self { pixels: rows.pixels.clone(), pair, here, directions }
    }
}

/// What a gradient says of a direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slope {
    /// The slope along it, per pixel of step.
    along: f64,
    /// The length of the gradient: the slope along random signs has that size.
    length: f64,
}

impl Slope {
    pub(super) fn new(gradient: &[f32], direction: &Direction) -> Self {
        let pairs = gradient.iter().zip(&direction.signs);
        let along = pairs.map(|(slope, sign)| f64::from(*slope) * f64::from(*sign)).sum();
        let squares = gradient.iter().map(|slope| f64::from(*slope).powi(2));
        Self { along, length: squares.sum::<f64>().sqrt() }
    }

    /// Holds it against the differences of the loss, `noise` being how far rounding moves a score. `None` where no two steps
    /// say the same: a long step alone may cross as many kinks on one side of the point as on the other, and then looks
    /// like a slope that is nowhere.
    pub(super) fn compare(
        self,
        loss: Loss,
        point: &SlopePoint,
        direction: &Direction,
        noise: f64,
    ) -> Option<Comparison> {
        let here = LossAt::new(loss, &point.here, point.pair)?;
        if loss == Loss::CrossEntropy && here.weight < UNSATURATED {
            return None;
        }
        let on_step = |(step, [after, before]): (&f32, &[Vec<f32>; 2])| {
            let (after, before) =
                (LossAt::new(loss, after, point.pair)?, LossAt::new(loss, before, point.pair)?);
            let step = f64::from(*step);
            let (rise, fall) = ((after.value - here.value) / step, (here.value - before.value) / step);
            let rounding =
                [&here, &after, &before].map(|at| at.rounding(noise)).into_iter().fold(0.0, f64::max);
            self.on_step(rise, fall, ROUNDINGS * rounding / step)
        };
        let steps: Vec<Option<OnStep>> = STEPS.iter().zip(&direction.around).map(on_step).collect();
        let pairs = steps.windows(2).filter_map(|pair| match pair {
            [Some(long), Some(short)] if long.agrees_with(short) => Some([long.compared, short.compared]),
            _ => None,
        });
        pairs.flatten().min_by(|left, right| {
            let excess = |one: &Comparison| one.difference - one.explained;
            excess(left).total_cmp(&excess(right))
        })
    }

    /// The slopes on the two sides of the point, on one step.
    fn on_step(self, rise: f64, fall: f64, rounding: f64) -> Option<OnStep> {
        let measured = 0.5 * (rise + fall);
        let scale = self.length.max(measured.abs());
        let explained = (rise - fall).abs() + rounding + SLACK * scale;
        let difference = (self.along - measured).abs();
        let tells = scale > 0.0 && difference.is_finite() && explained <= TELLING * scale;
        let compared = Comparison { difference: difference / scale, explained: explained / scale, scale };
        tells.then_some(OnStep { measured, explained, compared })
    }
}

/// What one step says.
#[derive(Debug, Clone, Copy)]
struct OnStep {
    /// The slope on the step.
    measured: f64,
    /// By how much it may be off.
    explained: f64,
    compared: Comparison,
}

impl OnStep {
    fn agrees_with(&self, other: &Self) -> bool {
        (self.measured - other.measured).abs() <= self.explained.max(other.explained)
    }
}

/// The loss at scores.
struct LossAt {
    value: f64,
    /// The sum of the sizes of its derivatives by the scores.
    weight: f64,
    /// The largest score.
    largest: f64,
}

impl LossAt {
    /// `None` where it is no number.
    fn new(loss: Loss, scores: &[f32], pair: LabelAndTarget) -> Option<Self> {
        if scores.len() < loss.min_classes() || !scores.iter().all(|score| score.is_finite()) {
            return None;
        }
        let mut derivative = vec![0.0; scores.len()];
        let value = f64::from(at_logits(loss, scores, pair, &mut derivative));
        let weight: f64 = derivative.iter().map(|entry| f64::from(entry.abs())).sum();
        let largest = scores.iter().map(|score| f64::from(score.abs())).fold(0.0, f64::max);
        (value.is_finite() && weight.is_finite()).then_some(Self { value, weight, largest })
    }

    /// How far it may be off, where each score may be by `noise`. A saturated cross entropy is exact to the last bits of the
    /// scores and no further, however small it is.
    fn rounding(&self, noise: f64) -> f64 {
        const SATURATED: f64 = 1.0 / (1_u64 << 40) as f64;
        self.weight * noise + f64::from(f32::EPSILON) * self.value.abs() + SATURATED * self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(along: f64, rise: f64, fall: f64, rounding: f64) -> Option<bool> {
        let compared = Slope { along, length: 1.0 }.on_step(rise, fall, rounding);
        compared.map(|one| one.compared.differs())
    }

    #[test]
    fn a_slope_is_the_mean_of_the_two_sides() {
        assert_eq!(differs(1.0, 1.0, 1.0, 0.0), Some(false));
        assert_eq!(differs(0.5, 1.0, 1.0, 0.0), Some(true));
        assert_eq!(differs(0.0, 1.0, 1.0, 0.0), Some(true), "no gradient, and the loss rises");
        assert_eq!(differs(1.0, 0.0, 0.0, 0.0), Some(true), "a gradient, and nothing moves");
        assert_eq!(differs(f64::NAN, 1.0, 1.0, 0.0), None);
    }

    /// The gradient of a saturated cross entropy is exp(-80); its differences in float64 are zero.
    #[test]
    fn a_saturated_loss_has_no_slope_to_compare() {
        // The margin rises by 16 a pixel on every step.
        let around =
            STEPS.iter().map(|step| [80.0 + 16.0 * step, 80.0 - 16.0 * step].map(|score| vec![score, 0.0]));
        let direction = || Direction { signs: vec![1.0], around: around.clone().collect() };
        let pair = LabelAndTarget { label: 0, target: Some(1) };
        let point =
            SlopePoint { pixels: vec![0.5], pair, here: vec![80.0, 0.0], directions: vec![direction()] };
        let compare = |loss, gradient: f32| {
            Slope::new(&[gradient], &direction()).compare(loss, &point, &direction(), 1e-6)
        };
        assert_eq!(compare(Loss::CrossEntropy, -1e-30), None);
        let margin = compare(Loss::Margin, -16.0).unwrap();
        assert!(margin.difference <= margin.explained, "{margin:?}");
    }

    #[test]
    fn a_kink_and_rounding_explain_as_much_as_they_are() {
        assert_eq!(differs(0.9, 1.0, 0.8, 0.0), Some(false));
        assert_eq!(differs(0.6, 1.0, 0.8, 0.0), Some(true));
        assert_eq!(differs(1.0, 1.0, 0.0, 0.0), None, "too much of a kink to tell");
        assert_eq!(differs(0.8, 1.0, 1.0, 0.25), Some(false));
        assert_eq!(differs(0.8, 1.0, 1.0, 0.5), None, "rounding hides the slope");
    }
}
