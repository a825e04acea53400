//! Signed gradient attacks on a classifier.

use tch::{Kind, Tensor};

use crate::adversary::LinfBall;
use crate::adversary::ball::gradient;

/// `steps` signed steps of `step_size` from `start`, each projected: PGD, and with one step FastAT. `loss` maps images to
/// a scalar, summed over the batch. Detached.
pub fn pgd(
    ball: &LinfBall,
    start: &Tensor,
    steps: usize,
    step_size: f64,
    loss: impl Fn(&Tensor) -> Tensor,
) -> Tensor {
    let mut x = start.detach();
    for _ in 0..steps {
        let gradient = gradient(&x, &loss);
        x = tch::no_grad(|| ball.signed_step(&x, &gradient, step_size));
    }
    x
}

/// The attack of TRADES: PGD that raises KL(clean ‖ adversarial). `clean_logits` `[N, K]` are taken as constants.
pub fn trades(
    ball: &LinfBall,
    start: &Tensor,
    steps: usize,
    step_size: f64,
    clean_logits: &Tensor,
    logits: impl Fn(&Tensor) -> Tensor,
) -> Tensor {
    let clean = clean_logits.detach();
    pgd(ball, start, steps, step_size, |x| crate::loss::kl_divergence(&clean, &logits(x)).sum(Kind::Float))
}
