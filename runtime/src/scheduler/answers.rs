//! How a worker asks its models about a batch of proposals, and hands each search its row of the answer.

use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayView2};

use super::workers::Worker;
use crate::attack::{Answer, AskedModel, Query};
use crate::model::{Cotangents, FeatureBatch, GradientBatch, LabelAndTarget, ModelError};

/// The answers about one batch.
pub(crate) enum Answers<'m> {
    /// Logits, and what the file returns where that is something else.
    Logits(&'m Array2<f32>, Option<&'m Array2<f32>>),
    /// From a gradient graph.
    Gradient(&'m GradientBatch),
    /// From a model that is cut open, without a gradient.
    Features(&'m FeatureBatch),
    /// From it, with one.
    FeatureGradient(&'m FeatureBatch),
}

/// A batch of proposals, with what the loss takes beside them.
pub(crate) struct BatchedQuestion<'q> {
    /// `[R, C·H·W]`
    pub(crate) images: &'q ArrayView2<'q, f32>,
    /// `[R]`
    pub(crate) pairs: &'q [LabelAndTarget],
    /// Of the rows that are proposals; others fill up the batch.
    pub(crate) radii: &'q [f32],
    /// Of these too.
    pub(crate) cotangents: Cotangents<'q>,
}

/// What comes with an answer besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside<'m> {
    /// What the file returns, where a search uses other scores; else nothing.
    pub(crate) returned: &'m [f32],
    /// The features, where they were asked for.
    pub(crate) features: Option<&'m [f32]>,
}

impl Worker<'_> {
    /// Asks a model about a batch of proposals, and adds the time that the model took to `spent`.
    pub(crate) fn ask(
        &mut self,
        (asked, query): (AskedModel, Query),
        batch: &BatchedQuestion<'_>,
        spent: &mut Duration,
    ) -> Result<Answers<'_>, ModelError> {
        let started = Instant::now();
        let BatchedQuestion { images, pairs, radii, cotangents } = batch;
        let answers = match (asked, query) {
            (AskedModel::Surrogate, Query::Gradient(loss)) => {
                self.surrogate(loss)?.ask(images, pairs).map(Answers::Gradient)
            }
            // Nobody asks a surrogate for logits alone.
            (AskedModel::Attacked | AskedModel::Surrogate, Query::Forward) => {
                let classifier = self.search_classifier()?;
                let answers = classifier.logits_and_returned(images.view());
                answers.map(|(logits, returned)| Answers::Logits(logits, returned))
            }
            (AskedModel::Attacked, Query::Gradient(loss)) => {
                let model = self.gradient(loss)?;
                if loss.is_relaxed() {
                    model.set_radii(radii);
                }
                model.loss_gradient(images.view(), pairs).map(Answers::Gradient)
            }
            // Nor about features.
            (AskedModel::Attacked | AskedModel::Surrogate, Query::Features) => {
                self.feature_model()?.logits_and_features(images.view()).map(Answers::Features)
            }
            (AskedModel::Attacked | AskedModel::Surrogate, Query::FeatureGradient) => {
                self.feature_model()?.gradient(images.view(), *cotangents).map(Answers::FeatureGradient)
            }
        };
        *spent += started.elapsed();
        answers
    }
}

impl Answers<'_> {
    /// The answer about one row.
    pub(crate) fn row(&self, row: usize) -> Answer<'_> {
        match self {
            Self::Logits(logits, _) => Answer { logits: row_slice(logits, row), loss: 0.0, gradient: &[] },
            Self::Gradient(batch) => Answer {
                logits: row_slice(&batch.logits, row),
                loss: batch.loss[row],
                gradient: row_slice(&batch.gradient, row),
            },
            Self::Features(batch) => {
                Answer { logits: row_slice(&batch.logits, row), loss: 0.0, gradient: &[] }
            }
            Self::FeatureGradient(batch) => Answer {
                logits: row_slice(&batch.logits, row),
                loss: 0.0,
                gradient: row_slice(&batch.gradient, row),
            },
        }
    }

    /// What comes with the answer about one row.
    pub(crate) fn beside(&self, row: usize) -> Beside<'_> {
        let returned = match self {
            Self::Logits(_, returned) => *returned,
            Self::Gradient(batch) => batch.returned.as_ref(),
            Self::Features(batch) | Self::FeatureGradient(batch) => batch.returned.as_ref(),
        };
        let features = match self {
            Self::Features(batch) => Some(row_slice(&batch.features, row)),
            Self::Logits(..) | Self::Gradient(_) | Self::FeatureGradient(_) => None,
        };
        Beside { returned: returned.map_or(&[], |returned| row_slice(returned, row)), features }
    }
}

fn row_slice(array: &Array2<f32>, row: usize) -> &[f32] {
    array.row(row).to_slice().expect("answers are in standard layout")
}
