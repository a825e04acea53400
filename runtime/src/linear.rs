//! A linear classifier, whose worst case within a ball is known in closed form: the model that attacks are tested on.
//!
//! `logits = W·x + b`. For two classes the margin `z_y - z_j = w·x + c` is linear, so the worst image of an L∞ ball
//! moves every pixel by ε against the sign of `w` (or to the edge of the box), and the worst of an L2 ball moves
//! along `w`.

use mimir_bundle::{ImageShape, ThreatModel};
use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::ball::largest_decrease;
use crate::loss::at_logits;
use crate::model::{
    Classifier, Cotangents, Differentiable, FeatureBatch, FeatureModel, GradientBatch, LabelAndTarget, Loss,
    ModelError, ModelSource,
};

/// `logits = W·x + b`.
#[derive(Debug, Clone)]
pub struct LinearClassifier {
    weights: Array2<f32>,
    bias: Array1<f32>,
    shape: ImageShape,
    batch: usize,
    loss: Loss,
    logits: Array2<f32>,
    answers: GradientBatch,
    features: FeatureBatch,
}

impl LinearClassifier {
    /// Weights `[K, C·H·W]`, bias `[K]`, and the number of rows of every call.
    ///
    /// # Panics
    /// When the sizes disagree, or for fewer than two classes or an empty batch.
    pub fn new(weights: Array2<f32>, bias: Array1<f32>, shape: ImageShape, batch: usize) -> Self {
        let (classes, pixels) = weights.dim();
        assert!(classes >= 2 && bias.len() == classes && pixels == shape.pixels() && batch > 0);
        let logits = Array2::zeros((batch, classes));
        let answers = GradientBatch::zeros(batch, classes, pixels);
        let features = FeatureBatch::zeros(batch, classes, classes, pixels);
        Self { weights, bias, shape, batch, loss: Loss::CrossEntropy, logits, answers, features }
    }

    /// `z_label - z_other` at the worst point of the threat model around `image`.
    ///
    /// Exact for L∞. Exact for L2 and L1 where the worst point lies inside the box, a lower bound otherwise.
    pub fn worst_margin(&self, threat_model: &ThreatModel, image: &[f32], label: usize, other: usize) -> f64 {
        let weight =
            |pixel: usize| f64::from(self.weights[[label, pixel]]) - f64::from(self.weights[[other, pixel]]);
        let bias = f64::from(self.bias[label]) - f64::from(self.bias[other]);
        let values = image.iter().map(|value| f64::from(*value)).enumerate();
        let clean: f64 = values.map(|(pixel, value)| weight(pixel) * value).sum::<f64>() + bias;
        clean - largest_decrease(threat_model, image, weight)
    }

    fn forward(&self, images: &ArrayView2<f32>, logits: &mut Array2<f32>) {
        // Row by row, so that a row never depends on its neighbours.
        for (image, mut row) in images.axis_iter(Axis(0)).zip(logits.axis_iter_mut(Axis(0))) {
            for (class, logit) in row.iter_mut().enumerate() {
                *logit = self.weights.row(class).dot(&image) + self.bias[class];
            }
        }
    }
}

impl Classifier for LinearClassifier {
    fn image_shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.bias.len()
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
        let mut logits = std::mem::take(&mut self.logits);
        self.forward(&images, &mut logits);
        self.logits = logits;
        Ok(&self.logits)
    }
}

impl Differentiable for LinearClassifier {
    fn batch(&self) -> usize {
        self.batch
    }

    /// The gradient is `Wᵀ` times the derivative of the loss by the logits.
    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        pairs: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        let mut logits = std::mem::take(&mut self.answers.logits);
        self.forward(&images, &mut logits);
        let mut cotangent = vec![0.0; self.bias.len()];
        for (row, pair) in pairs.iter().enumerate() {
            let logits = logits.row(row).to_vec();
            self.answers.loss[row] = at_logits(self.loss, &logits, *pair, &mut cotangent);
            let mut gradient = self.answers.gradient.row_mut(row);
            gradient.fill(0.0);
            for (weights, scale) in self.weights.axis_iter(Axis(0)).zip(&cotangent) {
                gradient.scaled_add(*scale, &weights);
            }
        }
        self.answers.logits = logits;
        Ok(&self.answers)
    }
}

/// Its features are its logits.
impl FeatureModel for LinearClassifier {
    fn batch(&self) -> usize {
        self.batch
    }

    fn logits_and_features(&mut self, images: ArrayView2<f32>) -> Result<&FeatureBatch, ModelError> {
        let mut logits = std::mem::take(&mut self.features.logits);
        self.forward(&images, &mut logits);
        self.features.features.assign(&logits);
        self.features.logits = logits;
        Ok(&self.features)
    }

    fn gradient(
        &mut self,
        images: ArrayView2<f32>,
        cotangents: Cotangents<'_>,
    ) -> Result<&FeatureBatch, ModelError> {
        self.logits_and_features(images)?;
        let classes = self.bias.len();
        self.features.gradient.fill(0.0);
        for cotangents in [cotangents.logits, cotangents.features] {
            for (row, mut gradient) in cotangents.chunks(classes).zip(self.features.gradient.rows_mut()) {
                for (weights, scale) in self.weights.axis_iter(Axis(0)).zip(row) {
                    gradient.scaled_add(*scale, &weights);
                }
            }
        }
        Ok(&self.features)
    }
}

impl ModelSource for LinearClassifier {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        Ok(Box::new(self.clone()))
    }

    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.classifier()
    }

    fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        Ok(Box::new(Self { loss, ..self.clone() }))
    }

    fn feature_model(&self) -> Result<Box<dyn FeatureModel>, ModelError> {
        Ok(Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::Norm;
    use ndarray::array;

    use mimir_bundle::Pixels;

    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 1, width: 3 };

    fn classifier() -> LinearClassifier {
        let weights = array![[1.0, -2.0, 0.5], [0.0, 1.0, 0.0]];
        LinearClassifier::new(weights, array![0.25, 0.0], SHAPE, 1)
    }

    #[test]
    fn the_worst_margin_by_hand() {
        // w = (1, -3, 0.5), c = 0.25; at (0.5, 0.1, 0.02) the margin is 0.5 - 0.3 + 0.01 + 0.25 = 0.46.
        let image = [0.5, 0.1, 0.02];
        // Linf 0.1 with the third pixel stopped by the box: 0.1 + 0.3 + 0.5 * 0.02 = 0.41.
        // L2 0.1: sqrt(1 + 9 + 0.25) / 10.
        for (norm, want) in [(Norm::Linf, 0.05), (Norm::L2, 0.46 - 10.25_f64.sqrt() / 10.0)] {
            let margin = classifier().worst_margin(
                &ThreatModel { norm, epsilon: 0.1, pixels: Pixels::Continuous },
                &image,
                0,
                1,
            );
            assert!((margin - want).abs() < 1e-6, "{norm:?}: {margin}");
        }
    }

    #[test]
    fn the_gradient_agrees_with_central_differences() {
        let mut model = classifier();
        let image = array![[0.3_f32, 0.6, 0.9]];
        let pairs = [LabelAndTarget { label: 1, target: None }];
        let gradient = model.loss_gradient(image.view(), &pairs).unwrap().gradient.clone();
        for pixel in 0..3 {
            let mut loss_at = |offset: f32| {
                let mut moved = image.clone();
                moved[[0, pixel]] += offset;
                model.loss_gradient(moved.view(), &pairs).unwrap().loss[0]
            };
            let difference = (loss_at(1e-2) - loss_at(-1e-2)) / 2e-2;
            assert!((difference - gradient[[0, pixel]]).abs() < 1e-3, "pixel {pixel}");
        }
    }
}
