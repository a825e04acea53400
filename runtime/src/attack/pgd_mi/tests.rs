//! The whole gradient, through features and pixels, of a small network; and the batch of the penalty.

use mimir_bundle::Norm;
use ndarray::{Array1, Array2, ArrayView1};

use super::*;
use crate::attack::testing::context;
use crate::testing::{key, noise};

const PIXELS: usize = 6;
const FEATURES: usize = 4;
const CLASSES: usize = 3;

/// `f = tanh(Wx)`, `z = Vf`.
struct Network {
    first: Array2<f64>,
    second: Array2<f64>,
}

impl Network {
    fn new() -> Self {
        let wide = |name, rows, columns| noise(key(11, 0, name), rows, columns).mapv(f64::from);
        Self { first: wide("first", FEATURES, PIXELS), second: wide("second", CLASSES, FEATURES) }
    }

    fn features(&self, pixels: &[f32]) -> Array1<f64> {
        let pixels: Array1<f64> = pixels.iter().map(|value| f64::from(*value)).collect();
        self.first.dot(&pixels).mapv(f64::tanh)
    }

    /// Logits and features as a search sees them.
    fn answer(&self, pixels: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let features = self.features(pixels);
        let narrow = |values: ArrayView1<f64>| values.iter().map(|value| *value as f32).collect();
        (narrow(self.second.dot(&features).view()), narrow(features.view()))
    }

    /// The gradient of a graph with those cotangents.
    fn gradient(&self, pixels: &[f32], slopes: &Slopes) -> Array1<f64> {
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Array1<f64>>();
        let by_features = self.second.t().dot(&wide(&slopes.logits)) + wide(&slopes.features);
        let slope = self.features(pixels).mapv(|value| 1.0 - value * value);
        self.first.t().dot(&(by_features * slope))
    }
}

/// Eight images as they are, and the attack that is given them. The penalty weighs as much as the cross entropy.
fn prepared(network: &Network) -> (PgdMi, Array2<f32>) {
    let images = noise(key(11, 0, "images"), 8, PIXELS) * 0.4 + 0.5;
    let spec = PgdMiSpec {
        penalty_weight: 0.5,
        penalty_batch: 5,
        kernel_width: 0.3,
        ridge: 1e-2,
        reference_images: vec![4, 2, 7, 1, 0],
        ..PgdMiSpec::default()
    };
    let mut attack = PgdMi::new(&spec, &context(Norm::Linf, 0.1, PIXELS, CLASSES));
    let reference = |image: &usize| {
        let pixels = images.row(*image).to_vec();
        Reference { image: *image, features: network.answer(&pixels).1, pixels }
    };
    let references = attack.reference_images().iter().map(reference).collect();
    attack.take_references(references);
    (attack, images)
}

fn objective(attack: &PgdMi, image: usize) -> CrossEntropyAndPenalty<'_> {
    let others = (0..attack.references.len()).filter(|index| attack.references[*index].image != image);
    let others = others.take(attack.spec.penalty_batch - 1).collect();
    CrossEntropyAndPenalty { attack, label: 1, others, own: Vec::new() }
}

fn value(network: &Network, objective: &mut CrossEntropyAndPenalty, pixels: &[f32]) -> (f64, Slopes) {
    let (logits, features) = network.answer(pixels);
    let point = FeaturePoint { pixels, logits: &logits, features: &features };
    let mut slopes = Slopes::default();
    slopes.clear(&point);
    let loss = objective.at(&point, &mut slopes);
    (f64::from(loss), slopes)
}

#[test]
fn the_gradient_through_features_and_pixels_is_that_of_central_differences() {
    let network = Network::new();
    let (attack, images) = prepared(&network);
    let pixels = images.row(3).to_vec();
    let mut objective = objective(&attack, 3);
    let (_, slopes) = value(&network, &mut objective, &pixels);
    assert!(slopes.pixels.iter().any(|slope| slope.abs() > 1e-2), "the pixels are an argument: {slopes:?}");
    let found = network.gradient(&pixels, &slopes);
    for pixel in 0..PIXELS {
        let moved = |step: f32| {
            let mut pixels = pixels.clone();
            pixels[pixel] += step;
            value(&network, &mut self::objective(&attack, 3), &pixels).0
        };
        // Losses are float32: the step is wide.
        let difference = (moved(4e-3) - moved(-4e-3)) / 8e-3;
        let slope = found[pixel] + f64::from(slopes.pixels[pixel]);
        assert!(
            (slope - difference).abs() < 5e-3 * difference.abs().max(1.0),
            "{pixel}: {slope} {difference}"
        );
    }
}

/// An image of the batch is not its own neighbour: the fifth takes its place.
#[test]
fn the_batch_of_an_image_is_itself_and_the_first_others() {
    let network = Network::new();
    let (attack, _) = prepared(&network);
    let neighbours = |image| {
        let others = objective(&attack, image).others;
        others.iter().map(|index| attack.references[*index].image).collect::<Vec<_>>()
    };
    assert_eq!(neighbours(3), [4, 2, 7, 1]);
    assert_eq!(neighbours(2), [4, 7, 1, 0]);
}

#[test]
fn the_penalty_is_that_of_the_batch_and_weighs_beside_a_mean() {
    let network = Network::new();
    let (attack, images) = prepared(&network);
    let pixels = images.row(3).to_vec();
    let mut objective = objective(&attack, 3);
    let (loss, _) = value(&network, &mut objective, &pixels);
    let rows: Vec<usize> = vec![3, 4, 2, 7, 1];
    let kernel = |rows: Vec<Vec<f32>>| {
        let rate = rate(0.3, rows[0].len());
        Matrix::from_fn(5, |one, other| libm::exp(-rate * squared_distance(&rows[one], &rows[other])))
    };
    let of_pixels = kernel(rows.iter().map(|row| images.row(*row).to_vec()).collect());
    let of_features = kernel(rows.iter().map(|row| network.answer(&images.row(*row).to_vec()).1).collect());
    let nhsic = nhsic(&of_pixels, &of_features, 1e-2).unwrap().value;
    let entropy = at_logits(
        Loss::CrossEntropy,
        &network.answer(&pixels).0,
        LabelAndTarget { label: 1, target: None },
        &mut [0.0; CLASSES],
    );
    let wanted = f64::from(entropy) + 5.0 * 0.5 * nhsic;
    assert!((loss - wanted).abs() < 1e-5, "{loss} {wanted}");
    assert!(nhsic > 0.5 && nhsic < 4.0, "{nhsic}");
}

#[test]
fn references_are_drawn_once_by_the_seed() {
    let spec = PgdMiSpec::default();
    let drawn = reference_images(&spec, 500, 3);
    let mut sorted = drawn.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!((drawn.len(), sorted.len()), (16, 16));
    assert!(sorted.iter().all(|image| *image < 500));
    assert_eq!(reference_images(&spec, 500, 3), drawn);
    assert_ne!(reference_images(&spec, 500, 4), drawn);
    let mut few = reference_images(&spec, 5, 0);
    few.sort_unstable();
    assert_eq!(few, [0, 1, 2, 3, 4]);
}
