//! `adversarial.npz`: the counterexamples, with what is needed to check them again.
//!
//! | array | type | shape | what |
//! | --- | --- | --- | --- |
//! | `images` | `f32` | `[M, C, H, W]` | the perturbed images, in `[0, 1]` |
//! | `indices` | `u64` | `[M]` | index of each original among the evaluated images |
//! | `labels` | `u64` | `[M]` | its class |
//! | `predictions` | `u64` | `[M]` | the class that the model answers for the perturbed image |

use std::io::Cursor;

use anyhow::{Context, Result, ensure};
use mimir_bundle::ImageShape;
use mimir_runtime::evaluate::{Evaluation, Verdict};
use ndarray::{Array1, Array2, Array4};
use ndarray_npy::{NpzReader, NpzWriter};

/// Counterexamples in memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CounterexampleSet {
    /// `[M, C·H·W]`
    pub(crate) images: Array2<f32>,
    /// `[M]`
    pub(crate) indices: Vec<usize>,
    /// `[M]`
    pub(crate) labels: Vec<usize>,
    /// `[M]`
    pub(crate) predictions: Vec<usize>,
}

impl CounterexampleSet {
    /// Those that an evaluation confirmed.
    pub(crate) fn of(evaluation: &Evaluation, image: ImageShape) -> Result<Self> {
        let (mut pixels, mut indices, mut labels, mut predictions) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (outcome, adversarial) in evaluation.outcomes.iter().zip(&evaluation.adversarial) {
            if let (Verdict::Broken { prediction, .. }, Some(adversarial)) = (&outcome.verdict, adversarial) {
                pixels.extend_from_slice(adversarial);
                indices.push(outcome.image);
                labels.push(outcome.label);
                predictions.push(*prediction);
            }
        }
        let images = Array2::from_shape_vec((indices.len(), image.pixels()), pixels)?;
        Ok(Self { images, indices, labels, predictions })
    }

    /// The file. Byte-identical for equal counterexamples: the archive carries no time.
    pub(crate) fn to_npz(&self, image: ImageShape) -> Result<Vec<u8>> {
        let ImageShape { channels, height, width } = image;
        let images =
            self.images.view().into_shape_with_order((self.indices.len(), channels, height, width))?;
        let mut archive = NpzWriter::new_compressed(Cursor::new(Vec::new()));
        archive.add_array("images", &images)?;
        for (name, values) in
            [("indices", &self.indices), ("labels", &self.labels), ("predictions", &self.predictions)]
        {
            archive.add_array(name, &values.iter().map(|&value| value as u64).collect::<Array1<u64>>())?;
        }
        Ok(archive.finish()?.into_inner())
    }

    /// Reads the file back. Its digest was checked: what is wrong with it now was wrong when it was written.
    pub(crate) fn from_npz(bytes: &[u8], image: ImageShape) -> Result<Self> {
        let mut archive = NpzReader::new(Cursor::new(bytes))?;
        let images: Array4<f32> = archive.by_name("images").context("array `images`")?;
        let count = images.dim().0;
        let found = images.dim();
        let wanted = (count, image.channels, image.height, image.width);
        ensure!(found == wanted, "array `images` has shape {found:?}, the model takes {wanted:?}");
        let images = images.into_shape_with_order((count, image.pixels()))?;
        let mut integers = |name: &str| -> Result<Vec<usize>> {
            let array: Array1<u64> = archive.by_name(name).with_context(|| format!("array `{name}`"))?;
            ensure!(array.len() == count, "array `{name}` has {} values for {count} images", array.len());
            array.into_iter().map(|value| usize::try_from(value).context("an index too large")).collect()
        };
        let (indices, labels) = (integers("indices")?, integers("labels")?);
        Ok(Self { images, indices, labels, predictions: integers("predictions")? })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const IMAGE: ImageShape = ImageShape { channels: 1, height: 1, width: 2 };

    fn set() -> CounterexampleSet {
        CounterexampleSet {
            images: array![[0.0, 0.1], [0.5, 1.0]],
            indices: vec![3, 17],
            labels: vec![1, 0],
            predictions: vec![0, 2],
        }
    }

    #[test]
    fn round_trips_to_the_last_bit() {
        let bytes = set().to_npz(IMAGE).unwrap();
        assert_eq!(CounterexampleSet::from_npz(&bytes, IMAGE).unwrap(), set());
        assert_eq!(set().to_npz(IMAGE).unwrap(), bytes);
    }

    #[test]
    fn none_is_a_file_too() {
        let none = CounterexampleSet {
            images: Array2::zeros((0, 2)),
            indices: vec![],
            labels: vec![],
            predictions: vec![],
        };
        let bytes = none.to_npz(IMAGE).unwrap();
        assert_eq!(CounterexampleSet::from_npz(&bytes, IMAGE).unwrap(), none);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bytes = set().to_npz(IMAGE).unwrap();
        let other = ImageShape { channels: 3, ..IMAGE };
        let error = CounterexampleSet::from_npz(&bytes, other).unwrap_err().to_string();
        assert!(error.contains("shape (2, 1, 1, 2), the model takes (2, 3, 1, 2)"), "{error}");
        let short = CounterexampleSet { labels: vec![1], ..set() }.to_npz(IMAGE).unwrap();
        let error = CounterexampleSet::from_npz(&short, IMAGE).unwrap_err().to_string();
        assert!(error.contains("`labels` has 1 values for 2 images"), "{error}");
        assert!(CounterexampleSet::from_npz(&bytes[..40], IMAGE).is_err());
    }
}
