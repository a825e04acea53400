use mimir_bundle::{ImageShape, Norm, Pixels, ThreatModel};
use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;

use super::*;
use crate::evaluation_set::EvaluationSet;
use crate::loss::at_logits;
use crate::model::GradientBatch;
use crate::random::{Key, Stream};

const PIXELS: usize = 24;
const UNITS: usize = 32;
const CLASSES: usize = 5;
const BATCH: usize = 7;

/// What is wrong with a copy.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Scores are off by this share of themselves.
    Scores(f32),
    /// No class but the last is ever lost to: its score is another class's.
    Swapped,
    /// The gradient of so many of every eight pixels is zero.
    Masked(usize),
    /// The gradient is this multiple of itself.
    Scaled(f32),
    /// The gradient is NaN.
    NotANumber,
}

/// What units compute.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Relu,
    Tanh,
    /// 0 or 1, with the gradient of the identity.
    Step,
}

/// `softmax?(V · unit(W·x + b))`: the file, and the graphs that are searched.
#[derive(Debug, Clone)]
struct Network {
    unit: Unit,
    first: Vec<f32>,
    bias: Vec<f32>,
    second: Vec<f32>,
    softmax: bool,
    fault: Fault,
    loss: Loss,
    logits: Array2<f32>,
    answers: GradientBatch,
}

impl Network {
    fn new(seed: u64, unit: Unit) -> Self {
        let draw = |target: usize, count: usize, scale: f32| {
            let key = Key { seed, image: 0, attack: "weights", target: Some(target), restart: 0 };
            let mut values = vec![0.0; count];
            Stream::new(&key).fill_normal(&mut values);
            values.iter_mut().for_each(|value| *value *= scale);
            values
        };
        Self {
            unit,
            first: draw(0, UNITS * PIXELS, 0.4),
            bias: draw(1, UNITS, 0.3),
            second: draw(2, CLASSES * UNITS, 0.4),
            softmax: false,
            fault: Fault::None,
            loss: Loss::CrossEntropy,
            logits: Array2::zeros((BATCH, CLASSES)),
            answers: GradientBatch::zeros(BATCH, CLASSES, PIXELS),
        }
    }

    /// Sums in another order, as another program does.
    fn units(&self, image: &[f32], backwards: bool) -> Vec<f32> {
        let rows = self.first.chunks(PIXELS).zip(&self.bias);
        let row = |(weights, bias): (&[f32], &f32)| {
            let products = weights.iter().zip(image).map(|(weight, pixel)| weight * pixel);
            let products: Vec<f32> = products.collect();
            let sum = match backwards {
                true => products.iter().rev().fold(0.0, |sum, product| sum + product),
                false => products.iter().fold(0.0, |sum, product| sum + product),
            };
            sum + bias
        };
        rows.map(row).collect()
    }

    fn activated(&self, value: f32) -> (f32, f32) {
        match self.unit {
            Unit::Relu => (value.max(0.0), if value > 0.0 { 1.0 } else { 0.0 }),
            Unit::Tanh => (value.tanh(), 1.0 - value.tanh().powi(2)),
            Unit::Step => (if value > 0.0 { 1.0 } else { 0.0 }, 1.0),
        }
    }

    fn scores(&self, image: &[f32], backwards: bool) -> Vec<f32> {
        let units: Vec<f32> =
            self.units(image, backwards).into_iter().map(|unit| self.activated(unit).0).collect();
        let sum = |weights: &[f32]| weights.iter().zip(&units).map(|(weight, unit)| weight * unit).sum();
        self.second.chunks(UNITS).map(sum).collect()
    }

    fn searched_scores(&self, image: &[f32]) -> Vec<f32> {
        let mut scores = self.scores(image, true);
        match self.fault {
            Fault::Scores(share) => scores[0] *= 1.0 + share,
            Fault::Swapped => scores.swap(0, 1),
            Fault::None | Fault::Masked(_) | Fault::Scaled(_) | Fault::NotANumber => {}
        }
        scores
    }
}

/// The file's own session.
#[derive(Debug, Clone)]
struct File(Network);

impl Classifier for File {
    fn image_shape(&self) -> ImageShape {
        ImageShape { channels: 1, height: 1, width: PIXELS }
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
        for (row, image) in images.rows().into_iter().enumerate() {
            let mut scores = self.0.scores(image.to_slice().unwrap(), false);
            if self.0.softmax {
                let total: f32 = scores.iter().map(|score| score.exp()).sum();
                scores.iter_mut().for_each(|score| *score = score.exp() / total);
            }
            self.0.logits.row_mut(row).assign(&ndarray::ArrayView1::from(&scores));
        }
        Ok(&self.0.logits)
    }
}

impl Classifier for Network {
    fn image_shape(&self) -> ImageShape {
        ImageShape { channels: 1, height: 1, width: PIXELS }
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
        for (row, image) in images.rows().into_iter().enumerate() {
            let scores = self.searched_scores(image.to_slice().unwrap());
            self.logits.row_mut(row).assign(&ndarray::ArrayView1::from(&scores));
        }
        Ok(&self.logits)
    }
}

impl Differentiable for Network {
    fn batch(&self) -> usize {
        BATCH
    }

    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        pairs: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        for (row, image) in images.rows().into_iter().enumerate() {
            let image = image.to_slice().unwrap();
            let scores = self.searched_scores(image);
            let mut cotangent = vec![0.0; CLASSES];
            self.answers.loss[row] = at_logits(self.loss, &scores, pairs[row], &mut cotangent);
            let mut gradient = vec![0.0; PIXELS];
            for (unit, value) in self.units(image, true).into_iter().enumerate() {
                let slope = self.activated(value).1;
                let by_unit: f32 =
                    (0..CLASSES).map(|class| cotangent[class] * self.second[class * UNITS + unit]).sum();
                let weights = &self.first[unit * PIXELS..(unit + 1) * PIXELS];
                for (entry, weight) in gradient.iter_mut().zip(weights) {
                    *entry += by_unit * slope * weight;
                }
            }
            for (pixel, entry) in gradient.iter_mut().enumerate() {
                match self.fault {
                    Fault::Masked(count) if pixel % 8 < count => *entry = 0.0,
                    Fault::Scaled(factor) => *entry *= factor,
                    Fault::NotANumber => *entry = f32::NAN,
                    _ => {}
                }
            }
            self.answers.gradient.row_mut(row).assign(&ndarray::ArrayView1::from(&gradient));
            self.answers.logits.row_mut(row).assign(&ndarray::ArrayView1::from(&scores));
        }
        Ok(&self.answers)
    }
}

impl ModelSource for Network {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        Ok(Box::new(File(self.clone())))
    }

    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        Ok(Box::new(self.clone()))
    }

    fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        Ok(Box::new(Self { loss, ..self.clone() }))
    }
}

const LOSSES: [Loss; 4] = [Loss::CrossEntropy, Loss::Dlr, Loss::TargetedDlr, Loss::Margin];

fn expected(network: &Network) -> Expected {
    let is_step = network.unit == Unit::Step;
    Expected {
        scores: if network.softmax { SearchedScores::Logarithms } else { SearchedScores::Equal },
        rounding: Rounding { unit: f64::from(f32::EPSILON), relative: 1e-3 },
        has_steps: is_step,
        gradients: if is_step { ExpectedGradients::StandIns } else { ExpectedGradients::Derivatives },
    }
}

fn found(network: &Network, seed: u64) -> Vec<AcceptedDifference> {
    let mut images = Array2::zeros((6, PIXELS));
    let key = Key { seed, image: 0, attack: "images", target: None, restart: 0 };
    Stream::new(&key).fill_uniform(images.as_slice_mut().unwrap());
    images.mapv_inplace(f32::abs);
    let set = EvaluationSet::new(&images, &[0, 1, 2, 3, 4, 0]).unwrap();
    let threat_model = ThreatModel { norm: Norm::Linf, epsilon: 0.1, pixels: Pixels::Continuous };
    let graphs = SearchedGraphs { forward: true, losses: LOSSES.to_vec(), features: false };
    let sample = Sample { set: &set, threat_model: &threat_model, seed };
    let models = KeptModels::new(network);
    differences(&models, &graphs, &sample, &expected(network), &AtomicBool::new(false)).unwrap()
}

fn quantities(found: &[AcceptedDifference]) -> Vec<(&str, ComparedQuantity)> {
    found.iter().map(|one| (one.graph.as_str(), one.quantity)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn copies_that_only_round_otherwise_agree(
        seed in any::<u64>(),
        unit in prop::sample::select(vec![Unit::Relu, Unit::Tanh, Unit::Step]),
        softmax in any::<bool>(),
    ) {
        let network = Network { softmax, ..Network::new(seed, unit) };
        prop_assert_eq!(found(&network, seed), vec![]);
    }

    #[test]
    fn other_scores_are_found_in_every_graph(
        seed in any::<u64>(),
        unit in prop::sample::select(vec![Unit::Relu, Unit::Tanh]),
        softmax in any::<bool>(),
        fault in prop::sample::select(vec![Fault::Scores(0.5), Fault::Scores(-1.0), Fault::Swapped]),
    ) {
        let network = Network { softmax, fault, ..Network::new(seed, unit) };
        let found = found(&network, seed);
        prop_assert!(found.iter().all(|one| one.quantity == ComparedQuantity::Scores));
        prop_assert_eq!(found.len(), 1 + LOSSES.len());
        for one in found {
            prop_assert!(one.difference > one.explained && one.explained < 0.01, "{:?}", one);
            prop_assert!((1..=one.compared).contains(&one.differing), "{:?}", one);
        }
    }

    #[test]
    fn gradients_that_are_none_are_found(
        seed in any::<u64>(),
        unit in prop::sample::select(vec![Unit::Relu, Unit::Tanh]),
        softmax in any::<bool>(),
        fault in prop::sample::select(vec![Fault::Masked(8), Fault::Scaled(-1.0), Fault::Scaled(3.0)]),
    ) {
        let network = Network { softmax, fault, ..Network::new(seed, unit) };
        let found = found(&network, seed);
        prop_assert!(found.iter().all(|one| one.quantity == ComparedQuantity::Gradient), "{:?}", found);
        prop_assert!(found.len() >= 3, "{:?}", found);
    }
}

/// Half of the pixels, or a factor of two: not found in every draw of directions, and in most.
#[test]
fn most_gradients_that_are_half_wrong_are_found() {
    for fault in [Fault::Masked(4), Fault::Scaled(2.0)] {
        let of = |seed: &u64| Network { fault, ..Network::new(*seed, Unit::Tanh) };
        let count = (0..50_u64).filter(|seed| !found(&of(seed), *seed).is_empty()).count();
        assert!(count >= 40, "{fault:?}: {count} of 50");
    }
}

#[test]
fn gradients_without_numbers_are_not_compared() {
    let network = Network { fault: Fault::NotANumber, ..Network::new(3, Unit::Tanh) };
    assert_eq!(found(&network, 3), []);
}

/// Gradients of steps are stand-ins; scores are compared.
#[test]
fn of_steps_only_the_scores_are_compared() {
    for (fault, wrong) in [(Fault::Masked(8), 0), (Fault::Swapped, 1 + LOSSES.len())] {
        let network = Network { fault, ..Network::new(1, Unit::Step) };
        assert_eq!(found(&network, 1).len(), wrong, "{fault:?}");
    }
}

#[test]
fn graphs_are_named() {
    let network = Network { fault: Fault::Scaled(-1.0), ..Network::new(2, Unit::Tanh) };
    let names = LOSSES.map(|loss| (format!("gradient of {}", loss.name()), ComparedQuantity::Gradient));
    let found = found(&network, 2);
    let wanted: Vec<(&str, ComparedQuantity)> =
        names.iter().map(|(name, what)| (name.as_str(), *what)).collect();
    assert_eq!(quantities(&found), wanted);
}

#[test]
fn a_few_points_on_the_other_side_of_a_step_are_rounding() {
    let one = |difference: f64| Comparison { difference, explained: 0.1, scale: 1.0 };
    let compared = [one(1.0), one(0.5), one(0.0), one(0.0), one(0.0)];
    let found = |needed| verdict("forward", ComparedQuantity::Scores, &compared, needed);
    assert_eq!(found(3), None);
    let difference = found(1).unwrap();
    assert_eq!((difference.difference, difference.differing, difference.compared), (1.0, 2, 5));
    assert_eq!(verdict("forward", ComparedQuantity::Scores, &[], 1), None);
}

#[test]
fn the_nearest_other_class_is_the_target() {
    let pair = |scores: &[f32], label| label_and_nearest(scores, label).target;
    assert_eq!(pair(&[3.0, 1.0, 2.0], 0), Some(2));
    assert_eq!(pair(&[f32::NAN, 1.0, f32::NAN], 1), Some(2));
}
