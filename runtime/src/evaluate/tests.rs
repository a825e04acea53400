use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use mimir_bundle::attack::{ApgdSpec, Argument, HopSkipJumpSpec, PgdMiSpec};
use mimir_bundle::{ImageShape, Norm};
use mimir_bundle::{Pixels, ThreatModel};
use ndarray::{Array1, Array2, s};

use super::*;
use crate::archive::Archive;
use crate::attack::pgd_mi::reference_images;
use crate::ball::Ball;
use crate::journal::{CounterexampleStore, Header, Journal};
use crate::linear::LinearClassifier;
use crate::model::{Classifier, Float64Margins, WithSurrogate};
use crate::report::{MinAccuracy, Requirements};
use crate::testing::{self, key, linear_around_grey};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 5, width: 8 };
const IMAGES: usize = 60;

fn noise(attack: &'static str, rows: usize, columns: usize) -> Array2<f32> {
    testing::noise(key(1, 0, attack), rows, columns)
}

fn linear(classes: usize, batch: usize) -> LinearClassifier {
    let weights = noise("weights", classes, SHAPE.pixels());
    // With equal logits at the grey image classes are balanced and margins small.
    linear_around_grey(weights, &Array1::zeros(classes), SHAPE, batch)
}

/// Images around the middle of the box, which the balls here do not reach its edge.
fn images() -> Array2<f32> {
    noise("images", IMAGES, SHAPE.pixels()) * 0.1 + 0.5
}

/// The model's own predictions, every seventh made wrong.
fn labels(classes: usize, images: &Array2<f32>) -> Vec<usize> {
    let mut model = linear(classes, IMAGES);
    let logits = model.logits(images.view()).unwrap();
    let rows = logits.rows().into_iter().enumerate();
    rows.map(|(image, row)| {
        let predicted = crate::logits::predicted_class(row.as_slice().unwrap()).unwrap();
        (predicted + usize::from(image % 7 == 0)) % classes
    })
    .collect()
}

fn plan(norm: Norm, epsilon: f64) -> Plan {
    let attacks = vec![AttackSpec::named("apgd-ce").unwrap()];
    Plan {
        threat_model: ThreatModel { norm, epsilon, pixels: Pixels::Continuous },
        attacks,
        seed: 0,
        workers: 1,
        stop_when_decided: None,
        curve: Curve::No,
        votes: 1,
    }
}

fn run(source: &dyn ModelSource, images: &Array2<f32>, labels: &[usize], plan: &Plan) -> Evaluation {
    let set = EvaluationSet::new(images, labels).unwrap();
    evaluate(source, &set, plan, &Control::new(&Silent, &Archive::none())).unwrap()
}

/// With the pixels of the counterexamples, by image.
fn run_and_keep(
    source: &dyn ModelSource,
    images: &Array2<f32>,
    labels: &[usize],
    plan: &Plan,
) -> (Evaluation, Vec<Option<Vec<f32>>>) {
    let set = EvaluationSet::new(images, labels).unwrap();
    let store = CounterexampleStore::anonymous(images.ncols()).unwrap();
    let archive = Archive::none().with_counterexamples(store);
    let evaluation = evaluate(source, &set, plan, &Control::new(&Silent, &archive)).unwrap();
    let store = archive.counterexamples().unwrap();
    let pixels = |slot: &Option<u64>| {
        let mut pixels = vec![0.0; images.ncols()];
        slot.map(|slot| store.read(slot, &mut pixels).map(|()| pixels).unwrap())
    };
    let pixels = evaluation.slots.iter().map(pixels).collect();
    (evaluation, pixels)
}

#[test]
fn two_linear_classes_are_broken_exactly_where_the_closed_form_says() {
    let (model, images) = (linear(2, IMAGES), images());
    let labels = labels(2, &images);
    for (norm, epsilon, slack) in [(Norm::Linf, 0.01, 1e-5), (Norm::L2, 0.05, 1e-4)] {
        let plan = plan(norm, epsilon);
        let evaluation = run(&model, &images, &labels, &plan);
        let mut seen = [0; 3];
        for outcome in &evaluation.outcomes {
            let (image, label) = (images.row(outcome.image), outcome.label);
            let margin = model.worst_margin(&plan.threat_model, image.as_slice().unwrap(), label, 1 - label);
            match outcome.verdict {
                Verdict::Misclassified => seen[0] += 1,
                Verdict::Broken { .. } => {
                    assert!(margin < slack, "{norm:?} image {} was broken at {margin}", outcome.image);
                    seen[1] += 1;
                }
                Verdict::StillRobust => {
                    assert!(margin > -slack, "{norm:?} image {} was left at {margin}", outcome.image);
                    seen[2] += 1;
                }
                ref other => panic!("{other:?}"),
            }
        }
        assert!(seen.iter().all(|count| *count > 5), "{norm:?}: one kind of verdict is missing: {seen:?}");
    }
}

#[test]
fn results_are_the_same_for_any_batch_order_and_workers() {
    let images = images();
    let labels = labels(5, &images);
    for (norm, epsilon) in [(Norm::Linf, 0.005), (Norm::L2, 0.03)] {
        let (reference, pixels) = run_and_keep(&linear(5, 1), &images, &labels, &plan(norm, epsilon));
        let broken = reference.count(|verdict| matches!(verdict, Verdict::Broken { .. }));
        assert!((10..50).contains(&broken), "{norm:?}: {broken}");
        for batch in [2, 7, 32] {
            for workers in [1, 2, 3] {
                let plan = Plan { workers, ..plan(norm, epsilon) };
                let (other, found) = run_and_keep(&linear(5, batch), &images, &labels, &plan);
                assert_eq!(other.outcomes, reference.outcomes, "batch {batch}, {workers} workers");
                assert_eq!(found, pixels, "batch {batch}, {workers} workers");
                let counts = |evaluation: &Evaluation| {
                    let attack = &evaluation.attacks[0];
                    (attack.passes, attack.broken, attack.zero_gradients)
                };
                assert_eq!(counts(&other), counts(&reference), "batch {batch}, {workers} workers");
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_images_that_follow() {
    let images = images();
    let labels = labels(5, &images);
    let all = run(&linear(5, 7), &images, &labels, &plan(Norm::Linf, 0.005));
    // The second half left out: the others keep their positions, and so their noise.
    let half = images.slice(s![..IMAGES / 2, ..]).to_owned();
    let some = run(&linear(5, 1), &half, &labels[..IMAGES / 2], &plan(Norm::Linf, 0.005));
    assert_eq!(some.outcomes, all.outcomes[..IMAGES / 2]);
}

#[test]
fn counterexamples_belong_to_broken_images_and_lie_in_the_ball() {
    let (model, images) = (linear(5, 7), images());
    let labels = labels(5, &images);
    for (norm, epsilon) in [(Norm::Linf, 0.005), (Norm::L2, 0.03)] {
        let (evaluation, pixels) = run_and_keep(&model, &images, &labels, &plan(norm, epsilon));
        let ball = Ball::new(&ThreatModel { norm, epsilon, pixels: Pixels::Continuous }).unwrap();
        for (outcome, pixels) in evaluation.outcomes.iter().zip(&pixels) {
            match (&outcome.verdict, pixels) {
                (Verdict::Broken { distance, prediction, .. }, Some(pixels)) => {
                    let clean = images.row(outcome.image);
                    assert!(ball.contains(clean.as_slice().unwrap(), pixels));
                    assert_eq!(*distance, ball.distance(clean.as_slice().unwrap(), pixels));
                    assert_eq!(outcome.closest, Some(*distance));
                    assert_ne!(*prediction, outcome.label);
                }
                (Verdict::Misclassified | Verdict::StillRobust, None) => {}
                other => panic!("image {}: {other:?}", outcome.image),
            }
        }
        let attack = &evaluation.attacks[0];
        assert_eq!(attack.attacked, evaluation.clean_correct());
        assert_eq!(attack.still_robust, evaluation.still_robust());
        assert_eq!(attack.broken, attack.attacked - attack.still_robust);
        assert_eq!(evaluation.ending, Ending::Complete);
    }
}

/// Breaking 20 of 51 images decides a gate of 32 that must stay; leaving 31 decides one of 31.
#[test]
fn a_gate_stops_when_its_answer_is_certain() {
    let (model, images) = (linear(5, 7), images());
    let labels = labels(5, &images);
    let full = run(&model, &images, &labels, &plan(Norm::Linf, 0.005));
    let robust = full.still_robust();
    for (needed, holds) in [(robust + 1, false), (robust, true), (1, true), (IMAGES, false)] {
        let least = MinAccuracy::new(needed as f64 / IMAGES as f64);
        let required = Requirements { min_attacked_accuracy: least, ..Requirements::default() };
        let plan = Plan { stop_when_decided: Some(required), ..plan(Norm::Linf, 0.005) };
        let evaluation = run(&model, &images, &labels, &plan);
        let unfinished = evaluation.count(|verdict| *verdict == Verdict::Unfinished);
        match holds {
            true => assert!(evaluation.still_robust() >= needed, "{needed}"),
            false => assert!(evaluation.still_robust() + unfinished < needed, "{needed}"),
        }
        let passes =
            |evaluation: &Evaluation| evaluation.attacks.first().map_or(0, |attack| attack.passes.forwards);
        assert!(passes(&evaluation) <= passes(&full), "{needed}");
        if needed == 1 || needed == IMAGES {
            assert_eq!(evaluation.ending, Ending::GateDecided, "{needed}");
            assert!(passes(&evaluation) < passes(&full) / 2 && unfinished > 0, "{needed}");
        }
        for (early, late) in evaluation.outcomes.iter().zip(&full.outcomes) {
            if early.verdict != Verdict::Unfinished {
                assert_eq!(early.verdict, late.verdict);
            }
        }
    }
}

/// Images outside the subset count as done with, so that the run is complete and a gate is decided.
#[test]
fn an_attack_on_a_part_of_the_images_leaves_the_others_alone() {
    let (model, images) = (linear(2, 7), images());
    let labels = labels(2, &images);
    let on_part = |subset| {
        let spec = HopSkipJumpSpec { subset, queries: 400, ..HopSkipJumpSpec::default() };
        Plan { attacks: vec![AttackSpec::HopSkipJump(spec)], ..plan(Norm::L2, 0.2) }
    };
    let part = run(&model, &images, &labels, &on_part(0.5));
    let all = run(&model, &images, &labels, &on_part(1.0));
    assert_eq!((part.ending, part.attacks[0].attacked), (Ending::Complete, part.clean_correct()));
    assert_eq!((part.attacks[0].unfinished, part.attacks[0].still_robust), (0, part.still_robust()));
    let searched = |evaluation: &Evaluation| {
        evaluation.outcomes.iter().filter(|outcome| outcome.passes.forwards > 0).count()
    };
    assert_eq!(searched(&all), all.clean_correct());
    assert!((5..all.clean_correct() - 5).contains(&searched(&part)), "{}", searched(&part));
    assert!(part.attacks[0].broken > 5 && all.attacks[0].broken > part.attacks[0].broken);
    for (part, all) in part.outcomes.iter().zip(&all.outcomes) {
        match part.passes.forwards {
            0 => assert!(matches!(part.verdict, Verdict::StillRobust | Verdict::Misclassified)),
            _ => assert_eq!(part, all),
        }
    }
    let least = MinAccuracy::new(part.still_robust() as f64 / IMAGES as f64);
    let required = Requirements { min_attacked_accuracy: least, ..Requirements::default() };
    let gated = Plan { stop_when_decided: Some(required), ..on_part(0.5) };
    assert!(run(&model, &images, &labels, &gated).still_robust() >= part.still_robust());
}

/// With the model as its own surrogate, transfer breaks what Auto-PGD breaks; with one that knows nothing of it, less.
#[test]
fn transfer_takes_its_way_from_the_surrogate_and_its_verdict_from_the_model() {
    let (model, images) = (linear(5, 7), images());
    let labels = labels(5, &images);
    let stranger = LinearClassifier::new(noise("stranger", 5, SHAPE.pixels()), Array1::zeros(5), SHAPE, 4);
    let transfer = |surrogate: &dyn ModelSource, workers: usize| {
        let attacks = vec![AttackSpec::named("transfer").unwrap()];
        let source = WithSurrogate::new(&model, Some(surrogate));
        run(&source, &images, &labels, &Plan { attacks, workers, ..plan(Norm::Linf, 0.005) })
    };
    let (own, foreign) = (transfer(&linear(5, 3), 1), transfer(&stranger, 1));
    let apgd = Plan { attacks: vec![AttackSpec::named("apgd-t").unwrap()], ..plan(Norm::Linf, 0.005) };
    let white_box = run(&model, &images, &labels, &apgd);
    assert!(white_box.still_robust() < white_box.clean_correct() - 10);
    assert!(own.still_robust().abs_diff(white_box.still_robust()) <= 2, "{}", own.still_robust());
    assert!(foreign.still_robust() > own.still_robust() + 5, "{}", foreign.still_robust());
    // Gradients are those of the surrogate; its points are counted as passes.
    assert_eq!((own.attacks[0].zero_gradients, own.attacks[0].non_finite_gradients), (0, 0));
    assert!(
        own.attacks[0].passes.backwards > 0
            && own.attacks[0].passes.forwards > own.attacks[0].passes.backwards
    );
    assert_eq!(transfer(&linear(5, 7), 3).outcomes, own.outcomes);
}

/// A run that was cut off anywhere goes on to the same end.
#[test]
fn a_resumed_evaluation_ends_as_if_it_had_not_been_cut_off() {
    let images = images();
    let labels = labels(5, &images);
    let folder = tempfile::tempdir().unwrap();
    let (path, header) = (folder.path().join("journal"), Header::new());
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let plan = plan(Norm::Linf, 0.005);
    let whole = {
        let archive = Archive::none().with_journal(Journal::create(&path, &header).unwrap(), vec![]);
        evaluate(&linear(5, 7), &set, &plan, &Control::new(&Silent, &archive)).unwrap()
    };
    let bytes = std::fs::read(&path).unwrap();
    for cut in [bytes.len() / 3, bytes.len() / 2 + 1, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let (journal, finished) = Journal::resume(&path, &header).unwrap();
        let archive = Archive::none().with_journal(journal, finished);
        let control = Control::new(&Silent, &archive);
        let resumed = evaluate(&linear(5, 2), &set, &Plan { workers: 2, ..plan.clone() }, &control).unwrap();
        assert_eq!(resumed.outcomes, whole.outcomes, "cut at {cut}");
        assert_eq!(resumed.attacks[0].passes, whole.attacks[0].passes, "cut at {cut}");
    }
}

#[test]
fn a_ball_without_extent_breaks_nothing() {
    let (model, images) = (linear(5, 7), images());
    let labels = labels(5, &images);
    for norm in [Norm::Linf, Norm::L2] {
        let evaluation = run(&model, &images, &labels, &plan(norm, 0.0));
        assert_eq!(evaluation.still_robust(), evaluation.clean_correct());
        assert!(evaluation.clean_correct() > 40);
    }
}

#[test]
fn without_attacks_clean_accuracy_is_all() {
    let (model, images) = (linear(5, 7), images());
    let labels = labels(5, &images);
    let evaluation = run(&model, &images, &labels, &Plan { attacks: Vec::new(), ..plan(Norm::L2, 0.1) });
    assert_eq!(evaluation.clean, PassCounts { forwards: IMAGES as u64, backwards: 0 });
    assert_eq!(evaluation.still_robust(), IMAGES - IMAGES.div_ceil(7));
}

#[test]
fn what_cannot_be_evaluated_is_an_error_that_names_it() {
    let (model, images) = (linear(2, 7), images());
    let labels = vec![0; IMAGES];
    let attempt = |plan: &Plan, labels: &[usize]| {
        let set = EvaluationSet::new(&images, labels).unwrap();
        evaluate(&model, &set, plan, &Control::new(&Silent, &Archive::none())).unwrap_err().to_string()
    };
    let twice = Plan { attacks: vec![AttackSpec::named("apgd-ce").unwrap(); 2], ..plan(Norm::L2, 0.1) };
    assert!(attempt(&twice, &labels).contains("apgd-ce is listed twice"));
    assert!(attempt(&plan(Norm::L2, f64::NAN), &labels).contains("epsilon is NaN"));
    assert!(attempt(&plan(Norm::L2, -0.1), &labels).contains("epsilon is -0.1"));
    assert!(attempt(&Plan { workers: 0, ..plan(Norm::L2, 0.1) }, &labels).contains("workers is 0"));
    let no_steps = AttackSpec::ApgdCe(ApgdSpec { steps: 0, ..ApgdSpec::default() });
    let no_steps = Plan { attacks: vec![no_steps], ..plan(Norm::L2, 0.1) };
    assert!(attempt(&no_steps, &labels).contains("steps is 0"));
    let mut labels = labels;
    labels[17] = 2;
    assert_eq!(
        attempt(&plan(Norm::L2, 0.1), &labels),
        "image 17: label 2, but the model has 2 classes, 0 to 1"
    );
}

#[test]
fn sets_that_make_no_sense_are_errors() {
    let refuse = |images: &Array2<f32>, labels: &[usize]| {
        EvaluationSet::new(images, labels).err().unwrap().to_string()
    };
    let mut images = images();
    assert_eq!(refuse(&images, &[0]), "60 images but 1 labels");
    assert_eq!(refuse(&Array2::zeros((0, 3)), &[]), "there are no images");
    for bad in [f32::NAN, -0.01, 1.01, 255.0] {
        images[[5, 3]] = bad;
        let set = EvaluationSet::new(&images, &[0; IMAGES]).unwrap();
        let error = set.image(5).unwrap_err().to_string();
        assert!(error.starts_with("image 5: pixel value"), "{bad}: {error}");
        assert!(set.image(4).is_ok());
    }
    let labels = [0; IMAGES];
    let images = self::images();
    let set = EvaluationSet::new(&images, &labels).unwrap();
    assert_eq!(
        set.fits(41, 2).unwrap_err().to_string(),
        "images have 40 pixel values, but the model expects 41"
    );
}

/// Records every call.
#[derive(Default)]
struct Recorder(Mutex<Vec<Progress>>);

impl Observer for Recorder {
    fn progress(&self, progress: &Progress) {
        self.0.lock().unwrap().push(*progress);
    }
}

#[test]
fn observers_see_the_stages_in_order_and_the_final_counts() {
    let (model, images) = (linear(5, 7), images());
    let labels = labels(5, &images);
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let recorder = Recorder::default();
    let evaluation =
        evaluate(&model, &set, &plan(Norm::Linf, 0.005), &Control::new(&recorder, &Archive::none())).unwrap();
    let seen = recorder.0.into_inner().unwrap();
    let mut stages: Vec<Stage> = seen.iter().map(|progress| progress.stage).collect();
    stages.dedup();
    assert_eq!(stages, [Stage::Clean, Stage::Attack("apgd-ce")]);
    let last = seen.last().unwrap();
    assert_eq!(last.clean_correct, evaluation.clean_correct());
    assert_eq!(last.still_robust, evaluation.still_robust());
    let attack = seen.iter().rfind(|progress| progress.stage == Stage::Attack("apgd-ce")).unwrap();
    // Forward and backward passes of each gradient; nothing is left.
    assert_eq!((attack.passes, attack.passes_left), (2 * evaluation.attacks[0].passes.backwards, 0));
    assert_eq!(attack.later_passes, 0);
}

/// Says the sum of the first pixel and the label; nothing about images whose first pixel is above one half.
struct FirstPixel;

impl Float64Margins for FirstPixel {
    fn margins(&self, images: &[&[f32]], labels: &[usize]) -> Option<Vec<Option<f32>>> {
        let margin =
            |(image, label): (&&[f32], &usize)| (image[0] <= 0.5).then_some(image[0] + *label as f32);
        Some(images.iter().zip(labels).map(margin).collect())
    }

    fn batch(&self) -> usize {
        7
    }
}

#[test]
fn margins_in_float64_are_those_of_the_clean_image_and_of_the_counterexample() {
    let (model, images) = (linear(5, 7), images());
    let labels = labels(5, &images);
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let archive =
        Archive::none().with_counterexamples(CounterexampleStore::anonymous(images.ncols()).unwrap());
    let measured = Control { float64: Some(&FirstPixel), ..Control::new(&Silent, &archive) };
    let plan = plan(Norm::Linf, 0.05);
    let evaluation = evaluate(&model, &set, &plan, &measured).unwrap();
    let mut broken = 0;
    for (outcome, slot) in evaluation.outcomes.iter().zip(&evaluation.slots) {
        let clean = set.image(outcome.image).unwrap();
        let wanted = FirstPixel.margins(&[&clean], &[outcome.label]).unwrap()[0];
        assert_eq!(outcome.clean_margin_float64, wanted);
        if let (Verdict::Broken { margin_float64, .. }, Some(slot)) = (&outcome.verdict, slot) {
            let mut point = vec![0.0; images.ncols()];
            archive.counterexamples().unwrap().read(*slot, &mut point).unwrap();
            assert_eq!(*margin_float64, FirstPixel.margins(&[&point], &[outcome.label]).unwrap()[0]);
            broken += 1;
        }
    }
    assert!(broken > 0);
    let random = Plan { votes: 9, ..plan };
    let evaluation = evaluate(&model, &set, &random, &measured).unwrap();
    assert!(evaluation.outcomes.iter().all(|outcome| outcome.clean_margin_float64.is_none()));
}

/// Interrupts the evaluation in that stage.
struct Interrupter<'a> {
    stage: Stage,
    interrupted: &'a AtomicBool,
}

impl Observer for Interrupter<'_> {
    fn progress(&self, progress: &Progress) {
        self.interrupted.fetch_or(progress.stage == self.stage, Relaxed);
    }
}

/// Also where every verdict is known and only distances are missing.
#[test]
fn an_interrupted_evaluation_is_never_called_complete() {
    let (model, images) = (linear(5, 7), images());
    let labels = labels(5, &images);
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let plan = Plan { curve: Curve::Yes, ..plan(Norm::Linf, 0.005) };
    for (stage, ending) in [
        (Stage::Attack("apgd-ce"), Ending::Interrupted),
        (Stage::Curve, Ending::Interrupted),
        (Stage::Verify, Ending::Complete),
    ] {
        let interrupted = AtomicBool::new(false);
        let observer = Interrupter { stage, interrupted: &interrupted };
        let store = CounterexampleStore::anonymous(images.ncols()).unwrap();
        let archive = Archive::none().with_counterexamples(store);
        let control = Control { interrupted: &interrupted, ..Control::new(&observer, &archive) };
        assert_eq!(evaluate(&model, &set, &plan, &control).unwrap().ending, ending, "{stage:?}");
        assert!(interrupted.into_inner(), "{stage:?} was not reached");
    }
}

/// Attacks on features; those of a linear model are its logits.
fn feature_plan(epsilon: f64) -> Plan {
    let named = ["pgd-mi", "feature-ce", "pgd-feature"].map(|name| AttackSpec::named(name).unwrap());
    let attacks = named.into_iter().map(|mut attack| {
        *attack.feature_mut().unwrap() = Some("logits".to_owned());
        assert!(attack.set("steps", Argument::Count(10)));
        if let AttackSpec::PgdMi(spec) = &mut attack {
            spec.reference_images = reference_images(spec, IMAGES, 0);
        }
        attack
    });
    Plan { attacks: attacks.collect(), ..plan(Norm::Linf, epsilon) }
}

#[test]
fn attacks_on_features_do_not_depend_on_batches_and_workers() {
    let (images, plan) = (images(), feature_plan(0.01));
    let labels = labels(3, &images);
    let whole = run(&linear(3, IMAGES), &images, &labels, &plan);
    let broken =
        |evaluation: &Evaluation| evaluation.attacks.iter().map(|attack| attack.broken).collect::<Vec<_>>();
    assert!(broken(&whole)[0] > 5, "{:?}", broken(&whole));
    for (batch, workers) in [(1, 1), (7, 2), (16, 3)] {
        let plan = Plan { workers, ..plan.clone() };
        let other = run(&linear(3, batch), &images, &labels, &plan);
        assert_eq!(other.outcomes, whole.outcomes, "batch {batch}, {workers} workers");
    }
}

#[test]
fn a_plan_names_the_tensor_and_the_images_of_its_attacks_on_features() {
    let images = images();
    let labels = labels(3, &images);
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let error = |change: fn(&mut Vec<AttackSpec>)| {
        let mut plan = feature_plan(0.01);
        change(&mut plan.attacks);
        let archive = Archive::none();
        evaluate(&linear(3, 4), &set, &plan, &Control::new(&Silent, &archive)).unwrap_err().to_string()
    };
    let found = error(|attacks| *attacks[1].feature_mut().unwrap() = None);
    assert_eq!(found, "feature-ce names no tensor whose values it should move");
    let found = error(|attacks| *attacks[2].feature_mut().unwrap() = Some("pool".to_owned()));
    assert!(found.contains("pgd-feature moves the tensor `pool`, and another attack `logits`"), "{found}");
    let references = |images: Vec<usize>| PgdMiSpec {
        feature: Some("logits".to_owned()),
        reference_images: images,
        ..PgdMiSpec::default()
    };
    let mut plan = feature_plan(0.01);
    for (images, wanted) in
        [(vec![], "pgd-mi names no images"), (vec![3, 60], "the reference image 60 is not")]
    {
        plan.attacks[0] = AttackSpec::PgdMi(references(images));
        let archive = Archive::none();
        let found = evaluate(&linear(3, 4), &set, &plan, &Control::new(&Silent, &archive));
        let found = found.unwrap_err().to_string();
        assert!(found.contains(wanted), "{found}");
    }
}
