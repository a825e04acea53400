//! Checks counterexamples without any attack code: the original model, the stored images, the threat model.

use mimir_bundle::ThreatModel;

use crate::ball::{Ball, RadiusError};
use crate::confirmation::{Confirmation, Question, ask_original};
use crate::evaluation_set::{EvaluationSet, SetError};
use crate::journal::{CounterexampleStore, StoreError};
use crate::logits::predicted_class;
use crate::majority::MajorityCount;
use crate::model::{Batches, Classifier, ModelError};

/// An image that is said to break the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counterexample<'a> {
    /// Position of the clean image in the evaluation set.
    pub image: usize,
    /// `C·H·W` pixels.
    pub pixels: &'a [f32],
}

/// Why a counterexample does not hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The set has no such image, or the image has another size.
    #[error("counterexample of image {image}: the evaluation set has no such image, or one of another size")]
    NoSuchImage {
        /// Position that it names.
        image: usize,
    },
    /// It leaves the threat model.
    #[error(
        "counterexample of image {image}: its distance to the clean image is {distance}, or it has a pixel outside \
         [0, 1]; the threat model allows {epsilon}"
    )]
    OutsideThreatModel {
        /// Position in the evaluation set.
        image: usize,
        /// Distance in the norm of the threat model.
        distance: f64,
        /// Radius of the threat model.
        epsilon: f64,
    },
    /// The original model classifies it correctly.
    #[error("counterexample of image {image}: the model classifies it correctly, as {label}")]
    NotMisclassified {
        /// Position in the evaluation set.
        image: usize,
        /// True class.
        label: usize,
    },
    /// The logits of the original model mean no class.
    #[error(
        "counterexample of image {image}: the model's logits mean no class: NaN or +infinity is among them"
    )]
    NonFinite {
        /// Position in the evaluation set.
        image: usize,
    },
    /// The model has random operators, and no test shows that it names another class more often than the label.
    #[error(
        "counterexample of image {image}: in {draws} evaluations of the model, which has random operators, no class was \
         drawn more often than the label {label} with certainty"
    )]
    Undecided {
        /// Position in the evaluation set.
        image: usize,
        /// True class.
        label: usize,
        /// Evaluations.
        draws: usize,
    },
    /// The threat model has no ball.
    #[error(transparent)]
    Radius(#[from] RadiusError),
    /// The engine failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The clean image cannot be read.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The stored counterexample cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks the original model about every counterexample and measures its distance from the clean image.
///
/// # Errors
/// Names the first that is classified correctly, that lies outside the ball or the box, that belongs to no image, or
/// whose logits mean no class.
pub fn verify(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    counterexamples: &[Counterexample],
    threat_model: &ThreatModel,
) -> Result<(), VerifyError> {
    let ball = Ball::new(threat_model)?;
    for counterexample in counterexamples {
        inside(&ball, set, counterexample)?;
    }
    let mut batches = Batches::for_classifier(classifier);
    for chunk in counterexamples.chunks(batches.size()) {
        let rows = chunk.iter().map(|counterexample| counterexample.pixels);
        let logits = batches.logits(classifier, rows)?;
        for (counterexample, row) in chunk.iter().zip(logits.rows()) {
            misclassified(set, counterexample.image, row.as_slice().unwrap_or_default())?;
        }
    }
    Ok(())
}

/// The class that the original model predicts for each of those images of `C·H·W` pixels; none where its logits mean no class.
///
/// # Errors
/// When the engine fails.
pub fn predictions(
    classifier: &mut dyn Classifier,
    images: &[&[f32]],
) -> Result<Vec<Option<usize>>, ModelError> {
    let mut batches = Batches::for_classifier(classifier);
    let mut classes = Vec::with_capacity(images.len());
    for chunk in images.chunks(batches.size()) {
        let logits = batches.logits(classifier, chunk.iter().copied())?;
        classes
            .extend(logits.rows().into_iter().map(|row| predicted_class(row.as_slice().unwrap_or_default())));
    }
    Ok(classes)
}

/// The error rate of [`verify_random`] for each counterexample.
pub const RANDOM_ERROR_RATE: f64 = 0.01;

/// Evaluations that [`verify_random`] makes of each counterexample, at most.
pub const RANDOM_MOST_DRAWS: usize = 10_000;

/// As [`verify`], for a model with random operators: fresh draws of each counterexample must show that another class is
/// drawn more often than the label, by the [test](crate::majority) at [`RANDOM_ERROR_RATE`].
///
/// # Errors
/// As [`verify`], and where the test cannot decide.
pub fn verify_random(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    counterexamples: &[Counterexample],
    threat_model: &ThreatModel,
) -> Result<(), VerifyError> {
    let ball = Ball::new(threat_model)?;
    for counterexample in counterexamples {
        inside(&ball, set, counterexample)?;
    }
    let mut batches = Batches::for_classifier(classifier);
    let classes = classifier.classes();
    for chunk in counterexamples.chunks(batches.size()) {
        let question = |counterexample: &Counterexample<'_>| {
            let label = set.labels()[counterexample.image];
            MajorityCount::of_both(label, classes, RANDOM_ERROR_RATE, RANDOM_MOST_DRAWS)
        };
        let questions = chunk.iter().map(|each| Question { pixels: each.pixels, test: Some(question(each)) });
        let answers = ask_original(classifier, &mut batches, questions.collect(), &|| false)?;
        for (counterexample, answer) in chunk.iter().zip(answers.unwrap_or_default()) {
            outvoted(set, counterexample.image, &answer)?;
        }
    }
    Ok(())
}

fn outvoted(set: &EvaluationSet, image: usize, answer: &Confirmation) -> Result<(), VerifyError> {
    let label = set.labels()[image];
    match answer {
        Confirmation { prediction: None, .. } => Err(VerifyError::NonFinite { image }),
        Confirmation { is_certain: false, draws, .. } => {
            Err(VerifyError::Undecided { image, label, draws: *draws })
        }
        Confirmation { prediction, .. } if *prediction == Some(label) => {
            Err(VerifyError::NotMisclassified { image, label })
        }
        _ => Ok(()),
    }
}

/// Checks the stored counterexamples, a batch at a time: `slots` has the place of each image's, where it has one.
///
/// # Errors
/// As [`verify`], and when one cannot be read back.
pub(crate) fn verify_stored(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    slots: &[Option<u64>],
    store: &CounterexampleStore,
    threat_model: &ThreatModel,
) -> Result<(), VerifyError> {
    let stored = slots.iter().enumerate().filter_map(|(image, slot)| slot.map(|slot| (image, slot)));
    let stored: Vec<(usize, u64)> = stored.collect();
    for chunk in stored.chunks(classifier.batch()) {
        let mut rows = vec![vec![0.0; set.pixels_per_image()]; chunk.len()];
        for (row, (_, slot)) in rows.iter_mut().zip(chunk) {
            store.read(*slot, row)?;
        }
        let pairs = chunk.iter().zip(&rows);
        let counterexamples: Vec<Counterexample> =
            pairs.map(|((image, _), pixels)| Counterexample { image: *image, pixels }).collect();
        verify(classifier, set, &counterexamples, threat_model)?;
    }
    Ok(())
}

fn inside(ball: &Ball, set: &EvaluationSet, counterexample: &Counterexample) -> Result<(), VerifyError> {
    let Counterexample { image, pixels } = *counterexample;
    if image >= set.count() || pixels.len() != set.pixels_per_image() {
        return Err(VerifyError::NoSuchImage { image });
    }
    let clean = set.image(image)?;
    if ball.contains(&clean, pixels) {
        return Ok(());
    }
    let distance = ball.distance(&clean, pixels);
    Err(VerifyError::OutsideThreatModel { image, distance, epsilon: ball.radius() })
}

fn misclassified(set: &EvaluationSet, image: usize, logits: &[f32]) -> Result<(), VerifyError> {
    let label = set.labels()[image];
    match predicted_class(logits) {
        None => Err(VerifyError::NonFinite { image }),
        Some(class) if class == label => Err(VerifyError::NotMisclassified { image, label }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::Norm;
    use ndarray::array;

    use mimir_bundle::Pixels;

    use super::*;

    use crate::testing::threshold;

    fn check(counterexamples: &[(usize, &[f32])]) -> Result<(), VerifyError> {
        let images = array![[0.45_f32], [0.55], [0.41]];
        let set = EvaluationSet::new(&images, &[0, 1, 0]).unwrap();
        let counterexamples: Vec<Counterexample> =
            counterexamples.iter().map(|(image, pixels)| Counterexample { image: *image, pixels }).collect();
        verify(
            &mut threshold(),
            &set,
            &counterexamples,
            &ThreatModel { norm: Norm::Linf, epsilon: 0.1, pixels: Pixels::Continuous },
        )
    }

    #[test]
    fn true_counterexamples_pass_in_any_number() {
        assert_eq!(check(&[]), Ok(()));
        // More than a batch of two.
        assert_eq!(check(&[(0, &[0.549_999_9]), (1, &[0.450_000_1]), (2, &[0.500_000_1])]), Ok(()));
    }

    #[test]
    fn false_ones_are_errors_that_name_the_image() {
        let right = &[0.46];
        assert_eq!(
            check(&[(1, &[0.450_000_1]), (0, right)]),
            Err(VerifyError::NotMisclassified { image: 0, label: 0 })
        );
        assert!(matches!(check(&[(0, &[0.56])]), Err(VerifyError::OutsideThreatModel { image: 0, .. })));
        // In float32 0.45 and 0.55 are 0.10000002 apart: no rounding is forgiven.
        assert!(matches!(check(&[(0, &[0.55])]), Err(VerifyError::OutsideThreatModel { image: 0, .. })));
        assert!(matches!(check(&[(0, &[f32::NAN])]), Err(VerifyError::OutsideThreatModel { image: 0, .. })));
        assert_eq!(check(&[(3, &[0.55])]), Err(VerifyError::NoSuchImage { image: 3 }));
        assert_eq!(check(&[(0, &[0.55, 0.55])]), Err(VerifyError::NoSuchImage { image: 0 }));
    }
}
