//! Losses of classification, a number for each image.

mod mixing;

pub use mixing::Mixing;

use tch::{Kind, Tensor};

/// Targets `[N, K]` of labels `[N]`: 1 − s at the label, and s spread over all classes.
pub fn smooth_targets(labels: &Tensor, classes: i64, smoothing: f64) -> Tensor {
    labels.one_hot(classes).to_kind(Kind::Float) * (1.0 - smoothing) + smoothing / classes as f64
}

/// Cross-entropy `[N]` of logits `[N, K]` against targets `[N, K]` that sum to 1.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Tensor {
    -(logits.log_softmax(-1, Kind::Float) * targets).sum_dim_intlist(-1, false, Kind::Float)
}

/// KL(p ‖ q) in nats, `[N]`, of the distributions that logits `p` and `q` `[N, K]` stand for.
pub fn kl_divergence(p: &Tensor, q: &Tensor) -> Tensor {
    let log_p = p.log_softmax(-1, Kind::Float);
    let difference = &log_p - q.log_softmax(-1, Kind::Float);
    (log_p.exp() * difference).sum_dim_intlist(-1, false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_spreads_a_share_over_all_classes() {
        let targets = smooth_targets(&Tensor::from_slice(&[1i64]), 4, 0.2);
        let wanted = Tensor::from_slice(&[0.05f32, 0.85, 0.05, 0.05]).reshape([1, 4]);
        assert!(targets.allclose(&wanted, 0.0, 1e-7, false));
    }

    #[test]
    fn losses_of_two_classes_by_hand() {
        let logits = Tensor::from_slice(&[3f32.ln(), 0.0]).reshape([1, 2]); // probabilities 3/4 and 1/4
        let even = Tensor::from_slice(&[0.0f32, 0.0]).reshape([1, 2]);
        let label = smooth_targets(&Tensor::from_slice(&[1i64]), 2, 0.0);
        assert!((cross_entropy(&logits, &label).double_value(&[0]) - 4f64.ln()).abs() < 1e-6);
        let wanted = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((kl_divergence(&logits, &even).double_value(&[0]) - wanted).abs() < 1e-6);
        assert_eq!(kl_divergence(&logits, &logits).double_value(&[0]), 0.0);
    }
}
