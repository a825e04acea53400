//! Scores of the file against scores of a copy.

use super::comparison::Comparison;
use super::expected::{Expected, Rounding, SearchedScores};
use crate::logits::predicted_class;

/// Movements of the last bits of the input that a difference may have the size of.
const MOVEMENTS: f64 = 16.0;

/// Last bits of the largest score that a difference may have the size of.
const LAST_BITS: f64 = 32.0;

/// Probabilities below this count as it: their logarithms say nothing that a prediction depends on.
const LEAST_PROBABILITY: f64 = 1e-6;

/// What a graph says of one point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scored {
    /// `[K]`
    pub(super) logits: Vec<f32>,
    /// What the file would return `[K]`, where the graph computes that too.
    pub(super) returned: Option<Vec<f32>>,
}

/// How far apart file and copy are at one point, where `jitter` is how far the last bits of the input move a score; `None`
/// where one of them says nothing, such as NaN.
pub(super) fn compare(expected: &Expected, file: &[f32], copy: &Scored, jitter: f64) -> Option<Comparison> {
    if file.len() != copy.logits.len() || !is_meant(file) || !is_meant(&copy.logits) {
        return None;
    }
    let rounding = expected.rounding;
    match (expected.scores, &copy.returned) {
        (SearchedScores::Equal, _) => values(&widened(file), &widened(&copy.logits), jitter, rounding),
        (SearchedScores::Logarithms, _) => {
            let copy = log_softmax(&copy.logits, least(rounding));
            values(&logarithms(file, least(rounding)), &copy, jitter, rounding)
        }
        (SearchedScores::Ordered, Some(returned)) => {
            values(&widened(file), &widened(returned), jitter, rounding)
        }
        (SearchedScores::Ordered, None) => order(&widened(file), &widened(&copy.logits), jitter, rounding),
    }
}

/// How far apart two answers of the file are, in the form in which it is compared; 0 where one says nothing.
pub(super) fn movement(expected: &Expected, left: &[f32], right: &[f32]) -> f64 {
    if !is_meant(left) || !is_meant(right) {
        return 0.0;
    }
    let form = |scores: &[f32]| match expected.scores {
        SearchedScores::Logarithms => logarithms(scores, least(expected.rounding)),
        SearchedScores::Equal | SearchedScores::Ordered => widened(scores),
    };
    comparable(&form(left), &form(right)).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}

/// The file's scores in the form of those of a copy, to take losses of: NaN and infinities stay what they are.
pub(super) fn file_form(expected: &Expected, file: &[f32]) -> Vec<f32> {
    match expected.scores {
        SearchedScores::Logarithms => file.iter().map(|probability| probability.ln()).collect(),
        SearchedScores::Equal | SearchedScores::Ordered => file.to_vec(),
    }
}

/// Whether scores mean a class.
fn is_meant(scores: &[f32]) -> bool {
    predicted_class(scores).is_some()
}

fn values(file: &[f64], copy: &[f64], jitter: f64, rounding: Rounding) -> Option<Comparison> {
    let pairs = || comparable(file, copy);
    pairs().next()?;
    let difference = pairs().map(|(file, copy)| (file - copy).abs()).fold(0.0, f64::max);
    let largest = pairs().map(|(file, copy)| file.abs().max(copy.abs())).fold(0.0, f64::max);
    let spread = spread(pairs().map(|(file, _)| file)).max(spread(pairs().map(|(_, copy)| copy)));
    let scale = [spread, largest].into_iter().find(|scale| *scale > 0.0).unwrap_or(1.0);
    let explained = rounding.relative * spread + LAST_BITS * rounding.unit * largest + MOVEMENTS * jitter;
    Some(Comparison { difference: difference / scale, explained: explained / scale, scale })
}

/// The class that the copy puts first must be first in the file, or as good as.
fn order(file: &[f64], copy: &[f64], jitter: f64, rounding: Rounding) -> Option<Comparison> {
    let first =
        |scores: &[f64]| (0..scores.len()).max_by(|left, right| scores[*left].total_cmp(&scores[*right]));
    let (of_file, of_copy) = (first(file)?, first(copy)?);
    let finite = |scores: &[f64]| spread(scores.iter().copied().filter(|score| score.is_finite()));
    let (scale, copy_scale) = (finite(file), finite(copy));
    // How far the file has another class before the copy's first, and how sure the copy is of it.
    let (behind, ahead) = (file[of_file] - file[of_copy], copy[of_copy] - copy[of_file]);
    let is_sure = ahead > rounding.relative * copy_scale;
    let scale = if scale > 0.0 { scale } else { 1.0 };
    let difference = if is_sure && behind.is_finite() { behind / scale } else { 0.0 };
    Some(Comparison { difference, explained: rounding.relative + MOVEMENTS * jitter / scale, scale })
}

/// The pairs of two finite numbers.
fn comparable<'s>(left: &'s [f64], right: &'s [f64]) -> impl Iterator<Item = (f64, f64)> + Clone + 's {
    let pairs = left.iter().copied().zip(right.iter().copied());
    pairs.filter(|(left, right)| left.is_finite() && right.is_finite())
}

/// The largest distance from the mean.
fn spread(scores: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = scores.clone().count().max(1) as f64;
    let mean = scores.clone().sum::<f64>() / count;
    scores.map(|score| (score - mean).abs()).fold(0.0, f64::max)
}

fn widened(scores: &[f32]) -> Vec<f64> {
    scores.iter().copied().map(f64::from).collect()
}

/// Below this a coarse type has few bits left.
fn least(rounding: Rounding) -> f64 {
    rounding.unit.max(LEAST_PROBABILITY)
}

/// Of their shares, as a product of probabilities does not sum to one.
fn logarithms(probabilities: &[f32], least: f64) -> Vec<f64> {
    let total: f64 = probabilities.iter().copied().map(f64::from).sum();
    probabilities.iter().map(|probability| (f64::from(*probability) / total).max(least).ln()).collect()
}

fn log_softmax(logits: &[f32], least: f64) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted = |logit: &f32| f64::from(*logit) - f64::from(largest);
    let total: f64 = logits.iter().map(|logit| shifted(logit).exp()).sum();
    logits.iter().map(|logit| (shifted(logit) - total.ln()).max(least.ln())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::same_function::expected::ExpectedGradients;

    fn expected(scores: SearchedScores) -> Expected {
        let rounding = Rounding { unit: f64::from(f32::EPSILON), relative: 1e-3 };
        Expected { scores, rounding, has_steps: false, gradients: ExpectedGradients::Derivatives }
    }

    fn compared(scores: SearchedScores, file: &[f32], copy: &[f32]) -> Option<Comparison> {
        compare(&expected(scores), file, &Scored { logits: copy.to_vec(), returned: None }, 0.0)
    }

    fn differs(scores: SearchedScores, file: &[f32], copy: &[f32]) -> bool {
        let compared = compared(scores, file, copy).unwrap();
        compared.difference > compared.explained
    }

    #[test]
    fn a_difference_is_relative_to_what_tells_classes_apart() {
        use SearchedScores::Equal;
        assert!(!differs(Equal, &[1.0, -1.0], &[1.0005, -1.0]));
        assert!(differs(Equal, &[1.0, -1.0], &[1.002, -1.0]));
        // A constant in front of all scores hides nothing, but its own last bits.
        assert!(differs(Equal, &[101.0, 99.0], &[101.01, 99.0]));
        assert!(!differs(Equal, &[1e6 + 1.0, 1e6 - 1.0], &[1e6 + 1.25, 1e6 - 1.0]));
        assert!(!differs(Equal, &[0.0, 0.0], &[0.0, 0.0]) && differs(Equal, &[1.0, 1.0], &[2.0, 2.0]));
    }

    #[test]
    fn what_the_last_bits_of_the_input_move_is_explained() {
        let copy = Scored { logits: vec![1.1, -1.0], returned: None };
        let of = |jitter| compare(&expected(SearchedScores::Equal), &[1.0, -1.0], &copy, jitter).unwrap();
        assert!(of(0.0).differs() && !of(0.01).differs());
    }

    #[test]
    fn logarithms_of_a_softmax_are_compared_up_to_a_constant() {
        use SearchedScores::Logarithms;
        let probabilities = [0.7_f32, 0.2, 0.1];
        let logits = probabilities.map(|probability| probability.ln() + 5.0);
        assert!(!differs(Logarithms, &probabilities, &logits));
        assert!(differs(Logarithms, &probabilities, &[logits[0], logits[1], logits[2] + 0.1]));
        // Both are nothing.
        assert!(!differs(Logarithms, &[1.0, 0.0, 0.0], &[90.0, 0.0, -300.0]));
        assert!(differs(Logarithms, &[1.0, 0.0, 0.0], &[1.0, 0.0, -300.0]));
    }

    #[test]
    fn of_other_scores_the_first_class_counts() {
        use SearchedScores::Ordered;
        assert!(!differs(Ordered, &[1.0, 0.5, 0.0], &[900.0, 3.0, -2.0]));
        assert!(!differs(Ordered, &[1.0, 1.0, 0.0], &[3.0, 900.0, -2.0]), "a tie of the file");
        assert!(!differs(Ordered, &[1.0, 0.5, 0.0], &[3.0, 3.0005, -2.0]), "a tie of the copy");
        assert!(differs(Ordered, &[1.0, 0.5, 0.0], &[3.0, 4.0, -2.0]));
        let returned = Scored { logits: vec![9.0, 1.0], returned: Some(vec![1.0, 0.25]) };
        let of = |file: &[f32]| compare(&expected(Ordered), file, &returned, 0.0).unwrap();
        assert!(!of(&[1.0, 0.25]).differs() && of(&[1.0, 0.5]).differs());
    }

    #[test]
    fn what_means_nothing_is_not_compared() {
        use SearchedScores::{Equal, Ordered};
        for scores in [Equal, Ordered] {
            assert_eq!(compared(scores, &[f32::NAN, 1.0], &[0.0, 1.0]), None);
            assert_eq!(compared(scores, &[0.0, 1.0], &[f32::INFINITY, 1.0]), None);
            assert_eq!(compared(scores, &[0.0, 1.0], &[0.0, 1.0, 2.0]), None);
            assert!(!differs(scores, &[f32::NEG_INFINITY, 1.0, 0.0], &[-1e30, 1.0, 0.0]));
        }
    }
}
