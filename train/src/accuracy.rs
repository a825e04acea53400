//! Accuracy, clean and under PGD.

use mimir_data::DataError;
use tch::{Kind, Tensor};

use crate::adversary::{LinfBall, pgd};
use crate::images::DeviceBatch;
use crate::loss::{cross_entropy, smooth_targets};
use crate::random::Purpose;

/// PGD from a uniform start on cross-entropy; the last point counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PgdAttack {
    /// Radius ε of the L∞ ball, as a share of the range of pixels.
    pub epsilon: f64,
    /// Step size α, likewise.
    pub step_size: f64,
    /// Number of steps.
    pub steps: usize,
}

/// Counts of correctly classified images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Images evaluated.
    pub images: usize,
    /// Correct as they are.
    pub correct: usize,
    /// Correct as they are and after the attack; `None` where there was no attack. The attack bounds robust accuracy from
    /// above.
    pub still_correct: Option<usize>,
}

impl Accuracy {
    /// Share of the images that are classified correctly.
    pub fn clean(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }

    /// Share that is still classified correctly after the attack.
    pub fn robust(&self) -> Option<f64> {
        Some(self.still_correct? as f64 / self.images as f64)
    }
}

/// Accuracy on clean images and, with an attack, on adversarial ones. An image is robust if it is classified correctly
/// before and after the attack.
///
/// # Errors
/// An image that cannot be read.
pub fn measure(
    logits: impl Fn(&Tensor) -> Tensor,
    batches: impl Iterator<Item = Result<DeviceBatch, DataError>>,
    attack: Option<&PgdAttack>,
) -> Result<Accuracy, DataError> {
    let mut total = Accuracy { still_correct: attack.map(|_| 0), ..Accuracy::default() };
    for batch in batches {
        let batch = batch?;
        let correct = tch::no_grad(|| correct(&logits(&batch.images), &batch.label_tensor));
        total.images += batch.labels.len();
        total.correct += count(&correct);
        if let (Some(attack), Some(still)) = (attack, &mut total.still_correct) {
            let attacked = attacked(&logits, &batch, attack);
            let robust = tch::no_grad(|| self::correct(&logits(&attacked), &batch.label_tensor));
            *still += count(&robust.logical_and(&correct));
        }
    }
    Ok(total)
}

fn attacked(logits: impl Fn(&Tensor) -> Tensor, batch: &DeviceBatch, attack: &PgdAttack) -> Tensor {
    let ball = LinfBall::new(&batch.images, attack.epsilon);
    let start = ball.random_start(&batch.images, batch.rng(), Purpose::Evaluation);
    pgd(&ball, &start, attack.steps, attack.step_size, |x| {
        let logits = logits(x);
        let targets = smooth_targets(&batch.label_tensor, logits.size()[1], 0.0);
        cross_entropy(&logits, &targets).sum(Kind::Float)
    })
}

/// Rows whose largest logit is that of the label; never a row with a NaN.
fn correct(logits: &Tensor, labels: &Tensor) -> Tensor {
    let finite = logits.isfinite().all_dim(1, false);
    logits.argmax(1, false).eq_tensor(labels).logical_and(&finite)
}

fn count(flags: &Tensor) -> usize {
    usize::try_from(flags.sum(Kind::Int64).int64_value(&[])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of one pixel; class 1 above 0.5, by a margin of 10 times the distance.
    fn threshold(x: &Tensor) -> Tensor {
        let score = (x.flatten(1, -1).select(1, 0) - 0.5) * 10.0;
        Tensor::stack(&[&-&score, &score], 1)
    }

    fn batch(pixels: &[f32], labels: &[i64]) -> DeviceBatch {
        let images = Tensor::from_slice(pixels).reshape([-1, 1, 1, 1]);
        DeviceBatch::new(images, labels.to_vec(), (0..labels.len() as u64).collect(), 0)
    }

    #[test]
    fn an_attack_takes_what_is_closer_than_the_radius() {
        let attack = PgdAttack { epsilon: 0.1, step_size: 0.03, steps: 10 };
        let images = batch(&[0.9, 0.55, 0.45, 0.1, 0.9], &[1, 1, 0, 0, 0]);
        let found = measure(threshold, [Ok(images)].into_iter(), Some(&attack)).unwrap();
        assert_eq!(found, Accuracy { images: 5, correct: 4, still_correct: Some(2) });
    }

    #[test]
    fn a_nan_is_never_correct() {
        let nan = |x: &Tensor| threshold(x) * f64::NAN;
        let found = measure(nan, [Ok(batch(&[0.9], &[0]))].into_iter(), None).unwrap();
        assert_eq!(found, Accuracy { images: 1, correct: 0, still_correct: None });
    }
}
