//! Gradients of a graph against differences of the file's losses.
//!
//! A difference over a step says how a function falls or rises on the average of the step. It is a measure of the slope at
//! the point only where the function is smooth on the step and its change rises above rounding. Both are measured: by how
//! much the slopes on the two sides of the point differ, and by how much rounding moves scores. A step on which these are not
//! small beside the slope says nothing.
//!
//! A function that bends often or oscillates may still rise as much after a long step as it falls before it. So the two
//! shortest steps that rise above rounding must both say something, and the same: what a longer one says is of no account
//! where a shorter one says otherwise.

use super::comparison::{Comparison, label_and_nearest};
use super::points::SlopeRows;
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

/// A step rises above rounding where rounding explains at most this share of the slope.
const RESOLVED: f64 = 0.15;

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
    /// The longest step first.
    around: Vec<Around>,
}

/// The scores after a step and before it.
struct Around {
    step: f32,
    after: Vec<f32>,
    before: Vec<f32>,
}

impl SlopePoint {
    /// Takes the scores of [`SlopeRows::rows`], in their order.
    pub(super) fn new(rows: &SlopeRows, scores: &mut impl Iterator<Item = Vec<f32>>) -> Self {
        let mut next = || scores.next().unwrap_or_default();
        let here = next();
        let directions = rows.directions.iter().map(|signs| Direction {
            signs: signs.clone(),
            around: rows
                .steps
                .iter()
                .map(|step| Around { step: *step, after: next(), before: next() })
                .collect(),
        });
        let directions = directions.collect();
        let pair = label_and_nearest(&here, rows.label);
        Self { pixels: rows.pixels.clone(), pair, here, directions }
    }
}

/// How far rounding moves scores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    /// As it was measured.
    pub(super) measured: f64,
    /// The least that it can be: the last bit of 1 for logarithms of probabilities, as these are rounded near 1.
    pub(super) least: f64,
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

    /// Holds it against the differences of the loss. `None` where these say nothing.
    pub(super) fn compare(
        self,
        loss: Loss,
        point: &SlopePoint,
        direction: &Direction,
        noise: Noise,
    ) -> Option<Comparison> {
        let here = LossAt::new(loss, &point.here, point.pair)?;
        if loss == Loss::CrossEntropy && here.weight < UNSATURATED {
            return None;
        }
        let at = |scores: &[f32]| LossAt::new(loss, scores, point.pair);
        let sides = direction.around.iter();
        let sides =
            sides.map(|around| Some((f64::from(around.step), at(&around.after)?, at(&around.before)?)));
        let sides = sides.collect::<Option<Vec<_>>>()?;
        let values = || sides.iter().flat_map(|(_, after, before)| [after.value, before.value]);
        let range = values().fold(here.value, f64::max) - values().fold(here.value, f64::min);
        let steps = sides.iter().filter_map(|(step, after, before)| {
            let rounding =
                [&here, after, before].map(|at| at.rounding(noise)).into_iter().fold(0.0, f64::max);
            let (rise, fall) = ((after.value - here.value) / step, (here.value - before.value) / step);
            // A gradient that would lead out of all values of the loss is not one of the whole step.
            let is_too_long = self.length * step > range && range > 0.0;
            self.on_step(rise, fall, ROUNDINGS * rounding / step).map(|one| OnStep { is_too_long, ..one })
        });
        let steps: Vec<OnStep> = steps.collect();
        let [.., long, short] = &steps[..] else { return None };
        let agree = !short.is_too_long && long.tells() && short.tells() && long.agrees_with(short);
        let excess = |one: &Comparison| one.difference - one.explained;
        let both = [long.compared, short.compared];
        agree.then(|| both.into_iter().min_by(|left, right| excess(left).total_cmp(&excess(right))))?
    }

    /// The slopes on the two sides of the point, on one step; `None` where rounding hides them.
    fn on_step(self, rise: f64, fall: f64, rounding: f64) -> Option<OnStep> {
        let measured = 0.5 * (rise + fall);
        let scale = self.length.max(measured.abs());
        let explained = (rise - fall).abs() + rounding + SLACK * scale;
        let difference = (self.along - measured).abs();
        let is_resolved = scale > 0.0 && difference.is_finite() && rounding <= RESOLVED * scale;
        let compared = Comparison { difference: difference / scale, explained: explained / scale, scale };
        is_resolved.then_some(OnStep { measured, explained, is_too_long: false, compared })
    }
}

/// What one step says.
#[derive(Debug, Clone, Copy)]
struct OnStep {
    /// The slope on the step.
    measured: f64,
    /// By how much it may be off.
    explained: f64,
    /// Whether the gradient cannot hold on all of it.
    is_too_long: bool,
    compared: Comparison,
}

impl OnStep {
    fn tells(&self) -> bool {
        self.compared.explained <= TELLING
    }

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

    /// How far it may be off. A saturated cross entropy is exact to the last bits of the scores and no further, however small
    /// it is.
    fn rounding(&self, noise: Noise) -> f64 {
        const SATURATED: f64 = 1.0 / (1_u64 << 40) as f64;
        const LAST_BIT: f64 = f32::EPSILON as f64;
        // Scores are rounded to their last bit, whatever was measured elsewhere.
        let noise = noise.measured.max(noise.least).max(LAST_BIT / 2.0 * self.largest);
        self.weight * noise + LAST_BIT * self.value.abs() + SATURATED * self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: Noise = Noise { measured: 1e-6, least: 0.0 };

    const STEPS: [f32; 8] = [
        1.0 / 32.0,
        1.0 / 128.0,
        1.0 / 512.0,
        1.0 / 2048.0,
        1.0 / 8192.0,
        1.0 / 32768.0,
        1.0 / 131072.0,
        1.0 / 524288.0,
    ];

    /// What one step says: nothing, or whether it differs.
    fn differs(along: f64, rise: f64, fall: f64, rounding: f64) -> Option<bool> {
        let one = Slope { along, length: 1.0 }.on_step(rise, fall, rounding).filter(OnStep::tells);
        one.map(|one| one.compared.differs())
    }

    /// Compares a gradient of the margin of two classes with the margin itself, a function of one pixel.
    fn compared(margin: impl Fn(f64) -> f64, gradient: f64, steps: &[f32]) -> Option<bool> {
        let scores = |offset: f32| vec![margin(f64::from(offset)) as f32, 0.0];
        let direction = Direction {
            signs: vec![1.0],
            around: steps
                .iter()
                .map(|step| Around { step: *step, after: scores(*step), before: scores(-step) })
                .collect(),
        };
        let slope = Slope::new(&[-gradient as f32], &direction);
        let pair = LabelAndTarget { label: 0, target: Some(1) };
        let point = SlopePoint { pixels: vec![0.5], pair, here: scores(0.0), directions: Vec::new() };
        slope.compare(Loss::Margin, &point, &direction, NOISE).map(|one| one.differs())
    }

    #[test]
    fn a_slope_is_the_mean_of_the_two_sides() {
        assert_eq!(differs(1.0, 1.0, 1.0, 0.0), Some(false));
        assert_eq!(differs(0.5, 1.0, 1.0, 0.0), Some(true));
        assert_eq!(differs(0.0, 1.0, 1.0, 0.0), Some(true), "no gradient, and the loss rises");
        assert_eq!(differs(1.0, 0.0, 0.0, 0.0), Some(true), "a gradient, and nothing moves");
        assert_eq!(differs(f64::NAN, 1.0, 1.0, 0.0), None);
    }

    #[test]
    fn a_kink_and_rounding_explain_as_much_as_they_are() {
        assert_eq!(differs(0.9, 1.0, 0.8, 0.0), Some(false));
        assert_eq!(differs(0.6, 1.0, 0.8, 0.0), Some(true));
        assert_eq!(differs(1.0, 1.0, 0.0, 0.0), None, "too much of a kink to tell");
        assert_eq!(differs(0.9, 1.0, 1.0, 0.1), Some(false));
        assert_eq!(differs(0.8, 1.0, 1.0, 0.5), None, "rounding hides the slope");
    }

    #[test]
    fn smooth_functions_are_told_from_their_gradients() {
        let functions: [(fn(f64) -> f64, f64); 3] =
            [(|x| 3.0 * x, 3.0), (|x| (2.0 * x).sin() + 5.0, 2.0), (|x| (20.0 * x).tanh(), 20.0)];
        for (margin, slope) in functions {
            for steps in [&STEPS[..], &[STEPS[0], 1.0 / 256.0, STEPS[3]]] {
                assert_eq!(compared(margin, slope, steps), Some(false), "{slope}");
                for wrong in [0.0, -slope, 0.5 * slope, 3.0 * slope, 50.0 * slope] {
                    assert_eq!(compared(margin, wrong, steps), Some(true), "{wrong} for {slope}");
                }
            }
        }
    }

    /// Short steps show what a function does that rises and falls within a long one; where they do not, nothing is said.
    #[test]
    fn functions_that_turn_within_a_step_are_no_difference() {
        let functions: [(&str, fn(f64) -> f64, f64); 4] = [
            ("soft rounding to levels", |x| x - (1600.0 * x).sin() / 1600.0 * 0.9, 0.1),
            ("ripples", |x| x + 5e-4 * (20_000.0 * x).sin(), 11.0),
            ("waves in which every step is lost", |x| (1e9 * x).sin(), 1e9),
            ("a sawtooth", |x| (x * 3000.0 + 0.25).rem_euclid(1.0), 3000.0),
        ];
        for (name, margin, slope) in functions {
            assert_ne!(compared(margin, slope, &STEPS), Some(true), "{name}");
        }
        assert_eq!(compared(functions[0].1, 1.0, &STEPS), Some(true), "the slope of what the ripples lie on");
    }

    /// The gradient of a saturated cross entropy is exp(-80); its differences in float64 are zero.
    #[test]
    fn a_saturated_loss_has_no_slope_to_compare() {
        // The margin rises by 16 a pixel on every step.
        let scores = |offset: f32| vec![80.0 + 16.0 * offset, 0.0];
        let around = STEPS[..3].iter();
        let around = around.map(|step| Around { step: *step, after: scores(*step), before: scores(-step) });
        let direction = Direction { signs: vec![1.0], around: around.collect() };
        let pair = LabelAndTarget { label: 0, target: Some(1) };
        let point = SlopePoint { pixels: vec![0.5], pair, here: scores(0.0), directions: Vec::new() };
        let compare = |loss, gradient: f32| {
            Slope::new(&[gradient], &direction).compare(loss, &point, &direction, NOISE)
        };
        assert_eq!(compare(Loss::CrossEntropy, -1e-30), None);
        let margin = compare(Loss::Margin, -16.0).unwrap();
        assert!(margin.difference <= margin.explained, "{margin:?}");
    }

    /// The file's `ln p` is 0 to the last bit of 1, where a copy still has its digits.
    #[test]
    fn logarithms_of_what_was_rounded_to_one_are_not_compared() {
        let scores = |offset: f32| vec![0.0, (0.0 - 6e-8 * (offset * 1e4).floor()).min(0.0), -1e-7, -3.0];
        let around = STEPS.iter();
        let around = around.map(|step| Around { step: *step, after: scores(*step), before: scores(-step) });
        let direction = Direction { signs: vec![1.0], around: around.collect() };
        let pair = LabelAndTarget { label: 0, target: Some(1) };
        let point = SlopePoint { pixels: vec![0.5], pair, here: scores(0.0), directions: Vec::new() };
        let noise = Noise { measured: 0.0, least: f64::from(f32::EPSILON) };
        let found = Slope::new(&[0.5], &direction).compare(Loss::TargetedDlr, &point, &direction, noise);
        assert_eq!(found.filter(Comparison::differs), None);
    }
}
