//! Experiments on linear models, whose answers are known, and on models that mislead an attack.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use mimir_bundle::{ImageShape, Pixels};
use ndarray::{Array1, Array2, ArrayView2, array};

use super::*;
use crate::linear::LinearClassifier;
use crate::model::{
    Classifier, Differentiable, GradientBatch, LabelAndTarget, Loss, ModelError, ModelSource,
};
use crate::testing::linear_around_grey;

const SHAPE: ImageShape = ImageShape { channels: 1, height: 2, width: 2 };

/// Class 1 where the pixels are brighter than grey; the images are at distances 0.01, 0.02, … from that plane in L∞.
fn model() -> LinearClassifier {
    in_batches_of(5)
}

fn in_batches_of(batch: usize) -> LinearClassifier {
    let weights = array![[-1.0, -1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0]];
    linear_around_grey(weights, &Array1::zeros(2), SHAPE, batch)
}

fn images() -> (Array2<f32>, Vec<usize>) {
    let images = Array2::from_shape_fn((20, 4), |(image, _)| {
        let side = if image % 2 == 0 { 1.0 } else { -1.0 };
        0.5 + side * 0.01 * (image + 1) as f32
    });
    (images, (0..20).map(|image| usize::from(image % 2 == 0)).collect())
}

fn plan() -> Plan {
    Plan {
        threat_model: ThreatModel { norm: Norm::Linf, epsilon: 0.054, pixels: Pixels::Continuous },
        attacks: vec![AttackSpec::named("pgd").unwrap()],
        seed: 3,
        workers: 1,
        stop_when_decided: None,
        curve: Curve::No,
        votes: 1,
    }
}

fn run(source: &dyn ModelSource, plan: &Plan) -> (Evaluation, Experiments) {
    let (images, labels) = images();
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let archive = Archive::none();
    let evaluation = evaluate(source, &set, plan, &Control::new(&Silent, &archive)).unwrap();
    let found = experiment(source, &set, plan, &evaluation, &AtomicBool::new(false)).unwrap();
    (evaluation, found)
}

#[test]
fn a_linear_model_has_nothing_to_find() {
    let (evaluation, found) = run(&model(), &plan());
    let unbroken: Vec<usize> = (5..20).collect();
    assert_eq!(images_where(&evaluation, |verdict| *verdict == Verdict::StillRobust), unbroken);
    assert_eq!(found.repeated, Some(Compared { images: 20, ..Compared::default() }));
    assert_eq!(found.regrouped, Some(Compared { images: 20, ..Compared::default() }));
    for stronger in [&found.doubled, &found.restarted, &found.one_step] {
        let stronger = stronger.as_ref().unwrap();
        assert_eq!((stronger.images, &stronger.broken), (15, &vec![]), "{}", stronger.attack);
    }
    let noise = found.noise.unwrap();
    assert_eq!((noise.images, noise.points, noise.broken), (4, 10_000, vec![]));
    // Image i is at 0.01 (i + 1) from the plane.
    let broken: Vec<(f64, usize)> = found.radii.iter().map(|one| (one.factor, one.broken.len())).collect();
    assert_eq!(broken, [(0.25, 1), (0.5, 2), (1.0, 5), (2.0, 10), (4.0, 20)]);
    assert_eq!(found.unconstrained.unwrap().left, Vec::<usize>::new());
    let stability = found.stability.unwrap();
    // Offsets within 4/255 of four pixels against margins of 8 · 0.01 (i + 1): the first image changes most.
    let (first, last) = (stability.changes[0], *stability.changes.last().unwrap());
    assert_eq!((first.0, last.0), (0, 19));
    assert!(first.1 > 10.0 * last.1 && last.1 > 0.01 && last.1 < 0.05, "{stability:?}");
    assert_eq!(stability.above(0.9), Vec::<usize>::new());
}

#[test]
fn what_is_random_is_spread_and_keyed() {
    let (first, second) = (run(&model(), &plan()), run(&model(), &plan()));
    assert_eq!(first.1, second.1);
    assert_eq!(spread(&[3, 5, 7, 9], 2), [3, 7]);
    assert_eq!(spread(&[3], 2), [3]);
    assert_eq!(spread(&[], 2), Vec::<usize>::new());
}

/// A linear model whose gradient graph leads away from the other class, so that every attack along it fails.
#[derive(Clone)]
struct Misleading(LinearClassifier);

impl ModelSource for Misleading {
    fn classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.0.classifier()
    }

    fn search_classifier(&self) -> Result<Box<dyn Classifier>, ModelError> {
        self.0.search_classifier()
    }

    fn differentiable(&self, loss: Loss) -> Result<Box<dyn Differentiable>, ModelError> {
        Ok(Box::new(Reversed(self.0.differentiable(loss)?, GradientBatch::zeros(5, 2, 4))))
    }
}

struct Reversed(Box<dyn Differentiable>, GradientBatch);

impl Differentiable for Reversed {
    fn batch(&self) -> usize {
        self.0.batch()
    }

    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        pairs: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        self.1 = self.0.loss_gradient(images, pairs)?.clone();
        self.1.gradient.mapv_inplace(|slope| -slope);
        Ok(&self.1)
    }
}

#[test]
fn an_attack_that_goes_the_wrong_way_is_found_out() {
    let (evaluation, found) = run(&Misleading(model()), &plan());
    // Only the random start breaks anything.
    assert!(evaluation.still_robust() > 15, "{}", evaluation.still_robust());
    assert!(found.unconstrained.unwrap().left.len() > 5);
    let noise = found.noise.unwrap();
    assert!(!noise.broken.is_empty(), "corners of the ball reach the other side: {noise:?}");
}

/// Says something else each time, or for each row of a batch.
#[derive(Clone)]
struct Unsteady {
    model: LinearClassifier,
    /// What a call or row shifts the first score by.
    shift: f32,
    by_row: bool,
    calls: Arc<AtomicUsize>,
    answer: Array2<f32>,
}

impl Classifier for Unsteady {
    fn image_shape(&self) -> ImageShape {
        SHAPE
    }

    fn classes(&self) -> usize {
        2
    }

    fn batch(&self) -> usize {
        self.answer.nrows()
    }

    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
        let call = self.calls.fetch_add(1, Relaxed);
        self.answer = self.model.logits(images)?.clone();
        for (row, mut logits) in self.answer.rows_mut().into_iter().enumerate() {
            let shift = if self.by_row { row } else { call };
            logits[0] += self.shift * shift as f32;
        }
        Ok(&self.answer)
    }
}

#[test]
fn answers_that_differ_by_call_or_row_are_seen() {
    let (images, labels) = images();
    let set = EvaluationSet::new(&images, &labels).unwrap();
    for by_row in [false, true] {
        let mut model = Unsteady {
            model: model(),
            shift: 1e-3,
            by_row,
            calls: Arc::default(),
            answer: Array2::zeros((5, 2)),
        };
        let (repeated, regrouped) = points::compare(&mut model, &set, &|| Ok(())).unwrap();
        assert_eq!(repeated.different.is_empty(), by_row, "{repeated:?}");
        // Of 20 images in batches of 5 the middle row stays where it was.
        assert_eq!(regrouped.different.len(), if by_row { 16 } else { 20 });
    }
}

/// Kernels that round by the place of a row are seen whatever the number of images, and are no fault.
#[test]
fn logits_that_differ_in_their_last_bits_are_told_apart() {
    let (images, labels) = images();
    for (count, batch) in [(20, 4), (19, 4), (20, 5), (19, 2), (2, 2)] {
        let images = images.slice(ndarray::s![..count, ..]).to_owned();
        let set = EvaluationSet::new(&images, &labels[..count]).unwrap();
        let mut model = Unsteady {
            model: in_batches_of(batch),
            shift: 5e-7,
            by_row: true,
            calls: Arc::default(),
            answer: Array2::zeros((batch, 2)),
        };
        let (repeated, regrouped) = points::compare(&mut model, &set, &|| Ok(())).unwrap();
        assert_eq!(repeated, Compared { images: count, ..Compared::default() });
        assert_eq!(regrouped.different, Vec::<usize>::new());
        // An odd number of images leaves one of them where it was, an odd batch the middle of each.
        let least = if batch == 5 { 16 } else { count - count % 2 };
        assert!(regrouped.rounded.len() >= least, "{count} images, batch {batch}: {regrouped:?}");
        assert!(regrouped.rounding > 0.0 && regrouped.rounding < 5e-6, "{}", regrouped.rounding);
    }
}

#[test]
fn experiments_end_when_nobody_wants_them() {
    let (images, labels) = images();
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let archive = Archive::none();
    let evaluation = evaluate(&model(), &set, &plan(), &Control::new(&Silent, &archive)).unwrap();
    let found = experiment(&model(), &set, &plan(), &evaluation, &AtomicBool::new(true));
    assert_eq!(found.unwrap_err(), EvaluateError::Interrupted);
}

#[test]
fn the_main_attack_raises_a_loss_by_steps() {
    let with = |names: &[&str]| {
        let attacks = names.iter().map(|name| AttackSpec::named(name).unwrap()).collect();
        plan_of_experiments(&Plan { attacks, ..plan() })
            .map(|plan| plan.attacks.iter().map(AttackSpec::name).collect::<Vec<_>>())
    };
    assert_eq!(with(&["fab-t", "square", "apgd-t"]).unwrap(), ["apgd-t", "apgd-ce", "apgd-mt", "fgsm"]);
    assert_eq!(with(&["apgd-ce"]).unwrap(), ["apgd-ce", "apgd-mt", "fgsm"]);
    assert_eq!(with(&["square", "fab"]), None);
}

/// Along the direction to a counterexample the margin of a linear model falls evenly; at the image it is its own.
#[test]
fn a_plane_has_the_margins_around_an_image() {
    let (images, labels) = images();
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let archive = Archive::none();
    let evaluation = evaluate(&model(), &set, &plan(), &Control::new(&Silent, &archive)).unwrap();
    let planes = landscapes(&model(), &set, &plan(), &evaluation, 2).unwrap();
    assert_eq!(planes.iter().map(|plane| plane.image).collect::<Vec<_>>(), [0, 10]);
    for plane in &planes {
        let middle = plane.axis.len() / 2;
        assert_eq!((plane.axis[0], plane.axis[middle], plane.axis.len()), (-4.0, 0.0, 21));
        let margin = |row: usize, column: usize| plane.margins[row][column].unwrap();
        // Four pixels, two scores: 8 times the distance from the plane.
        let clean = 8.0 * 0.01 * (plane.image + 1) as f32;
        assert!((margin(middle, middle) - clean).abs() < 1e-5, "{}", margin(middle, middle));
        let row: Vec<f32> = (0..21).map(|column| margin(middle, column)).collect();
        assert!(row.windows(2).all(|pair| pair[1] < pair[0]), "{row:?}");
        // Twice ε along the adversarial direction.
        let fall = margin(middle, middle) - margin(middle, middle + 5);
        assert!((fall - 16.0 * 0.054).abs() < 1e-4, "{fall}");
    }
    assert_eq!(planes, landscapes(&model(), &set, &plan(), &evaluation, 2).unwrap());
    let without = Plan { attacks: vec![AttackSpec::named("square").unwrap()], ..plan() };
    assert_eq!(landscapes(&model(), &set, &without, &evaluation, 2).unwrap(), []);
}

/// Scores so large that the cross entropy is zero at every image: what it finds nothing of is no sign of anything else.
#[test]
fn without_a_limit_a_saturated_loss_is_broken_all_the_same() {
    let weights = array![[-1.0, -1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0]] * 1e6;
    let model = linear_around_grey(weights, &Array1::zeros(2), SHAPE, 5);
    let attacks = vec![AttackSpec::named("fab-t").unwrap(), AttackSpec::named("apgd-mt").unwrap()];
    let (evaluation, found) = run(&model, &Plan { attacks, ..plan() });
    assert_eq!(evaluation.still_robust(), 15);
    let unconstrained = found.unconstrained.unwrap();
    assert_eq!(unconstrained.attack, "apgd-ce and apgd-mt");
    assert_eq!((unconstrained.images, unconstrained.left), (20, vec![]));
}

/// What gradients promise at the images of the set that a plan of one attack leaves.
fn promises(source: &dyn ModelSource, attack: &str, norm: Norm, epsilon: f64) -> FirstOrder {
    let (images, labels) = images();
    let set = EvaluationSet::new(&images, &labels).unwrap();
    let archive = Archive::none();
    let threat_model = ThreatModel { norm, epsilon, pixels: Pixels::Continuous };
    let mut attack = AttackSpec::named(attack).unwrap();
    if let Some(feature) = attack.feature_mut() {
        *feature = Some("scores".to_owned());
    }
    let plan = Plan { attacks: vec![attack], threat_model, ..plan() };
    let evaluation = evaluate(source, &set, &plan, &Control::new(&Silent, &archive)).unwrap();
    first_order(source, &set, &plan, (SHAPE, 2), &evaluation).unwrap().unwrap_or_default()
}

#[test]
fn a_linear_model_keeps_its_promises_in_every_norm_and_loss() {
    for (norm, epsilon) in [(Norm::Linf, 0.05), (Norm::Linf, 1e-4), (Norm::L2, 0.1), (Norm::L1, 0.2)] {
        for attack in ["apgd-ce", "apgd-mt", "fmn", "pgd-feature"] {
            let found = promises(&model(), attack, norm, epsilon);
            // A start in L1 may be where the gradient leads.
            assert!(found.judged() >= 8 && !found.misleads(), "{norm:?} {attack}: {found:?}");
            let kept = found.kept().unwrap();
            assert!((kept - 1.0).abs() < 1e-2, "{norm:?} {attack}: {kept}");
        }
    }
    let without = promises(&model(), "square", Norm::Linf, 0.05);
    assert_eq!((without.judged(), without.kept()), (0, None));
}

#[test]
fn gradients_that_lead_the_other_way_break_their_promises() {
    let found = promises(&Misleading(model()), "apgd-ce", Norm::Linf, 0.054);
    assert!(found.misleads(), "{found:?}");
    assert_eq!(found.broken().len(), found.judged());
}
