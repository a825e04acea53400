//! Any number of images as batches of at most one fixed size.

use ndarray::{Array2, ArrayView2, s};

use super::{Classifier, ModelError};

/// The smallest batch that is run where larger ones are possible: ONNX Runtime may compute a single row by other
/// kernels, in another order of additions, than the same row among others.
const SMALLEST: usize = 2;

/// The input buffer of a model.
#[derive(Debug)]
pub(crate) struct Batches {
    /// `[B, C·H·W]`; rows that are not used keep what they held.
    images: Array2<f32>,
}

impl Batches {
    /// Room for `rows` images, at least one, of that many pixels.
    pub(crate) fn new(rows: usize, pixels: usize) -> Self {
        Self { images: Array2::zeros((rows, pixels)) }
    }

    /// Room for a full batch of that classifier.
    pub(crate) fn for_classifier(classifier: &dyn Classifier) -> Self {
        Self::new(classifier.batch(), classifier.image_shape().pixels())
    }

    /// Rows of a full batch, `B`.
    pub(crate) fn size(&self) -> usize {
        self.images.nrows()
    }

    /// The pixels of one row.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        self.images.row(row).to_slice().expect("a row is contiguous")
    }

    /// The pixels of one row, to be written.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        self.images.row_mut(row).into_slice().expect("a row is contiguous")
    }

    /// The first `count` rows, and as many more as a batch must have.
    pub(crate) fn filled(&self, count: usize) -> ArrayView2<'_, f32> {
        self.images.slice(s![..count.max(SMALLEST).min(self.size()), ..])
    }

    /// Logits `[rows, K]` of at most `B` images of `C·H·W` pixels.
    pub(crate) fn logits<'c, 'r>(
        &mut self,
        classifier: &'c mut dyn Classifier,
        rows: impl Iterator<Item = &'r [f32]>,
    ) -> Result<ArrayView2<'c, f32>, ModelError> {
        let mut count = 0;
        for (mut row, pixels) in self.images.rows_mut().into_iter().zip(rows) {
            row.assign(&ndarray::ArrayView1::from(pixels));
            count += 1;
        }
        Ok(classifier.logits(self.filled(count))?.slice(s![..count, ..]))
    }
}
