//! What one worker asks: the original model, and whatever an attack needs at each step.

use ndarray::Array2;

use crate::attack::Answer;
use crate::model::{Classifier, Differentiable, Goal, GradientBatch, ModelError};

/// The models of one worker, lent for one attack.
pub(crate) struct Models<'w> {
    /// The original model: decides what is broken.
    pub(crate) classifier: &'w mut dyn Classifier,
    /// The gradient graph that answers proposals; without one, the original model answers them too.
    pub(crate) gradient: Option<&'w mut dyn Differentiable>,
}

/// The answers about one batch.
pub(crate) enum Answers<'m> {
    /// From the original model.
    Logits(&'m Array2<f32>),
    /// From a gradient graph.
    Gradient(&'m GradientBatch),
}

impl Models<'_> {
    /// Rows of a batch of proposals.
    pub(crate) fn batch(&self) -> usize {
        match &self.gradient {
            Some(graph) => graph.batch(),
            None => self.classifier.batch(),
        }
    }

    /// Asks about a full batch of proposals.
    pub(crate) fn ask(&mut self, images: &Array2<f32>, goals: &[Goal]) -> Result<Answers<'_>, ModelError> {
        match &mut self.gradient {
            Some(graph) => graph.loss_gradient(images.view(), goals).map(Answers::Gradient),
            None => self.classifier.logits(images.view()).map(Answers::Logits),
        }
    }
}

impl Answers<'_> {
    /// The answer about one row.
    pub(crate) fn row(&self, row: usize) -> Answer<'_> {
        match self {
            Self::Logits(logits) => Answer { logits: row_of(logits, row), loss: 0.0, gradient: &[] },
            Self::Gradient(batch) => Answer {
                logits: row_of(&batch.logits, row),
                loss: batch.loss[row],
                gradient: row_of(&batch.gradient, row),
            },
        }
    }
}

fn row_of(array: &Array2<f32>, row: usize) -> &[f32] {
    array.row(row).to_slice().expect("answers are in standard layout")
}
