//! Any number of images as full, padded batches of one fixed size.

use ndarray::{Array2, ArrayView2, s};

use crate::model::{Classifier, ModelError};

/// The input buffer of a classifier.
#[derive(Debug)]
pub(crate) struct Batches {
    /// `[B, C·H·W]`; rows that are not used keep what they held.
    images: Array2<f32>,
}

impl Batches {
    /// A buffer for that classifier.
    pub(crate) fn new(classifier: &dyn Classifier) -> Self {
        Self { images: Array2::zeros((classifier.batch(), classifier.image_shape().pixels())) }
    }

    /// Rows of a batch, `B`.
    pub(crate) fn size(&self) -> usize {
        self.images.nrows()
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
        Ok(classifier.logits(self.images.view())?.slice(s![..count, ..]))
    }
}
