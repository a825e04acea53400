//! How a worker asks its models about a batch of proposals, and hands each search its row of the answer.

use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayView2};

use super::workers::Worker;
use crate::attack::{Answer, AskedModel, Query};
use crate::model::{GradientBatch, LabelAndTarget, ModelError};

/// The answers about one batch.
pub(crate) enum Answers<'m> {
    /// Logits, and what the file returns where that is something else.
    Logits(&'m Array2<f32>, Option<&'m Array2<f32>>),
    /// From a gradient graph.
    Gradient(&'m GradientBatch),
}

/// A batch of proposals, with what the loss takes beside them.
pub(crate) struct BatchedQuestion<'q> {
    /// `[R, C·H·W]`
    pub(crate) images: &'q ArrayView2<'q, f32>,
    /// `[R]`
    pub(crate) pairs: &'q [LabelAndTarget],
    /// Of the rows that are proposals; others fill up the batch.
    pub(crate) radii: &'q [f32],
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
        let BatchedQuestion { images, pairs, radii } = batch;
        let answers = match (asked, query) {
            (AskedModel::Surrogate, Query::Gradient(loss)) => {
                self.surrogate(loss)?.ask(images.view(), pairs).map(Answers::Gradient)
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
        }
    }

    /// What the file returns for one row, where a search uses other scores; else nothing.
    pub(crate) fn returned(&self, row: usize) -> &[f32] {
        let returned = match self {
            Self::Logits(_, returned) => *returned,
            Self::Gradient(batch) => batch.returned.as_ref(),
        };
        returned.map_or(&[], |returned| row_slice(returned, row))
    }
}

fn row_slice(array: &Array2<f32>, row: usize) -> &[f32] {
    array.row(row).to_slice().expect("answers are in standard layout")
}
