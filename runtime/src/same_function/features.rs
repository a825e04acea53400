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
pub(super) struct MarginOfFeatures<'m> {
    model: &'m mut dyn FeatureModel,
    answers: Option<GradientBatch>,
}

impl<'m> MarginOfFeatures<'m> {
    pub(super) fn new(model: &'m mut dyn FeatureModel) -> Self {
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
