//! What a model says about images, without an attack.

use mimir_bundle::OutputKind;
use serde::Serialize;

use crate::error::EvaluateError;
use crate::evaluation_set::EvaluationSet;
use crate::logits::{margin, predicted_class};
use crate::model::{Batches, Classifier};

/// What a model says about one image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Answer {
    /// The class; none where the logits hold NaN or +∞ and mean none.
    pub class: Option<usize>,
    /// The share of the class among the exponentials of the logits, or what the model returns as its probability; none
    /// where its scores are neither.
    pub probability: Option<f32>,
    /// The score of the class less the next one.
    pub margin: Option<f32>,
}

impl Answer {
    /// Of a row of scores; `output` says what they are.
    pub fn new(row: &[f32], output: OutputKind) -> Self {
        let Some(class) = predicted_class(row) else {
            return Self { class: None, probability: None, margin: None };
        };
        let probability = match output {
            OutputKind::Logits => Some(softmax_share(row, class)),
            OutputKind::Probabilities => Some(row[class]),
            OutputKind::Saturating => None,
        };
        Self { class: Some(class), probability, margin: Some(margin(row, class)) }
    }
}

fn softmax_share(row: &[f32], class: usize) -> f32 {
    let sum: f64 = row.iter().map(|logit| f64::from(logit - row[class]).exp()).sum();
    sum.recip() as f32
}

/// What the model says about each image of a set; `output` says what its scores are.
///
/// # Errors
/// When the engine fails or an image cannot be read.
pub fn answers(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    output: OutputKind,
) -> Result<Vec<Answer>, EvaluateError> {
    let mut batches = Batches::for_classifier(classifier);
    let mut answers = Vec::with_capacity(set.count());
    let images: Vec<usize> = (0..set.count()).collect();
    for part in images.chunks(batches.size()) {
        let mut pixels = vec![vec![0.0; set.pixels_per_image()]; part.len()];
        for (image, row) in part.iter().zip(&mut pixels) {
            set.read(*image, row)?;
        }
        let logits = batches.logits(classifier, pixels.iter().map(Vec::as_slice))?;
        answers.extend(
            logits.rows().into_iter().map(|row| Answer::new(row.to_slice().unwrap_or_default(), output)),
        );
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_logits_is_a_class_its_share_and_its_lead() {
        let answer = Answer::new(&[1.0, 3.0, 1.0], OutputKind::Logits);
        assert_eq!((answer.class, answer.margin), (Some(1), Some(2.0)));
        let wanted = 1.0 / (1.0 + 2.0 * (-2.0_f32).exp());
        assert!((answer.probability.unwrap() - wanted).abs() < 1e-6, "{answer:?}");
        assert_eq!(Answer::new(&[0.25, 0.75], OutputKind::Probabilities).probability, Some(0.75));
        assert_eq!(Answer::new(&[0.25, 0.75], OutputKind::Saturating).probability, None);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        assert_eq!(Answer::new(&[3e38, -3e38], OutputKind::Logits).probability, Some(1.0));
    }

    #[test]
    fn a_row_that_means_nothing_has_no_class() {
        let none = Answer { class: None, probability: None, margin: None };
        assert_eq!(Answer::new(&[f32::NAN, 1.0], OutputKind::Logits), none);
    }
}
