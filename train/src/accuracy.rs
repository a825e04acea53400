//! Accuracy, clean and under PGD.

use mimir_data::DataError;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::adversary::{LinfBall, pgd};
use crate::images::DeviceBatch;
use crate::loss::{cross_entropy, smooth_targets};
use crate::random::Purpose;

/// In the place of a class on its way from the device.
const NO_CLASS: i64 = -1;

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

/// What became of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ImageOutcome {
    /// Its place in the set, from 0.
    pub image: u64,
    /// Its class.
    pub label: i64,
    /// The class of the largest logit; `None` where a logit is not finite.
    pub prediction: Option<i64>,
    /// Classified correctly as it is and after the attack; `None` where there was no attack.
    pub still_robust: Option<bool>,
}

impl ImageOutcome {
    fn is_correct(&self) -> bool {
        self.prediction == Some(self.label)
    }
}

/// What became of each image, in the order of the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// One for each image evaluated.
    pub outcomes: Vec<ImageOutcome>,
}

impl Accuracy {
    /// Images evaluated.
    pub fn images(&self) -> usize {
        self.outcomes.len()
    }

    /// Share of the images that are classified correctly as they are, 0 to 1.
    pub fn clean(&self) -> f64 {
        self.share(ImageOutcome::is_correct)
    }

    /// Share that is still classified correctly after the attack, which bounds robust accuracy from above; `None` where there was no
    /// attack.
    pub fn robust(&self) -> Option<f64> {
        let attacked = self.outcomes.iter().all(|outcome| outcome.still_robust.is_some());
        attacked.then(|| self.share(|outcome| outcome.still_robust == Some(true)))
    }

    fn share(&self, holds: impl Fn(&ImageOutcome) -> bool) -> f64 {
        self.outcomes.iter().filter(|outcome| holds(outcome)).count() as f64 / self.images() as f64
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
    let mut accuracy = Accuracy::default();
    for batch in batches {
        let batch = batch?;
        let clean = predictions(&logits, &batch.images);
        let after = attack.map(|attack| predictions(&logits, &attacked(&logits, &batch, attack)));
        accuracy.outcomes.extend(outcomes(&batch, &clean, after.as_deref()));
    }
    Ok(accuracy)
}

fn outcomes<'a>(
    batch: &'a DeviceBatch,
    clean: &'a [Option<i64>],
    after: Option<&'a [Option<i64>]>,
) -> impl Iterator<Item = ImageOutcome> + 'a {
    batch.labels.iter().enumerate().map(move |(row, &label)| ImageOutcome {
        image: batch.places()[row],
        label,
        prediction: clean[row],
        still_robust: after.map(|after| clean[row] == Some(label) && after[row] == Some(label)),
    })
}

/// What PGD makes of the images of a batch, detached.
pub fn attacked(logits: impl Fn(&Tensor) -> Tensor, batch: &DeviceBatch, attack: &PgdAttack) -> Tensor {
    let ball = LinfBall::new(&batch.images, attack.epsilon);
    let start = ball.random_start(&batch.images, batch.rng(), Purpose::Evaluation);
    pgd(&ball, &start, attack.steps, attack.step_size, |x| {
        let logits = logits(x);
        let targets = smooth_targets(&batch.label_tensor, logits.size()[1], 0.0);
        cross_entropy(&logits, &targets).sum(Kind::Float)
    })
}

/// The class of each row's largest logit; `None` for a row with a number that is not finite.
fn predictions(logits: impl Fn(&Tensor) -> Tensor, images: &Tensor) -> Vec<Option<i64>> {
    let logits = tch::no_grad(|| logits(images));
    let finite = logits.isfinite().all_dim(1, false);
    let classes = logits.argmax(1, false).where_scalarother(&finite, NO_CLASS);
    let classes = Vec::<i64>::try_from(classes.to_device(Device::Cpu));
    classes
        .expect("int64 of one dimension")
        .into_iter()
        .map(|class| Some(class).filter(|&class| class != NO_CLASS))
        .collect()
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
        assert_eq!((found.images(), found.clean(), found.robust()), (5, 0.8, Some(0.4)));
        let outcomes: Vec<_> =
            found.outcomes.iter().map(|it| (it.image, it.prediction, it.still_robust)).collect();
        let wanted = [(0, 1, true), (1, 1, false), (2, 0, false), (3, 0, true), (4, 1, false)];
        assert_eq!(outcomes, wanted.map(|(image, class, robust)| (image, Some(class), Some(robust))));
    }

    #[test]
    fn a_nan_is_never_correct() {
        let nan = |x: &Tensor| threshold(x) * f64::NAN;
        let found = measure(nan, [Ok(batch(&[0.9], &[0]))].into_iter(), None).unwrap();
        assert_eq!((found.images(), found.clean(), found.robust()), (1, 0.0, None));
        assert_eq!(found.outcomes[0].prediction, None);
    }
}
