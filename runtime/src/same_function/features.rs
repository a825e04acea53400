//! A model that is cut open at a tensor, as what the file is compared with: its logits, and the gradient of a margin.

use ndarray::ArrayView2;

use super::scores::Scored;
use crate::loss::at_logits;
use crate::model::{
    Batches, Cotangents, Differentiable, FeatureModel, GradientBatch, LabelAndTarget, Loss, ModelError,
};

/// The logits that come with features.
pub(super) fn score_features(
    model: &mut dyn FeatureModel,
    points: &[Vec<f32>],
) -> Result<Vec<Scored>, ModelError> {
    let Some(pixels) = points.first().map(Vec::len) else { return Ok(Vec::new()) };
    let mut batches = Batches::new(model.batch(), pixels);
    let mut answers = Vec::with_capacity(points.len());
    for part in points.chunks(batches.size()) {
        for (row, point) in part.iter().enumerate() {
            batches.row_mut(row).copy_from_slice(point);
        }
        let batch = model.logits_and_features(batches.filled(part.len()))?;
        answers.extend((0..part.len()).map(|row| Scored {
            logits: batch.logits.row(row).to_vec(),
            returned: batch.returned.as_ref().map(|returned| returned.row(row).to_vec()),
        }));
    }
    Ok(answers)
}

/// The graph that takes a cotangent at the tensor, given none there: it computes the gradient of a margin.
pub(crate) struct MarginOfFeatures<'m> {
    model: &'m mut dyn FeatureModel,
    answers: Option<GradientBatch>,
}

impl<'m> MarginOfFeatures<'m> {
    pub(crate) fn new(model: &'m mut dyn FeatureModel) -> Self {
        Self { model, answers: None }
    }
}

impl Differentiable for MarginOfFeatures<'_> {
    fn batch(&self) -> usize {
        self.model.batch()
    }

    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        pairs: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        let Self { model, answers } = self;
        let classes = model.logits_and_features(images.view())?.logits.ncols();
        let (zeros, mut logits) = (vec![0.0; classes], vec![0.0; pairs.len() * classes]);
        for (row, pair) in logits.chunks_mut(classes).zip(pairs) {
            at_logits(Loss::Margin, &zeros, *pair, row);
        }
        let found = model.gradient(images, Cotangents { logits: &logits, features: &[] })?;
        let (batch, pixels) = found.gradient.dim();
        let answers = answers.get_or_insert_with(|| GradientBatch::zeros(batch, classes, pixels));
        answers.logits.assign(&found.logits);
        answers.gradient.assign(&found.gradient);
        answers.returned.clone_from(&found.returned);
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use mimir_bundle::certificate::ComparedQuantity;
    use mimir_bundle::{ImageShape, Norm, Pixels, ThreatModel};
    use ndarray::{Array1, Array2};

    use super::super::{
        Expected, ExpectedGradients, Rounding, Sample, SearchedGraphs, SearchedScores, differences,
    };
    use crate::evaluation_set::EvaluationSet;
    use crate::linear::LinearClassifier;
    use crate::model::{Classifier, Differentiable, FeatureModel, KeptModels, Loss, ModelError, ModelSource};
    use crate::testing::{key, noise};

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 2, width: 8 };

    fn linear(factor: f32) -> LinearClassifier {
        let weights = noise(key(9, 0, "weights"), 4, SHAPE.pixels()) * factor;
        LinearClassifier::new(weights, Array1::zeros(4), SHAPE, 3)
    }

    /// The file, and what is cut open in its place.
    struct Copies(LinearClassifier, LinearClassifier);

    impl ModelSource for Copies {
        fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
            self.0.classifier()
        }

        fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
            self.0.search_classifier()
        }

        fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
            self.0.differentiable(loss)
        }

        fn feature_model(&self) -> Result<Box<dyn FeatureModel>, ModelError> {
            self.1.feature_model()
        }
    }

    fn found(copies: &Copies) -> Vec<(String, ComparedQuantity)> {
        let images: Array2<f32> = noise(key(9, 1, "images"), 6, SHAPE.pixels()) * 0.2 + 0.5;
        let set = EvaluationSet::new(&images, &[0, 1, 2, 3, 0, 1]).unwrap();
        let threat_model = ThreatModel { norm: Norm::Linf, epsilon: 0.1, pixels: Pixels::Continuous };
        let graphs = SearchedGraphs { forward: false, losses: Vec::new(), features: true };
        let expected = Expected {
            scores: SearchedScores::Equal,
            rounding: Rounding { unit: f64::from(f32::EPSILON), relative: 1e-3 },
            has_steps: false,
            gradients: ExpectedGradients::Derivatives,
        };
        let sample = Sample { set: &set, threat_model: &threat_model, seed: 0 };
        let models = KeptModels::new(copies);
        let found = differences(&models, &graphs, &sample, &expected, &AtomicBool::new(false)).unwrap();
        found.into_iter().map(|one| (one.graph, one.quantity)).collect()
    }

    #[test]
    fn a_model_that_is_cut_open_is_held_against_the_file() {
        assert_eq!(found(&Copies(linear(1.0), linear(1.0))), []);
        let names = ["features", "gradient of features"];
        let other = found(&Copies(linear(1.0), linear(1.1)));
        assert_eq!(other, names.map(|name| (name.to_owned(), ComparedQuantity::Scores)));
    }
}
