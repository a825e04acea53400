//! What can go wrong with a model or a worker, on models made for it. The normal course is tested in `evaluate`.

use mimir_bundle::{ImageShape, Norm, ThreatModel};
use ndarray::{Array2, ArrayView2};

use super::*;
use crate::attack::{Answer, AttackSpec, Query, Search, Step, Subject};
use crate::evaluate::{NonFinite, Quantity, Silent};
use crate::model::{Classifier, Differentiable, Goal, GradientBatch, Loss, ModelError, ModelSource};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 1, width: 2 };

/// What the models of these tests do with an image of two pixels: `p` and `q`. The logits are `(1 - q, q)`.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// The gradient graph sees logits `(0.5, 0.5 - 1e-6)`: every iterate looks broken.
    CriesWolf,
    /// NaN where `p > 0.8`.
    Nan(Quantity),
    /// Panics where `p > 0.8`.
    Panics,
}

#[derive(Clone)]
struct Model {
    fault: Fault,
    batch: usize,
    logits: Array2<f32>,
    answers: GradientBatch,
}

impl Model {
    fn new(fault: Fault, batch: usize) -> Self {
        let answers = GradientBatch::zeros(batch, 2, 2);
        Self { fault, batch, logits: Array2::zeros((batch, 2)), answers }
    }
}

impl Classifier for Model {
    fn image_shape(&self) -> ImageShape {
        SHAPE
    }

    fn classes(&self) -> usize {
        2
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
        for (row, image) in images.rows().into_iter().enumerate() {
            self.logits[[row, 0]] = 1.0 - image[1];
            self.logits[[row, 1]] = image[1];
        }
        Ok(&self.logits)
    }
}

impl Differentiable for Model {
    fn batch(&self) -> usize {
        self.batch
    }

    fn loss_gradient(&mut self, images: ArrayView2<f32>, _: &[Goal]) -> Result<&GradientBatch, ModelError> {
        let GradientBatch { logits, loss, gradient } = &mut self.answers;
        for (row, image) in images.rows().into_iter().enumerate() {
            let bad = image[0] > 0.8;
            assert!(!(bad && matches!(self.fault, Fault::Panics)), "image {row} is cursed");
            let spoil = |quantity| {
                if bad && matches!(self.fault, Fault::Nan(q) if q == quantity) { f32::NAN } else { 0.0 }
            };
            let (first, second) = match self.fault {
                Fault::CriesWolf => (0.5, 0.5 - 1e-6),
                _ => (1.0 - image[1], image[1]),
            };
            logits[[row, 0]] = first + spoil(Quantity::Logits);
            logits[[row, 1]] = second;
            loss[row] = image[1] + spoil(Quantity::Loss);
            gradient[[row, 0]] = spoil(Quantity::Gradient);
            gradient[[row, 1]] = 1.0;
        }
        Ok(&self.answers)
    }
}

impl ModelSource for Model {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        Ok(Box::new(self.clone()))
    }

    fn differentiable(&self, _: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        Ok(Box::new(self.clone()))
    }
}

/// Attacks images `(0.1, q)` of class 0 with L∞ 0.1; one is `(1, 0.3)`, so that a fault has something to act on.
fn attack(model: &Model, attack: &dyn Attack, workers: usize) -> Result<Report, EvaluateError> {
    let images = images();
    let labels = vec![0; images.nrows()];
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let clean_logits = Model::new(Fault::None, images.nrows()).logits(images.view()).unwrap().to_owned();
    let job = Job { attack, ball: ball(), set: &set, clean_logits: &clean_logits };
    let targets: Vec<usize> = (0..images.nrows()).collect();
    let mut workers = Worker::team(model, workers).unwrap();
    run(&mut workers, &job, &targets, &Monitor::new(&Silent, images.nrows()))
}

/// `q` is 0.301, 0.303, … 0.499: those above 0.4 can be broken, which is every image from 50 on.
fn images() -> Array2<f32> {
    let mut images = Array2::from_shape_fn((100, 2), |(row, pixel)| [0.1, 0.301 + 0.002 * row as f32][pixel]);
    images[[7, 0]] = 1.0;
    images
}

fn ball() -> Ball {
    Ball::new(&ThreatModel { norm: Norm::Linf, epsilon: 0.1 }).unwrap()
}

fn apgd() -> Box<dyn Attack> {
    "apgd-ce".parse::<AttackSpec>().unwrap().attack(ball(), 0).unwrap()
}

fn broken(report: &Report) -> Vec<usize> {
    report.found.iter().map(|found| found.image).collect()
}

#[test]
fn broken_images_leave_early_and_the_rest_spend_their_budget() {
    let report = attack(&Model::new(Fault::None, 100), apgd().as_ref(), 1).unwrap();
    assert_eq!(broken(&report), (50..100).collect::<Vec<_>>());
    let robust_steps = 50 * 101;
    assert!((robust_steps + 50..robust_steps + 50 * 10).contains(&report.steps), "{}", report.steps);
    // Each broken image costs one confirmation.
    assert_eq!(report.passes.forwards, report.steps + 50);
    assert_eq!(report.passes.backwards, report.steps);
}

/// The gradient graph alone never breaks an image: the searches go on, and what is found is what the original says.
#[test]
fn a_refuted_search_goes_on_where_it_was() {
    for batch in [1, 7, 100] {
        for workers in [1, 2] {
            let honest = attack(&Model::new(Fault::None, batch), apgd().as_ref(), workers).unwrap();
            let wolf = attack(&Model::new(Fault::CriesWolf, batch), apgd().as_ref(), workers).unwrap();
            assert_eq!(wolf.found, honest.found, "batch {batch}, {workers} workers");
            assert_eq!(wolf.steps, honest.steps);
            // Every iterate was confirmed or refuted.
            assert_eq!(wolf.passes.forwards, 2 * wolf.steps);
        }
    }
}

#[test]
fn a_number_that_is_not_finite_stops_the_run_with_its_image() {
    for quantity in [Quantity::Logits, Quantity::Loss, Quantity::Gradient] {
        for workers in [1, 2] {
            let error = attack(&Model::new(Fault::Nan(quantity), 7), apgd().as_ref(), workers).unwrap_err();
            assert_eq!(error, EvaluateError::NonFinite(NonFinite { image: 7, quantity }));
        }
    }
}

#[test]
fn a_panic_in_a_worker_ends_the_run_with_an_error() {
    for workers in [1, 2, 3] {
        let error = attack(&Model::new(Fault::Panics, 7), apgd().as_ref(), workers).unwrap_err();
        assert!(matches!(&error, EvaluateError::WorkerPanicked(text) if text.contains("cursed")), "{error}");
    }
}

/// Walks up the second pixel in tenths of the ball, without gradients.
struct Ladder;

struct Climb<'a> {
    subject: Subject<'a>,
    rung: usize,
}

impl Attack for Ladder {
    fn query(&self) -> Query {
        Query::Logits
    }

    fn search<'a>(&'a self, subject: Subject<'a>) -> Box<dyn Search + 'a> {
        Box::new(Climb { subject, rung: 0 })
    }
}

impl Search for Climb<'_> {
    fn goal(&self) -> Goal {
        Goal { label: self.subject.label, target: None }
    }

    fn propose(&self, out: &mut [f32]) {
        out.copy_from_slice(self.subject.pixels);
        out[1] += 0.01 * self.rung as f32;
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        assert!(answer.gradient.is_empty());
        self.rung += 1;
        if self.rung > 10 { Step::Done } else { Step::Continue }
    }
}

#[test]
fn an_attack_without_gradients_needs_no_gradient_graph() {
    let report = attack(&Model::new(Fault::None, 7), &Ladder, 2).unwrap();
    assert_eq!(broken(&report), (50..100).collect::<Vec<_>>());
    assert_eq!(report.passes.backwards, 0);
    let last = report.found.last().unwrap();
    // 0.499 + 0.01 is the first rung above one half.
    assert_eq!((last.step, last.prediction), (1, 1));
}
