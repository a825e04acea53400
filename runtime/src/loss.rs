//! The losses in closed form: value and derivative at the logits. Gradient graphs compute the same inside ONNX Runtime;
//! these serve the models of tests, and say what those graphs must give.
//!
//! Symbols: `z` the logits, `y` the label, `t` the target, `z_(r)` the r-th largest logit.

use crate::model::{LabelAndTarget, Loss};

/// Writes `∂loss/∂z`, `[K]`, and returns the loss. Computed in `f64`.
///
/// # Panics
/// When a targeted loss has no target, or there are fewer classes than the loss needs (see [`Loss`]).
pub fn at_logits(loss: Loss, logits: &[f32], pair: LabelAndTarget, cotangent: &mut [f32]) -> f32 {
    cotangent.fill(0.0);
    let target = || pair.target.expect("a targeted loss has a target");
    match loss {
        Loss::CrossEntropy => cross_entropy(logits, pair.label, cotangent),
        Loss::Margin | Loss::RelaxedMargin => {
            cotangent[target()] += 1.0;
            cotangent[pair.label] -= 1.0;
            logits[target()] - logits[pair.label]
        }
        Loss::Dlr => {
            let order = descending(logits);
            let other = if order[0] == pair.label { order[1] } else { order[0] };
            ratio(logits, pair.label, other, &[(order[0], 1.0), (order[2], -1.0)], cotangent)
        }
        Loss::TargetedDlr => {
            let order = descending(logits);
            let scale = [(order[0], 1.0), (order[2], -0.5), (order[3], -0.5)];
            ratio(logits, pair.label, target(), &scale, cotangent)
        }
    }
}

fn cross_entropy(logits: &[f32], label: usize, cotangent: &mut [f32]) -> f32 {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, logit| largest.max(f64::from(*logit)));
    let exponential = |logit: &f32| libm::exp(f64::from(*logit) - largest);
    let total: f64 = logits.iter().map(exponential).sum();
    for (derivative, logit) in cotangent.iter_mut().zip(logits) {
        *derivative = (exponential(logit) / total) as f32;
    }
    cotangent[label] = ((exponential(&logits[label]) - total) / total) as f32;
    (libm::log(total) - (f64::from(logits[label]) - largest)) as f32
}

/// `(z_other - z_label) / (Σ scale · z)`, both differentiated.
fn ratio(logits: &[f32], label: usize, other: usize, scale: &[(usize, f64)], cotangent: &mut [f32]) -> f32 {
    let z = |class: usize| f64::from(logits[class]);
    // Of equal logits there is no ratio: then the difference itself. The reference adds 1e-12, which would decide alone
    // where the logits have that scale.
    let compared = scale.iter().map(|(class, weight)| weight * z(*class)).sum::<f64>();
    let denominator = if compared == 0.0 { 1.0 } else { compared };
    let value = (z(other) - z(label)) / denominator;
    // Terms of one class may cancel: they are added before they are narrowed.
    let terms = || {
        let scale = scale.iter().map(|(class, weight)| (*class, -value * weight));
        [(other, 1.0), (label, -1.0)].into_iter().chain(scale)
    };
    for (class, _) in terms() {
        let same = terms().filter(|(other, _)| *other == class);
        cotangent[class] = (same.map(|(_, derivative)| derivative).sum::<f64>() / denominator) as f32;
    }
    value as f32
}

/// Classes by falling logit; equal logits by class.
fn descending(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|left, right| logits[*right].total_cmp(&logits[*left]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 4.0, -2.0, 3.0, 0.5];

    fn value(loss: Loss, logits: &[f32], label: usize, target: Option<usize>) -> f32 {
        at_logits(loss, logits, LabelAndTarget { label, target }, &mut vec![0.0; logits.len()])
    }

    #[test]
    fn values_by_hand() {
        // -(4 - 3) / (4 - 1); misclassified: -(3 - 4) / (4 - 1); far behind: -(-2 - 4) / 3.
        assert!((value(Loss::Dlr, &LOGITS, 1, None) + 1.0 / 3.0).abs() < 1e-6);
        assert!((value(Loss::Dlr, &LOGITS, 3, None) - 1.0 / 3.0).abs() < 1e-6);
        assert!((value(Loss::Dlr, &LOGITS, 2, None) - 2.0).abs() < 1e-6);
        // -(4 - 1) / (4 - (1 + 0.5) / 2)
        assert!((value(Loss::TargetedDlr, &LOGITS, 1, Some(0)) + 3.0 / 3.25).abs() < 1e-6);
        assert_eq!(value(Loss::Margin, &LOGITS, 1, Some(2)), -6.0);
        // log(1 + e) - 1
        assert!((value(Loss::CrossEntropy, &[0.0, 1.0], 1, None) - 0.313_261_7).abs() < 1e-6);
    }

    #[test]
    fn derivatives_are_those_of_central_differences() {
        for &loss in Loss::ALL {
            for label in 0..5 {
                for target in (0..5).filter(|target| *target != label) {
                    let pair = LabelAndTarget { label, target: Some(target) };
                    let mut cotangent = [0.0; 5];
                    at_logits(loss, &LOGITS, pair, &mut cotangent);
                    for (class, derivative) in cotangent.iter().enumerate() {
                        let moved = |step: f32| {
                            let mut logits = LOGITS;
                            logits[class] += step;
                            at_logits(loss, &logits, pair, &mut [0.0; 5])
                        };
                        let difference = (moved(0.01) - moved(-0.01)) / 0.02;
                        assert!((difference - derivative).abs() < 1e-3, "{loss:?} {label} {target} {class}");
                    }
                }
            }
        }
    }

    #[test]
    fn ratios_do_not_depend_on_the_scale_of_the_logits() {
        for scale in [1e-30, 1e-6, 1e6, 1e30] {
            let scaled = LOGITS.map(|logit| logit * scale);
            for (loss, target) in [(Loss::Dlr, None), (Loss::TargetedDlr, Some(4))] {
                let gap = value(loss, &scaled, 1, target) - value(loss, &LOGITS, 1, target);
                assert!(gap.abs() < 1e-5, "{loss:?} {scale}: {gap}");
            }
        }
    }
}
