//! Whether a quantised file has the logits that its numbers say on this processor.
//!
//! The file's operators on 8-bit numbers are integer kernels of the engine; the copy that is searched computes the same
//! in floats, rounding to the same 8-bit steps. The two differ where a number falls on the other side of a step, which
//! moves logits by up to a few percent of their length. Kernels whose 16-bit sums saturate
//! ([`mimir_runtime::processor`]) move them by more.

use std::collections::BTreeSet;

use mimir_runtime::attack::Query;
use mimir_runtime::evaluate::EvaluationSet;
use mimir_runtime::model::{Classifier, ModelSource};
use mimir_runtime::report::Warning;
use mimir_runtime::session::Precision;
use mimir_runtime::{probe, processor};

use super::CalibratedModel;
use crate::error::{ErrorKind, OrKind, Result};

/// Operators that make 8-bit numbers of floats.
const QUANTISES: &str = "QuantizeLinear";

/// Distance between the logits of file and copy, relative to the length of the copy's, from which rounding does not
/// explain it. Each logit is compared less the mean of its image's, which no prediction depends on.
///
/// Measured with VNNI, where nothing saturates, ONNX Runtime 1.32: convolutional networks up to 0.4 %, small Vision
/// Transformers 0 to 3.8 %, since its kernels on 8-bit numbers round sums and Softmax in other places than the floats do.
/// Saturation moved a small network's by 12 %.
const UNEXPLAINED: f64 = 0.06;

impl CalibratedModel {
    /// Whether the file computes in 8-bit numbers.
    pub fn is_quantised(&self) -> bool {
        self.scan().straight_through.iter().any(|node| node.operator.contains(QUANTISES))
    }

    /// Compares the logits of a quantised file on the first images with those of its copy in floats, and warns where
    /// they are farther apart than rounding explains.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when the engine refuses a graph or fails, [`ErrorKind::Data`] when an image cannot be read.
    pub fn with_quantisation_checked(mut self, set: &EvaluationSet) -> Result<Self> {
        if !self.is_quantised() {
            return Ok(self);
        }
        let models = self.sessions_for(&BTreeSet::from([Query::Forward]), Precision::Float32)?;
        let mut file = models.classifier().or_kind(ErrorKind::Model)?;
        let mut copy = models.search_classifier().or_kind(ErrorKind::Model)?;
        self.warnings.extend(compared(file.as_mut(), copy.as_mut(), set)?);
        Ok(self)
    }
}

fn compared(
    file: &mut dyn Classifier,
    copy: &mut dyn Classifier,
    set: &EvaluationSet,
) -> Result<Option<Warning>> {
    let difference = probe::relative_difference(file, copy, set)?;
    Ok((difference > UNEXPLAINED)
        .then(|| Warning::QuantisedLogitsDiffer { difference, processor: processor::detect() }))
}

#[cfg(test)]
mod tests {
    use mimir_bundle::ImageShape;
    use mimir_runtime::linear::LinearClassifier;
    use ndarray::{Array2, array};

    use super::*;

    /// What a file's logits are times `factor`, whatever the processor.
    fn model(factor: f32) -> LinearClassifier {
        let shape = ImageShape { channels: 1, height: 1, width: 2 };
        LinearClassifier::new(array![[1.0, -1.0], [-1.0, 1.0]] * factor, array![3.0, 3.0], shape, 2)
    }

    #[test]
    fn a_difference_that_rounding_does_not_explain_is_a_warning() {
        let images: Array2<f32> = array![[0.9, 0.1], [0.2, 0.7], [0.4, 0.6]];
        let set = EvaluationSet::new(&images, &[0, 1, 1]).unwrap();
        let found = |factor| compared(&mut model(factor), &mut model(1.0), &set).unwrap();
        assert_eq!((found(1.0), found(0.962)), (None, None));
        let Some(Warning::QuantisedLogitsDiffer { difference, .. }) = found(0.88) else {
            panic!("12 % are too many")
        };
        assert!((difference - 0.12).abs() < 1e-4, "the mean of the logits does not count: {difference}");
    }
}
