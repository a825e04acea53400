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

/// The same of probabilities that do not sum to one, such as a mean of logistic functions. Engines compute these to the
/// last bit of 1 (2⁻²⁵ and less in ONNX Runtime), not to the last bit of what they are, so that of smaller ones the
/// logarithm is off by more than `FLOAT32` of a comparison allows.
const LEAST_OF_OTHERS: f64 = 1e-4;

/// How far from one the sum of probabilities of a softmax may be.
const SUMS_TO_ONE: f64 = 1e-3;

/// Smaller numbers have few bits, or none in an engine that takes them for zero.
const LEAST_NORMAL: f64 = f32::MIN_POSITIVE as f64;

/// What a graph says of one point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scored {
    /// `[K]`
    pub(crate) logits: Vec<f32>,
    /// What the file would return `[K]`, where the graph computes that too.
    pub(crate) returned: Option<Vec<f32>>,
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
            let anchor = Anchor::new(file, rounding)?;
            values(&anchor.of_probabilities(file), &anchor.of_logarithms(&copy.logits), jitter, rounding)
        }
        (SearchedScores::Ordered, Some(returned)) => {
            let values = values(&widened(file), &widened(returned), jitter, rounding)?;
            // What a logistic function returns is exact to the last bit of 1, and two ways to compute it differ by as much.
            // Scores that are all so small are told apart by the order of those before.
            match values.differs() && values.difference * values.scale <= rounding.unit {
                true => order(&widened(file), &widened(&copy.logits), jitter, rounding),
                false => Some(values),
            }
        }
        (SearchedScores::Ordered, None) => order(&widened(file), &widened(&copy.logits), jitter, rounding),
    }
}

/// How far apart two answers of the file are, in the form in which it is compared; 0 where one says nothing.
pub(super) fn movement(expected: &Expected, left: &[f32], right: &[f32]) -> f64 {
    if !is_meant(left) || !is_meant(right) {
        return 0.0;
    }
    let forms = match expected.scores {
        SearchedScores::Equal | SearchedScores::Ordered => Some((widened(left), widened(right))),
        SearchedScores::Logarithms => Anchor::new(left, expected.rounding)
            .map(|anchor| (anchor.of_probabilities(left), anchor.of_probabilities(right))),
    };
    let Some((left, right)) = forms else { return 0.0 };
    comparable(&left, &right).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}

/// The file's scores in the form of those of a copy, to take losses of: NaN and infinities stay what they are.
pub(super) fn file_form(expected: &Expected, file: &[f32]) -> Vec<f32> {
    match expected.scores {
        SearchedScores::Logarithms => file.iter().map(|probability| probability.ln()).collect(),
        SearchedScores::Equal | SearchedScores::Ordered => file.to_vec(),
    }
}

/// The least that rounding moves scores in that form: a probability near 1 is rounded to the last bit of 1.
pub(super) fn least_movement(expected: &Expected) -> f64 {
    match expected.scores {
        SearchedScores::Logarithms => expected.rounding.unit,
        SearchedScores::Equal | SearchedScores::Ordered => 0.0,
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
    let explained =
        rounding.relative * spread + LAST_BITS * rounding.unit * largest + MOVEMENTS * jitter + LEAST_NORMAL;
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
    let explained = rounding.relative + (MOVEMENTS * jitter + LEAST_NORMAL) / scale;
    Some(Comparison { difference, explained, scale })
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

/// Logarithms of probabilities are compared as those of their ratios to the largest of the file, as they are known up to a
/// constant. Small ones count as the least that says something.
struct Anchor {
    class: usize,
    /// `ln` of the least ratio.
    least: f64,
    /// `ln` of the largest probability.
    largest: f64,
}

impl Anchor {
    /// `None` where no probability says anything.
    fn new(file: &[f32], rounding: Rounding) -> Option<Self> {
        let class = (0..file.len()).max_by(|left, right| file[*left].total_cmp(&file[*right]))?;
        let largest = f64::from(file[class]);
        let total: f64 = file.iter().copied().map(f64::from).sum();
        let is_softmax = (total - 1.0).abs() <= SUMS_TO_ONE.max(rounding.unit * file.len() as f64);
        let least = if is_softmax { LEAST_PROBABILITY } else { LEAST_OF_OTHERS };
        // Below its last bit a coarse type has few bits left.
        let least = least.max(rounding.unit);
        (largest > least && largest.is_finite()).then(|| Self {
            class,
            least: least.ln() - largest.ln(),
            largest: largest.ln(),
        })
    }

    fn of_probabilities(&self, probabilities: &[f32]) -> Vec<f64> {
        let ratio = |probability: &f32| f64::from(*probability).ln() - self.largest;
        probabilities.iter().map(|probability| ratio(probability).max(self.least)).collect()
    }

    fn of_logarithms(&self, logarithms: &[f32]) -> Vec<f64> {
        let ratio = |logarithm: &f32| f64::from(*logarithm) - f64::from(logarithms[self.class]);
        logarithms.iter().map(|logarithm| ratio(logarithm).max(self.least)).collect()
    }
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
        assert!(differs(Logarithms, &[1.0, 0.0, 0.0], &[0.0, 90.0, -300.0]), "another class first");
    }

    #[test]
    fn probabilities_that_are_computed_to_the_last_bit_of_one_are_compared_as_such() {
        use SearchedScores::Logarithms;
        let logits = [-0.7_f32, -3.0, -9.0];
        let file = logits.map(f32::exp);
        assert!(!differs(Logarithms, &file, &logits) && differs(Logarithms, &file, &[-0.7, -3.1, -9.0]));
        // Off by 2^-25.
        let off = |probability: f32| probability + 3e-8;
        let small = [-11.0_f32, -13.0, -12.5];
        assert!(!differs(Logarithms, &[file[0], off(small[1].exp()), 0.0], &[-0.7, small[1], -25.0]));
        assert_eq!(compared(Logarithms, &small.map(|one| off(one.exp())), &small), None, "all are rounding");
        assert!(differs(Logarithms, &[file[0], 0.0, 0.0], &[-0.7, -4.0, -25.0]), "not one of them");
    }

    #[test]
    fn what_is_smaller_than_the_last_bit_of_one_is_compared_by_its_order() {
        let returned = Some(vec![3.0e-8, 6.0e-8, 0.0]);
        let of = |file: [f32; 3], logits: [f32; 3]| {
            let copy = Scored { logits: logits.to_vec(), returned: returned.clone() };
            compare(&expected(SearchedScores::Ordered), &file, &copy, 0.0).unwrap().differs()
        };
        let logits = [-17.0, -16.7, -19.0];
        assert!(!of(logits.map(f32::exp), logits), "{:?}", logits.map(f32::exp));
        assert!(of(logits.map(f32::exp), [-16.0, -16.7, -19.0]));
        assert!(of([0.1, 0.2, 0.3], logits));
    }

    #[test]
    fn numbers_without_bits_are_not_told_apart() {
        use SearchedScores::Equal;
        assert!(
            !differs(Equal, &[1e-43, 3e-43], &[1e-43, 2e-43])
                && !differs(Equal, &[1e-43, 3e-43], &[0.0, 0.0])
        );
        assert!(differs(Equal, &[1e-30, 3e-30], &[1e-30, 2e-30]));
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
