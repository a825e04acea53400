//! A gradient graph of another model, which may take fewer images at once than the attacked one.

use ndarray::{ArrayView2, s};

use crate::model::{Differentiable, GradientBatch, LabelAndTarget, Loss, ModelError, ModelSource};

/// The graph of one loss, with room for the answers about a batch of the attacked model.
pub(super) struct SurrogateGraph {
    graph: Box<dyn Differentiable>,
    answers: GradientBatch,
}

impl SurrogateGraph {
    /// With the answers of that shape.
    ///
    /// # Errors
    /// When there is no surrogate, or the engine refuses it.
    pub(super) fn new(
        source: &dyn ModelSource,
        loss: Loss,
        answers: GradientBatch,
    ) -> Result<Self, ModelError> {
        let none = || ModelError { model: "surrogate".into(), message: "there is none".into() };
        let graph = source.surrogate().ok_or_else(none)?.differentiable(loss)?;
        Ok(Self { graph, answers })
    }

    /// Asks about proposals `[R, C·H·W]` with labels and targets `[R]`, part by part where it takes fewer.
    pub(super) fn ask(
        &mut self,
        images: &ArrayView2<f32>,
        pairs: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        let (rows, most) = (images.nrows(), self.graph.batch());
        for start in (0..rows).step_by(most) {
            let end = (start + most).min(rows);
            // A single row may come out otherwise in its last bits than among others.
            let start = if end - start == 1 && most > 1 { start.saturating_sub(1) } else { start };
            let part = self.graph.loss_gradient(images.slice(s![start..end, ..]), &pairs[start..end])?;
            let count = end - start;
            self.answers.logits.slice_mut(s![start..end, ..]).assign(&part.logits.slice(s![..count, ..]));
            self.answers.loss.slice_mut(s![start..end]).assign(&part.loss.slice(s![..count]));
            self.answers.gradient.slice_mut(s![start..end, ..]).assign(&part.gradient.slice(s![..count, ..]));
        }
        Ok(&self.answers)
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::ImageShape;
    use ndarray::{Array2, array};

    use super::*;
    use crate::linear::LinearClassifier;
    use crate::model::WithSurrogate;

    fn linear(batch: usize) -> LinearClassifier {
        let shape = ImageShape { channels: 1, height: 1, width: 2 };
        LinearClassifier::new(array![[1.0, 0.5], [-1.0, 2.0]], array![0.0, 0.25], shape, batch)
    }

    #[test]
    fn answers_are_the_same_however_many_images_it_takes() {
        let images = Array2::from_shape_fn((5, 2), |(row, column)| 0.1 * row as f32 + 0.05 * column as f32);
        let pairs = vec![LabelAndTarget { label: 0, target: None }; 5];
        let model = linear(5);
        let answers = |batch: usize| {
            let surrogate = linear(batch);
            let source = WithSurrogate::new(&model, Some(&surrogate));
            let zeros = GradientBatch::zeros(5, 2, 2);
            let mut graph = SurrogateGraph::new(&source, Loss::CrossEntropy, zeros).unwrap();
            let found = graph.ask(&images.view(), &pairs).unwrap();
            (found.logits.clone(), found.loss.clone(), found.gradient.clone())
        };
        let whole = answers(5);
        assert!(whole.2.iter().all(|slope| *slope != 0.0));
        for batch in [1, 2, 4] {
            assert_eq!(answers(batch), whole, "{batch}");
        }
        let none = SurrogateGraph::new(&model, Loss::CrossEntropy, GradientBatch::zeros(5, 2, 2));
        assert_eq!(none.err().unwrap().to_string(), "surrogate: there is none");
    }
}
