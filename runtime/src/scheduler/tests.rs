//! What can go wrong with a model or a worker, on models made for it. The normal course is tested in `evaluate`.

use mimir_bundle::{AttackSpec, ImageShape, Norm};
use ndarray::{Array2, ArrayView2};

use super::*;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use crate::archive::Archive;
use crate::attack::{Answer, Attack, CleanImage, DistanceGoal, Query, Search, Step};
use crate::ball::Ball;
use crate::evaluation_set::EvaluationSet;
use crate::journal::{Outcome, Record};
use crate::logits::DOUBT;
use crate::model::{Classifier, Differentiable, GradientBatch, LabelAndTarget, ModelError};
use crate::monitor::{Monitor, Silent};
use crate::testing::{self, TestModel, attack_context};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 1, width: 2 };

/// What the models of these tests do with an image of two pixels: `p` and `q`. The logits are `(1 - q, q)`.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// The gradient graph sees logits `(0.5, 0.5 - 1e-6)`: every iterate looks broken.
    CriesWolf,
    /// NaN in that answer where `p > 0.8`, in the gradient graph only.
    Nan(Quantity),
    /// NaN where `p > 0.8`, also from the original model.
    NanForReal,
    /// Panics where `p > 0.8`.
    Panics,
}

/// An answer of a gradient graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Logits,
    Loss,
    Gradient,
}

#[derive(Clone)]
struct FaultyModel {
    fault: Fault,
    batch: usize,
    /// Whether a fault acts on every image, not only where `p > 0.8`.
    everywhere: bool,
    logits: Array2<f32>,
    answers: GradientBatch,
    /// Rows of each call for logits, of this model and its copies.
    calls: Arc<Mutex<Vec<usize>>>,
}

impl FaultyModel {
    fn new(fault: Fault, batch: usize) -> Self {
        let answers = GradientBatch::zeros(batch, 2, 2);
        let (logits, calls) = (Array2::zeros((batch, 2)), Arc::default());
        Self { fault, batch, everywhere: false, logits, answers, calls }
    }
}

impl Classifier for FaultyModel {
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
        self.calls.lock().unwrap().push(images.nrows());
        for (row, image) in images.rows().into_iter().enumerate() {
            let spoilt = image[0] > 0.8 && matches!(self.fault, Fault::NanForReal);
            self.logits[[row, 0]] = if spoilt { f32::NAN } else { 1.0 - image[1] };
            self.logits[[row, 1]] = image[1];
        }
        Ok(&self.logits)
    }
}

impl Differentiable for FaultyModel {
    fn batch(&self) -> usize {
        self.batch
    }

    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        _: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        let GradientBatch { logits, loss, gradient, .. } = &mut self.answers;
        for (row, image) in images.rows().into_iter().enumerate() {
            let bad = self.everywhere || image[0] > 0.8;
            assert!(!(bad && matches!(self.fault, Fault::Panics)), "image {row} is cursed");
            let spoil = |quantity| {
                let spoilt = match self.fault {
                    Fault::Nan(spoilt) => spoilt == quantity,
                    Fault::NanForReal => quantity == Quantity::Logits,
                    _ => false,
                };
                if bad && spoilt { f32::NAN } else { 0.0 }
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

impl TestModel for FaultyModel {}

/// Attacks images `(0.1, q)` of class 0 with L∞ 0.1; one is `(1, 0.3)`, so that a fault has something to act on.
fn attack(model: &FaultyModel, attack: &dyn Attack, workers: usize) -> Result<UnitRecords, EvaluateError> {
    run_with(model, attack, workers, &Archive::none())
}

fn run_with(
    model: &FaultyModel,
    attack: &dyn Attack,
    workers: usize,
    archive: &Archive,
) -> Result<UnitRecords, EvaluateError> {
    let images = images();
    let labels = vec![0; images.nrows()];
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let clean = CleanPrediction {
        prediction: Some(0),
        is_certain: true,
        draws: 1,
        margin: 0.1,
        targets: Arc::new([1]),
    };
    let clean = vec![clean; images.nrows()];
    let (interrupted, monitor) = (AtomicBool::new(false), Monitor::new(&Silent, images.nrows()));
    let shared = Shared { set: &set, clean: &clean, archive, monitor: &monitor };
    let job = shared.job(attack, workers);
    let all: Vec<usize> = (0..images.nrows()).collect();
    let mut workers = Worker::create(model, workers).unwrap();
    run(&mut workers, &job, &all, &StopSignal::new(&interrupted))
}

/// What the jobs of these tests borrow.
struct Shared<'a> {
    set: &'a EvaluationSet<'a>,
    clean: &'a [CleanPrediction],
    archive: &'a Archive,
    monitor: &'a Monitor<'a>,
}

impl<'a> Shared<'a> {
    /// The only attack of a plan, without a gate.
    fn job(&self, attack: &'a dyn Attack, workers: usize) -> AttackJob<'a> {
        AttackJob {
            attack,
            index: 0,
            position: AttackPosition::Last,
            ball: ball(),
            seed: 0,
            distances: DistanceGoal::WithinBall,
            doubt: DOUBT,
            set: self.set,
            clean: self.clean,
            votes: Votes(1),
            draws_each: 1,
            archive: self.archive,
            float64: None,
            gate: None,
            monitor: self.monitor,
            workers,
        }
    }
}

/// `q` is 0.301, 0.303, … 0.499: those above 0.4 can be broken, which is every image from 50 on.
fn images() -> Array2<f32> {
    let mut images = Array2::from_shape_fn((100, 2), |(row, pixel)| [0.1, 0.301 + 0.002 * row as f32][pixel]);
    images[[7, 0]] = 1.0;
    images
}

fn ball() -> Ball {
    testing::ball(Norm::Linf, 0.1)
}

fn apgd() -> Box<dyn Attack> {
    named("apgd-ce")
}

fn named(name: &str) -> Box<dyn Attack> {
    let spec = AttackSpec::named(name).unwrap();
    let context = attack_context(Norm::Linf, 0.1, SHAPE, 2);
    crate::attack::attack(&spec, &context).unwrap()
}

fn broken(report: &UnitRecords) -> Vec<usize> {
    let broken = report.records.iter().filter(|record| matches!(record.outcome, Outcome::Broken { .. }));
    broken.map(|record| record.image as usize).collect()
}

fn passes(report: &UnitRecords) -> (u64, u64) {
    let sum = |count: fn(&Record) -> u32| report.records.iter().map(|record| u64::from(count(record))).sum();
    (sum(|record| record.forwards), sum(|record| record.backwards))
}

#[test]
fn broken_images_leave_early_and_the_rest_spend_their_budget() {
    let report = attack(&FaultyModel::new(Fault::None, 100), apgd().as_ref(), 1).unwrap();
    assert_eq!(broken(&report), (50..100).collect::<Vec<_>>());
    let (forwards, backwards) = passes(&report);
    let robust_steps = 50 * 101;
    assert!((robust_steps + 50..robust_steps + 50 * 10).contains(&backwards), "{backwards}");
    // Each broken image costs one confirmation.
    assert_eq!(forwards, backwards + 50);
}

/// The gradient graph alone never breaks an image: the searches go on, and what is found is what the original says.
#[test]
fn a_refuted_search_goes_on_where_it_was() {
    for batch in [1, 7, 100] {
        for workers in [1, 2] {
            let honest = attack(&FaultyModel::new(Fault::None, batch), apgd().as_ref(), workers).unwrap();
            let wolf = attack(&FaultyModel::new(Fault::CriesWolf, batch), apgd().as_ref(), workers).unwrap();
            let outcomes = |report: &UnitRecords| {
                let outcomes = report.records.iter().map(|record| (record.image, record.outcome));
                outcomes.collect::<Vec<_>>()
            };
            assert_eq!(outcomes(&wolf), outcomes(&honest), "batch {batch}, {workers} workers");
            let (forwards, backwards) = passes(&wolf);
            // Every iterate was confirmed or refuted.
            assert_eq!((forwards, backwards), (2 * backwards, passes(&honest).1));
        }
    }
}

/// The others are attacked as if nothing was.
#[test]
fn only_logits_of_the_original_model_that_mean_no_class_end_the_search_of_their_image() {
    let honest = attack(&FaultyModel::new(Fault::None, 7), apgd().as_ref(), 1).unwrap();
    let cases = [
        // Only the gradient graph: the original model has an answer, and the search goes on.
        (Fault::Nan(Quantity::Logits), Outcome::Spent, false),
        (Fault::Nan(Quantity::Loss), Outcome::Spent, false),
        (Fault::Nan(Quantity::Gradient), Outcome::Spent, true),
        (Fault::NanForReal, Outcome::NonFinite { step: 0 }, false),
    ];
    for (fault, outcome, non_finite_gradient) in cases {
        for workers in [1, 2] {
            let report = attack(&FaultyModel::new(fault, 7), apgd().as_ref(), workers).unwrap();
            for (record, other) in report.records.iter().zip(&honest.records) {
                if record.image == 7 {
                    assert_eq!(record.outcome, outcome, "{fault:?}");
                    assert_eq!(record.non_finite_gradient, non_finite_gradient, "{fault:?}");
                } else {
                    assert_eq!(record, other, "{fault:?}");
                }
            }
        }
    }
}

/// Image 7 can be broken along `q`, whatever the gradient graph says of `p`.
#[test]
fn a_search_breaks_images_where_its_graph_is_not_finite() {
    let spoilt = [Fault::None, Fault::Nan(Quantity::Gradient), Fault::Nan(Quantity::Logits)];
    for fault in spoilt {
        let mut model = FaultyModel::new(fault, 7);
        model.everywhere = true;
        let report = attack(&model, apgd().as_ref(), 1).unwrap();
        let broken = |record: &&Record| matches!(record.outcome, Outcome::Broken { .. });
        // Random starts alone break some where the graph has no logits at all.
        let least = if matches!(fault, Fault::Nan(Quantity::Logits)) { 1 } else { 50 };
        let found = report.records.iter().filter(broken).count();
        assert!(found >= least, "{fault:?}: {found} of 50");
        let non_finite = |record: &&Record| matches!(record.outcome, Outcome::NonFinite { .. });
        assert_eq!(report.records.iter().filter(non_finite).count(), 0, "{fault:?}");
    }
}

/// Answers that mean no class must not keep a search alive: every attack ends by its budget.
#[test]
fn every_attack_ends_where_no_proposal_has_an_answer() {
    for norm in testing::NORMS {
        for name in AttackSpec::NAMES {
            for restarts in [0, 1] {
                let context = attack_context(norm, 0.1, SHAPE, 2);
                let spec = crate::attack::attacks_named(name, norm).unwrap().remove(0);
                if spec.check_norm(norm).is_err() {
                    continue;
                }
                let attack = crate::attack::attack(&spec, &context).unwrap();
                // The scheduler ranks targets for those that aim at some.
                let targets = if spec.ranked_classes() > 0 { Arc::from([1]) } else { Arc::default() };
                let clean = CleanImage { image: 0, pixels: [0.1, 0.5].into(), label: 0, targets };
                let mut search = attack.search(&clean, restarts.min(attack.units() - 1));
                // Answers come and go.
                let (mut asked, mut point) = (0, [0.0; 2]);
                loop {
                    search.propose(&mut point);
                    asked += 1;
                    let gradient: &[f32] = if search.query() == Query::Forward { &[] } else { &[1.0, -1.0] };
                    let answer = Answer { logits: &[1.0, 0.5], loss: 0.5, gradient };
                    let step = if asked % 3 == 0 { search.observe(&answer) } else { search.step_back() };
                    assert!(point.iter().all(|value| (0.0..=1.0).contains(value)), "{name} {norm:?}");
                    if step == Step::Done {
                        break;
                    }
                    assert!(asked < 20_000, "{name} {norm:?} does not end");
                }
            }
        }
    }
}

#[test]
fn what_an_earlier_run_has_finished_is_not_searched_again() {
    let whole = attack(&FaultyModel::new(Fault::None, 7), apgd().as_ref(), 1).unwrap();
    let (journal, finished) = (tempfile::tempdir().unwrap(), whole.records[..60].to_vec());
    let journal = journal.path().join("journal");
    let header = crate::journal::Header::new();
    let open = crate::journal::Journal::create(&journal, &header).unwrap();
    let archive = Archive::none().with_journal(open, finished);
    let resumed = run_with(&FaultyModel::new(Fault::None, 32), apgd().as_ref(), 2, &archive).unwrap();
    assert_eq!(resumed.records, whole.records);
    drop(archive);
    // Only what was missing was appended.
    let (_, appended) = crate::journal::Journal::resume(&journal, &header).unwrap();
    assert_eq!(appended.len(), 40);
}

#[test]
fn a_panic_in_a_worker_ends_the_run_with_an_error() {
    for workers in [1, 2, 3] {
        let error = attack(&FaultyModel::new(Fault::Panics, 7), apgd().as_ref(), workers).unwrap_err();
        assert!(matches!(&error, EvaluateError::WorkerPanicked(text) if text.contains("cursed")), "{error}");
    }
}

/// Walks up the second pixel in tenths of the ball, without gradients, as often as it has units.
struct Ladder {
    units: usize,
}

struct LadderSearch {
    clean: CleanImage,
    /// Rungs before it moves: higher units wait longer, and so are slower.
    rung: isize,
}

impl Attack for Ladder {
    fn queries(&self) -> Vec<Query> {
        vec![Query::Forward]
    }

    fn units(&self) -> usize {
        self.units
    }

    fn most_passes(&self) -> u64 {
        10 * self.units as u64 + 10
    }

    /// The lowest unit is the slowest.
    fn search(&self, clean: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let rung = -((self.units - 1 - unit) as isize) * 10;
        Box::new(LadderSearch { clean: clean.clone(), rung })
    }
}

impl Search for LadderSearch {
    fn query(&self) -> Query {
        Query::Forward
    }

    fn label_and_target(&self) -> LabelAndTarget {
        LabelAndTarget { label: self.clean.label, target: None }
    }

    fn propose(&mut self, out: &mut [f32]) {
        out.copy_from_slice(&self.clean.pixels);
        out[1] += 0.01 * self.rung.max(0) as f32;
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        assert!(answer.gradient.is_empty());
        self.rung += 1;
        if self.rung > 10 { Step::Done } else { Step::Continue }
    }

    fn step_back(&mut self) -> Step {
        Step::Done
    }
}

#[test]
fn an_attack_without_gradients_needs_no_gradient_graph() {
    let report = attack(&FaultyModel::new(Fault::None, 7), &Ladder { units: 1 }, 2).unwrap();
    assert_eq!(broken(&report), (50..100).collect::<Vec<_>>());
    assert_eq!(passes(&report).1, 0);
    // 0.499 + 0.01 is the first rung above one half.
    let last = report.records.last().unwrap();
    assert!(matches!(last.outcome, Outcome::Broken { step: 1, prediction: 1, .. }), "{last:?}");
}

/// All units of the last images run side by side; a higher one that is faster does not change what is reported.
#[test]
fn the_lowest_unit_breaks_the_image_whatever_the_batch() {
    let ladder = Ladder { units: 3 };
    let lowest = |batch: usize, workers: usize| {
        let report = attack(&FaultyModel::new(Fault::None, batch), &ladder, workers).unwrap();
        let mut records = report.records;
        records.dedup_by_key(|record| record.image);
        records
    };
    let reference = lowest(1, 1);
    assert_eq!(reference.len(), 100);
    assert!(reference.iter().all(|record| record.unit == 0));
    for (batch, workers) in [(7, 1), (100, 1), (100, 3), (300, 1)] {
        assert_eq!(lowest(batch, workers), reference, "batch {batch}, {workers} workers");
    }
}

/// None of these images can be broken, and each takes eleven passes: `22 · 11 = 15 · 16 + 2` and `50 · 11 = 34 · 16 + 6`.
#[test]
fn the_last_searches_take_turns_in_full_batches() {
    let images = images();
    let labels = vec![0; images.nrows()];
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let clean = CleanPrediction {
        prediction: Some(0),
        is_certain: true,
        draws: 1,
        margin: 0.1,
        targets: Arc::new([1]),
    };
    let clean = vec![clean; images.nrows()];
    let (interrupted, monitor) = (AtomicBool::new(false), Monitor::new(&Silent, images.nrows()));
    let (archive, ladder) = (Archive::none(), Ladder { units: 1 });
    let shared = Shared { set: &set, clean: &clean, archive: &archive, monitor: &monitor };
    for (count, full, rest) in [(22, 15, 2), (50, 34, 6)] {
        let job = shared.job(&ladder, 1);
        let model = FaultyModel::new(Fault::None, 16);
        let mut workers = Worker::create(&model, 1).unwrap();
        let some: Vec<usize> = (0..count).collect();
        let records = run(&mut workers, &job, &some, &StopSignal::new(&interrupted)).unwrap().records;
        assert!(records.iter().all(|record| record.outcome == Outcome::Spent && record.forwards == 11));
        assert_eq!(records.len(), count);
        let calls = model.calls.lock().unwrap().clone();
        assert_eq!(calls, [vec![16; full], vec![rest]].concat(), "{count} images");
    }
}

/// Of the rungs, one misclassifies by 6e-7, which rounding alone may do: the search goes on to the next one, and where
/// there is none, the point is kept as a fragile one that does not take the image out.
#[test]
fn a_point_at_rounding_level_does_not_end_the_search() {
    let edge = 0.500_000_3_f32;
    let images = ndarray::array![[0.0, edge - 0.01], [0.0, edge - 0.1]];
    let labels = [0, 0];
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let clean = CleanPrediction {
        prediction: Some(0),
        is_certain: true,
        draws: 1,
        margin: 0.1,
        targets: Arc::new([1]),
    };
    let clean = vec![clean; 2];
    let (interrupted, monitor) = (AtomicBool::new(false), Monitor::new(&Silent, 2));
    let (archive, ladder) = (Archive::none(), Ladder { units: 1 });
    let shared = Shared { set: &set, clean: &clean, archive: &archive, monitor: &monitor };
    for batch in [1, 7] {
        let job = shared.job(&ladder, 1);
        let model = FaultyModel::new(Fault::None, batch);
        let mut workers = Worker::create(&model, 1).unwrap();
        let stop = StopSignal::new(&interrupted);
        let records = run(&mut workers, &job, &[0, 1], &stop).unwrap().records;
        let outcome = |record: &Record| match record.outcome {
            Outcome::Broken { step, margin, fragile, .. } => (step, margin < -1e-3, fragile),
            other => panic!("{other:?}"),
        };
        assert_eq!(records.iter().map(outcome).collect::<Vec<_>>(), [(2, true, false), (10, false, true)]);
    }
}

#[test]
fn an_interrupted_run_stops_with_what_it_has() {
    let images = images();
    let labels = vec![0; images.nrows()];
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let clean = CleanPrediction {
        prediction: Some(0),
        is_certain: true,
        draws: 1,
        margin: 0.1,
        targets: Arc::new([1]),
    };
    let clean = vec![clean; images.nrows()];
    let (interrupted, monitor) = (AtomicBool::new(true), Monitor::new(&Silent, images.nrows()));
    let (archive, attack) = (Archive::none(), apgd());
    let shared = Shared { set: &set, clean: &clean, archive: &archive, monitor: &monitor };
    let job = shared.job(attack.as_ref(), 2);
    let model = FaultyModel::new(Fault::None, 7);
    let mut workers = Worker::create(&model, 2).unwrap();
    let stop = StopSignal::new(&interrupted);
    let report = run(&mut workers, &job, &[1, 2, 3], &stop).unwrap();
    assert!(report.records.is_empty() && stop.is_interrupted());
}
