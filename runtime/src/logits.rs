//! Small questions about the numbers that a model returns for one image.

use multiversion::multiversion;

/// What a row of logits means: a class, or nothing. Every question about what a model predicts is asked here.
///
/// The class is the first of the largest logits, as `argmax` has it everywhere. A row that holds NaN or +∞ means
/// nothing: two programs would read another class in it. -∞ is an ordinary score, such as the logarithm of a probability
/// that rounded to zero; where every class has it, the first is named, as of any equal scores.
pub(crate) fn predicted_class(logits: &[f32]) -> Option<usize> {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if logit.is_nan() || *logit == f32::INFINITY {
            return None;
        }
        if *logit > logits[best] {
            best = class;
        }
    }
    logits.get(best).map(|_| best)
}

/// `z_label - max of the others`: not positive where the image is misclassified or tied. Infinite where -∞ stands on
/// one side; of a row that means a class it is never NaN.
pub(crate) fn margin(logits: &[f32], label: usize) -> f32 {
    let others = logits.iter().enumerate().filter(|(class, _)| *class != label);
    let largest = others.fold(f32::NEG_INFINITY, |largest, (_, logit)| largest.max(*logit));
    // Both may be -∞.
    if logits[label] == largest { 0.0 } else { logits[label] - largest }
}

/// The first of the largest logits but that of one class; none where there is no other class.
pub(crate) fn highest_except(logits: &[f32], class: usize) -> Option<usize> {
    let others = (0..logits.len()).filter(|other| *other != class);
    others.reduce(|best, other| if logits[other] > logits[best] { other } else { best })
}

/// How far from a tie, relative to the largest logit, the rounding of a model in float32 reaches: 16 units in the last
/// place. A misclassification by less may be one of rounding alone, which no other engine, processor or precision shares.
pub(crate) const ROUNDING: f32 = 16.0 * f32::EPSILON;

/// Whether the label and the largest other logit differ by no more than rounding.
pub(crate) fn is_fragile(logits: &[f32], label: usize) -> bool {
    margin(logits, label).abs() <= ROUNDING * largest_size(logits)
}

/// How close to a tie the logits of two sessions over the same model may disagree, relative to the largest logit.
/// Measured: 3·10⁻⁷ on a Vision Transformer. A generous bound costs only a few forward passes.
pub(crate) const DOUBT: f32 = 1e-4;

/// The same where one of the sessions multiplies in bfloat16: a unit of its last place. Measured: 3·10⁻³ on a Vision Transformer.
pub(crate) const DOUBT_IN_BFLOAT16: f32 = 1.0 / 128.0;

/// Whether logits that may differ from the original model's, by `doubt` of the largest, are reason to ask the original model. The row
/// must mean a class.
pub(crate) fn looks_broken(logits: &[f32], label: usize, doubt: f32) -> bool {
    margin(logits, label) <= doubt * largest_size(logits)
}

/// Whether logits misclassify by more than they may differ from the original model's. The row must mean a class.
pub(crate) fn is_clearly_broken(logits: &[f32], label: usize, doubt: f32) -> bool {
    margin(logits, label) < -doubt * largest_size(logits)
}

/// The largest absolute value that is finite.
fn largest_size(logits: &[f32]) -> f32 {
    logits.iter().map(|logit| logit.abs()).filter(|size| size.is_finite()).fold(0.0, f32::max)
}

/// How far apart, relative to the largest, equal scores of a saturated output may be in two sessions.
const EQUAL: f32 = 1e-6;

/// Whether the label does not have the largest of the scores that the file returns, alone, or they mean no class; not
/// where there are none.
pub(crate) fn is_tied(returned: &[f32], label: usize) -> bool {
    let is_tied = || margin(returned, label) <= EQUAL * largest_size(returned);
    !returned.is_empty() && (predicted_class(returned).is_none() || is_tied())
}

/// Whether every number is finite. No early exit: the loop over a gradient vectorises.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |finite, value| finite & value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: f32 = f32::NEG_INFINITY;

    #[test]
    fn nan_and_plus_infinity_mean_no_class() {
        let ambiguous: [&[f32]; 4] = [&[f32::NAN, 1.0], &[1.0, 2.0, f32::NAN], &[f32::INFINITY, 0.0], &[]];
        for logits in ambiguous {
            assert_eq!(predicted_class(logits), None, "{logits:?}");
        }
    }

    #[test]
    fn equal_scores_of_a_saturated_output_are_ties() {
        assert!(is_tied(&[1.0, 0.5, 1.0], 2) && is_tied(&[1.0, 0.5, 1.0], 0) && is_tied(&[0.0, 0.0], 1));
        assert!(!is_tied(&[1.0, 0.5, 0.99], 0) && !is_tied(&[], 0) && !is_tied(&[1.0, LOST], 0));
        assert!(is_tied(&[1.0, f32::NAN], 0));
    }

    #[test]
    fn a_margin_of_rounding_is_fragile_at_every_scale() {
        for scale in [1e-20_f32, 1.0, 1e20] {
            let logits = |margin: f32| [2.0 * scale, (2.0 + margin) * scale];
            assert!(
                is_fragile(&logits(0.0), 0)
                    && is_fragile(&logits(2.4e-7), 0)
                    && is_fragile(&logits(-2e-6), 0)
            );
            assert!(
                !is_fragile(&logits(1e-5), 0)
                    && !is_fragile(&logits(-1e-5), 0)
                    && !is_fragile(&logits(1.0), 0)
            );
        }
    }

    #[test]
    fn one_bad_number_is_seen_wherever_it_is() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for position in 0..9 {
                let mut values = [1.0; 9];
                assert!(all_finite(&values));
                values[position] = bad;
                assert!(!all_finite(&values), "{bad} at {position}");
            }
        }
    }

    #[test]
    fn coarser_searches_are_doubted_further_from_a_tie() {
        let logits = [8.0, 7.95];
        assert!(looks_broken(&logits, 0, DOUBT_IN_BFLOAT16) && !looks_broken(&logits, 0, DOUBT));
        assert!(!is_clearly_broken(&logits, 1, DOUBT_IN_BFLOAT16) && is_clearly_broken(&logits, 1, DOUBT));
        assert!(is_clearly_broken(&[8.0, 7.9], 1, DOUBT_IN_BFLOAT16));
    }

    #[test]
    fn predictions_margins_and_doubts() {
        struct Case {
            logits: &'static [f32],
            label: usize,
            prediction: usize,
            margin: f32,
            looks_broken: bool,
        }
        let cases = [
            Case { logits: &[1.0, 3.0, 2.0], label: 1, prediction: 1, margin: 1.0, looks_broken: false },
            Case { logits: &[1.0, 3.0, 2.0], label: 2, prediction: 1, margin: -1.0, looks_broken: true },
            // A tie goes to the first class, and is worth asking about.
            Case { logits: &[2.0, 2.0], label: 0, prediction: 0, margin: 0.0, looks_broken: true },
            Case { logits: &[2.0, 2.0], label: 1, prediction: 0, margin: 0.0, looks_broken: true },
            Case { logits: &[100.0, 99.995], label: 0, prediction: 0, margin: 0.005, looks_broken: true },
            Case { logits: &[100.0, 99.5], label: 0, prediction: 0, margin: 0.5, looks_broken: false },
            Case { logits: &[1e-6, 0.5e-6], label: 0, prediction: 0, margin: 0.5e-6, looks_broken: false },
            // Scores of -inf are equal ones, as argmax has it.
            Case { logits: &[LOST, LOST], label: 0, prediction: 0, margin: 0.0, looks_broken: true },
            Case { logits: &[LOST, LOST], label: 1, prediction: 0, margin: 0.0, looks_broken: true },
            // A class that loses by -inf says nothing about the others.
            Case { logits: &[3.0, LOST, 1.0], label: 0, prediction: 0, margin: 2.0, looks_broken: false },
            Case { logits: &[3.0, LOST, 1.0], label: 1, prediction: 0, margin: LOST, looks_broken: true },
            Case {
                logits: &[LOST, 2.0],
                label: 1,
                prediction: 1,
                margin: f32::INFINITY,
                looks_broken: false,
            },
        ];
        for case in cases {
            assert_eq!(predicted_class(case.logits), Some(case.prediction), "{:?}", case.logits);
            let found = margin(case.logits, case.label);
            assert!(found == case.margin || (found - case.margin).abs() < 1e-5, "{:?}", case.logits);
            assert_eq!(looks_broken(case.logits, case.label, DOUBT), case.looks_broken, "{:?}", case.logits);
        }
    }
}
