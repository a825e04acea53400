//! What the tests of several modules share: norms, noise, attack contexts, and linear models whose worst case is known.

use mimir_bundle::{ImageShape, Norm, Pixels, ThreatModel};
use ndarray::{Array1, Array2, Axis, array};

use crate::attack::{AttackContext, DistanceGoal};
use crate::ball::Ball;
use crate::linear::LinearClassifier;
use crate::model::{Classifier, Differentiable, Loss, ModelError, ModelSource};
use crate::random::{Key, Stream};

/// All norms.
pub(crate) const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

/// Uniform in `[-1, 1)`, `[rows, columns]`.
pub(crate) fn noise(key: Key, rows: usize, columns: usize) -> Array2<f32> {
    let mut values = Array2::zeros((rows, columns));
    Stream::new(&key).fill_uniform(values.as_slice_mut().unwrap());
    values
}

/// A key for noise that no attack draws.
pub(crate) fn key(seed: u64, image: usize, attack: &'static str) -> Key {
    Key { seed, image, attack, target: None, restart: 0 }
}

/// The ball of a norm and a radius.
pub(crate) fn ball(norm: Norm, epsilon: f64) -> Ball {
    Ball::new(&ThreatModel { norm, epsilon, pixels: Pixels::Continuous }).unwrap()
}

/// What attacks know of an evaluation, with seed 0.
pub(crate) fn attack_context(norm: Norm, epsilon: f64, image: ImageShape, classes: usize) -> AttackContext {
    let ball = ball(norm, epsilon);
    AttackContext { ball, seed: 0, image, classes, distances: DistanceGoal::WithinBall }
}

/// The classifier with those weights whose logits at the grey image are `logits`, so that margins near it are small.
pub(crate) fn linear_around_grey(
    weights: Array2<f32>,
    logits: &Array1<f32>,
    shape: ImageShape,
    batch: usize,
) -> LinearClassifier {
    let bias = logits - &(0.5 * weights.sum_axis(Axis(1)));
    LinearClassifier::new(weights, bias, shape, batch)
}

/// One pixel; class 1 where it is above one half. Batches of two.
pub(crate) fn threshold() -> LinearClassifier {
    let shape = ImageShape { channels: 1, height: 1, width: 1 };
    LinearClassifier::new(array![[-1.0], [1.0]], array![1.0, 0.0], shape, 2)
}

/// A model of a test that is its own classifier and the gradient graph of every loss.
pub(crate) trait TestModel: Classifier + Differentiable + Clone + Sync + 'static {}

impl<T: TestModel> ModelSource for T {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        Ok(Box::new(self.clone()))
    }

    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.classifier()
    }

    fn differentiable(&self, _: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        Ok(Box::new(self.clone()))
    }
}
