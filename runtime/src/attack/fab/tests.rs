use mimir_bundle::{ImageShape, Norm};
use ndarray::{Array1, Array2, ArrayView2};

use super::*;
use crate::attack::DistanceGoal;
use crate::attack::testing::{SearchTrace, clean_image, run};
use crate::linear::LinearClassifier;
use crate::model::{Classifier, Differentiable, GradientBatch, ModelError, ModelSource};
use crate::testing::{self, NORMS, TestModel, attack_context, key, linear_around_grey};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 5, width: 8 };

fn context(norm: Norm, classes: usize) -> AttackContext {
    AttackContext { distances: DistanceGoal::Smallest, ..attack_context(norm, 0.1, SHAPE, classes) }
}

fn untargeted(steps: usize, restarts: usize, context: &AttackContext) -> Fab {
    Fab::untargeted("fab", &FabSpec { steps, restarts, ..FabSpec::default() }, context)
}

fn targeted(steps: usize, restarts: usize, context: &AttackContext) -> Fab {
    let fab = FabSpec { steps, restarts, ..FabSpec::default() };
    Fab::targeted("fab-t", &TargetedFabSpec { fab, ..TargetedFabSpec::default() }, context)
}

fn noise(seed: u64, image: usize, count: usize) -> Vec<f32> {
    testing::noise(key(seed, image, "test"), 1, count).into_raw_vec_and_offset().0
}

fn linear(classes: usize) -> LinearClassifier {
    let weights = noise(1, 0, classes * SHAPE.pixels());
    let weights = Array2::from_shape_vec((classes, SHAPE.pixels()), weights).unwrap();
    linear_around_grey(weights, &Array1::zeros(classes), SHAPE, 1)
}

/// Images all over the box, every second one with many pixels at its edge.
fn image(index: usize) -> Vec<f32> {
    let stretch = if index.is_multiple_of(2) { 0.5 } else { 1.0 };
    noise(2, index, SHAPE.pixels()).iter().map(|value| (0.5 + stretch * value).clamp(0.0, 1.0)).collect()
}

/// A linear classifier behind a pixel-wise wave: its boundaries bend, and FAB reaches and leaves them in turn.
#[derive(Clone)]
struct Waves {
    linear: LinearClassifier,
    answers: GradientBatch,
    logits: Array2<f32>,
}

fn waves(classes: usize) -> Waves {
    Waves {
        linear: linear(classes),
        answers: GradientBatch::zeros(1, classes, SHAPE.pixels()),
        logits: Array2::zeros((1, classes)),
    }
}

fn bend(images: &ArrayView2<f32>) -> Array2<f32> {
    images.map(|value| value + 0.05 * (30.0 * value).sin())
}

impl Classifier for Waves {
    fn image_shape(&self) -> ImageShape {
        SHAPE
    }

    fn classes(&self) -> usize {
        self.logits.ncols()
    }

    fn batch(&self) -> usize {
        1
    }

    fn logits(&mut self, images: ArrayView2<f32>) -> Result<&Array2<f32>, ModelError> {
        self.logits = self.linear.logits(bend(&images).view())?.clone();
        Ok(&self.logits)
    }
}

impl Differentiable for Waves {
    fn batch(&self) -> usize {
        1
    }

    fn loss_gradient(
        &mut self,
        images: ArrayView2<f32>,
        pairs: &[LabelAndTarget],
    ) -> Result<&GradientBatch, ModelError> {
        let mut graph = self.linear.differentiable(Loss::Margin)?;
        self.answers = graph.loss_gradient(bend(&images).view(), pairs)?.clone();
        self.answers
            .gradient
            .zip_mut_with(&images, |slope, value| *slope *= 1.0 + 1.5 * (30.0 * value).cos());
        Ok(&self.answers)
    }
}

impl TestModel for Waves {}

/// Distance in the box to where another class of a linear classifier has the label's logit.
fn exact_distance(model: &LinearClassifier, ball: Ball, clean_image: &CleanImage, other: usize) -> f64 {
    let mut graph = model.differentiable(Loss::Margin).unwrap();
    let images = ArrayView2::from_shape((1, SHAPE.pixels()), &clean_image.pixels).unwrap();
    let answer = graph
        .loss_gradient(images, &[LabelAndTarget { label: clean_image.label, target: Some(other) }])
        .unwrap();
    let gradient = answer.gradient.row(0).to_vec();
    let mut way = vec![0.0; SHAPE.pixels()];
    f64::from(ball.displacement_to_zero(
        ball.linear_function(&gradient),
        f64::from(answer.loss[0]),
        &clean_image.pixels,
        &mut way,
    ))
}

fn found_distance(ball: Ball, clean_image: &CleanImage, run: &SearchTrace) -> f64 {
    ball.distance(&clean_image.pixels, run.closest.as_ref().expect("a linear classifier has a boundary"))
}

/// The overshoot of 1.05 leaves at most 5 % on one plane. Without a target, the plane that is nearest when the box is
/// left aside need not be nearest inside it.
#[test]
fn the_distance_to_linear_boundaries_is_found() {
    for classes in [2, 3, 10] {
        let model = linear(classes);
        for norm in NORMS {
            let context = context(norm, classes);
            for index in 0..12 {
                let clean_image = clean_image(&mut *model.classifier().unwrap(), index, &image(index));
                let exact = |other| exact_distance(&model, context.ball, &clean_image, other);
                let nearest =
                    clean_image.targets.iter().map(|other| exact(*other)).fold(f64::INFINITY, f64::min);
                let check = |distance: f64, exact: f64, bound: f64, what: &str| {
                    let ratio = distance / exact;
                    assert!(ratio < bound, "{norm:?} K = {classes} image {index} {what}: {ratio}");
                    assert!(distance > nearest * (1.0 - 1e-4), "{norm:?} {what}: closer than the boundary");
                };
                let attack = untargeted(30, 1, &context);
                let found = run(&model, &attack, &context, &clean_image, 0);
                check(found_distance(context.ball, &clean_image, &found), nearest, 1.25, "untargeted");
                let attack = targeted(30, 1, &context);
                for (unit, target) in clean_image.targets.iter().take(attack.units()).enumerate() {
                    let found = run(&model, &attack, &context, &clean_image, unit);
                    check(
                        found_distance(context.ball, &clean_image, &found),
                        exact(*target),
                        1.06,
                        "targeted",
                    );
                }
            }
        }
    }
}

#[test]
fn units_are_targets_and_their_restarts() {
    for (classes, units) in [(2, 2), (3, 4), (10, 18), (100, 18)] {
        assert_eq!(targeted(5, 2, &context(Norm::Linf, classes)).units(), units, "K = {classes}");
        assert_eq!(untargeted(5, 2, &context(Norm::Linf, classes)).units(), 2);
    }
    let context = context(Norm::Linf, 3);
    let attack = targeted(5, 2, &context);
    let clean_image = CleanImage { image: 0, pixels: [0.5; 40].into(), label: 1, targets: [2, 0].into() };
    let searches: Vec<_> = (0..4).map(|unit| attack.search(&clean_image, unit)).collect();
    let targets: Vec<_> = searches.iter().map(|search| search.label_and_target().target).collect();
    assert_eq!(targets, [Some(2), Some(2), Some(0), Some(0)]);
    let starts: Vec<Vec<f32>> = searches
        .into_iter()
        .map(|mut search| {
            let mut start = vec![0.0; 40];
            search.propose(&mut start);
            start
        })
        .collect();
    assert!(starts[0] == clean_image.pixels[..] && starts[2] == clean_image.pixels[..]);
    assert_ne!(starts[1], starts[3]);
}

#[test]
fn random_starts_are_half_the_radius_away() {
    for norm in NORMS {
        let context = context(norm, 10);
        let attack = untargeted(5, 2, &context);
        let clean_image = CleanImage { image: 0, pixels: [0.5; 40].into(), label: 0, targets: [].into() };
        let mut start = vec![0.0; 40];
        attack.search(&clean_image, 1).propose(&mut start);
        assert!((context.ball.distance(&clean_image.pixels, &start) - 0.05).abs() < 1e-6, "{norm:?}");
    }
}

/// Overrides what a search asks about new points.
struct Insisting<'a> {
    attack: &'a Fab,
    /// What stands in for a query about a class.
    query: Option<Query>,
    /// Where searches start from, if not from the clean image.
    start: Option<Vec<f32>>,
}

struct InsistingSearch<'a> {
    search: FabSearch<'a>,
    query: Option<Query>,
}

impl Attack for Insisting<'_> {
    fn queries(&self) -> Vec<Query> {
        self.attack.queries()
    }

    fn units(&self) -> usize {
        self.attack.units()
    }

    fn most_passes(&self) -> u64 {
        self.attack.most_passes()
    }

    fn search(&self, clean_image: &CleanImage, unit: usize) -> Box<dyn Search + '_> {
        let target = self.attack.targets.map(|_| clean_image.targets[unit]);
        match &self.start {
            Some(start) => self.attack.search_from(clean_image, target, start),
            None => Box::new(InsistingSearch {
                search: self.attack.begin(clean_image, target),
                query: self.query,
            }),
        }
    }
}

impl Search for InsistingSearch<'_> {
    fn query(&self) -> Query {
        match (&self.search.pending, self.query) {
            (Pending::Classify, Some(query)) => query,
            _ => self.search.query(),
        }
    }

    fn label_and_target(&self) -> LabelAndTarget {
        self.search.label_and_target()
    }

    fn propose(&mut self, out: &mut [f32]) {
        self.search.propose(out);
    }

    fn observe(&mut self, answer: &Answer) -> Step {
        self.search.observe(answer)
    }

    fn step_back(&mut self) -> Step {
        self.search.step_back()
    }

    fn closest(&self) -> Option<&[f32]> {
        self.search.closest()
    }
}

/// The points that a run went through, each once however often it was asked about.
fn path(run: &SearchTrace) -> Vec<Vec<f32>> {
    let mut path = run.proposals.clone();
    path.dedup();
    path
}

#[test]
fn nothing_depends_on_what_is_asked_about_a_new_point() {
    let model = waves(4);
    let mut turns = 0;
    for norm in NORMS {
        let context = context(norm, 4);
        for attack in [untargeted(40, 1, &context), targeted(40, 1, &context)] {
            for index in 0..6 {
                let clean_image = clean_image(&mut *model.classifier().unwrap(), index, &image(index));
                let [chosen, forward, gradient] =
                    [None, Some(Query::Forward), Some(Query::Gradient(Loss::Margin))].map(|query| {
                        let attack = Insisting { attack: &attack, query, start: None };
                        run(&model, &attack, &context, &clean_image, 0)
                    });
                assert_eq!(path(&chosen), path(&forward));
                assert_eq!(path(&chosen), path(&gradient));
                assert!(chosen.closest == forward.closest && chosen.closest == gradient.closest);
                turns +=
                    usize::from(chosen.forwards < forward.forwards && chosen.backwards > forward.backwards);
            }
        }
    }
    // Runs that guessed right and wrong.
    assert!(turns > 0);
}

#[test]
fn passes_never_exceed_the_cost_model() {
    const STEPS: usize = 40;
    for norm in NORMS {
        let context = context(norm, 4);
        let attack = targeted(STEPS, 1, &context);
        for index in 0..6 {
            let model = linear(4);
            let image = image(index);
            let on_plane = clean_image(&mut *model.classifier().unwrap(), index, &image);
            let run_on_plane = run(&model, &attack, &context, &on_plane, 0);
            // Beyond the plane after each step: a forward pass before each gradient.
            assert_eq!((run_on_plane.forwards, run_on_plane.backwards), (2 * STEPS, STEPS), "{norm:?}");
            let model = waves(4);
            let on_waves = clean_image(&mut *model.classifier().unwrap(), index, &image);
            let SearchTrace { forwards, backwards, .. } = run(&model, &attack, &context, &on_waves, 0);
            assert!(forwards <= 2 * STEPS && forwards + backwards <= 3 * STEPS + 1, "{forwards} {backwards}");
        }
    }
}

/// The logits are equal everywhere, so that class 0 is predicted and no boundary is near: one pass each for every
/// point, once two points were correct.
#[test]
fn constant_logits_cost_one_forward_and_one_backward_an_iteration() {
    let model = LinearClassifier::new(Array2::zeros((3, 40)), Array1::zeros(3), SHAPE, 1);
    for norm in NORMS {
        let context = context(norm, 3);
        let clean_image = clean_image(&mut *model.classifier().unwrap(), 0, &image(1));
        let found = run(&model, &targeted(20, 1, &context), &context, &clean_image, 0);
        assert_eq!((found.forwards, found.backwards), (23, 20));
        assert_eq!(found.closest, None);
        let found = run(&model, &untargeted(20, 1, &context), &context, &clean_image, 0);
        assert_eq!((found.forwards, found.backwards), (43, 40));
        // The mean of two equal images, rounded twenty times.
        let moved = |proposal: &Vec<f32>| context.ball.distance(&clean_image.pixels, proposal);
        assert!(found.proposals.iter().all(|proposal| moved(proposal) < 20.0 * 40.0 * 6e-8));
    }
}

#[test]
fn proposals_stay_in_the_box() {
    for norm in NORMS {
        let context = context(norm, 4);
        for attack in [untargeted(25, 3, &context), targeted(25, 3, &context)] {
            for source in [&waves(4) as &dyn ModelSource, &linear(4)] {
                for (index, pixels) in (0..3).map(image).chain([vec![0.0; 40], vec![1.0; 40]]).enumerate() {
                    let clean_image = clean_image(&mut *source.classifier().unwrap(), index, &pixels);
                    for unit in 0..attack.units() {
                        let found = run(source, &attack, &context, &clean_image, unit);
                        let mut values = found.proposals.iter().flatten();
                        assert!(values.all(|value| (0.0..=1.0).contains(value)), "{norm:?} {index} {unit}");
                    }
                }
            }
        }
    }
}

/// One pixel, with the slopes and margins that break divisions.
#[test]
fn degenerate_answers_never_give_nan() {
    for norm in NORMS {
        for slope in [0.0, -0.0, 1e-45, 1e-20, 1.0, -1e30, f32::MAX] {
            for loss in [0.0, -1e-45, -1.0, 1.0, f32::MAX, f32::MIN] {
                for clean in [0.0, 0.5, 1.0] {
                    let context = context(norm, 2);
                    let attack = targeted(10, 1, &context);
                    let clean_image =
                        CleanImage { image: 0, pixels: [clean].into(), label: 0, targets: [1].into() };
                    let mut search = attack.search(&clean_image, 0);
                    for turn in 0_usize.. {
                        let mut point = [f32::NAN];
                        search.propose(&mut point);
                        assert!(
                            (0.0..=1.0).contains(&point[0]),
                            "{norm:?} {slope} {loss} {clean}: {point:?}"
                        );
                        let logits = if turn % 3 == 1 { [0.0, 1.0] } else { [1.0, 0.0] };
                        if search.observe(&Answer { logits: &logits, loss, gradient: &[slope] }) == Step::Done
                        {
                            break;
                        }
                    }
                }
            }
        }
    }
}

/// Random answers, with the points once more in `f64` from the description. The displacements are the ball's, which
/// have tests of their own.
#[test]
fn agrees_with_a_literal_transcription_on_random_answers() {
    for norm in NORMS {
        for seed in 0..20 {
            for targets in [None, Some(2)] {
                compare(&context(norm, 4), seed, targets);
            }
        }
    }
}

fn compare(context: &AttackContext, seed: u64, target: Option<usize>) {
    const STEPS: usize = 15;
    let clean = image(seed as usize);
    let attack = untargeted(STEPS, 1, context);
    let clean_image = CleanImage { image: 0, pixels: clean.clone().into(), label: 0, targets: [].into() };
    let mut search = attack.begin(&clean_image, target);
    let other_classes = target.map_or(vec![1, 2, 3], |target| vec![target]);
    let (mut x1, mut best) = (clean.clone(), f64::INFINITY);
    let propose = |search: &mut FabSearch, x1: &[f32]| {
        let mut point = vec![0.0; clean.len()];
        search.propose(&mut point);
        let gap = context.ball.distance(&point, x1);
        assert!(gap < 1e-4, "{:?} seed {seed}: {gap}", context.ball);
        point
    };
    for step in 0..STEPS {
        let mut planes = Vec::new();
        for other in &other_classes {
            // On the path of the search, not on a path of its own, so that roundings do not add up.
            x1 = propose(&mut search, &x1);
            assert_eq!(search.label_and_target(), LabelAndTarget { label: 0, target: Some(*other) });
            let draw = noise(seed, 100 * step + other, clean.len() + 1);
            let (loss, gradient) = (draw[0], &draw[1..]);
            search.observe(&Answer { logits: &[1.0, 0.0, 0.0, 0.0], loss, gradient });
            planes.push((loss, gradient.to_vec()));
        }
        x1 = literal_step(context.ball, &planes, &x1, &clean);
        let point = propose(&mut search, &x1);
        let misclassified = noise(seed, 100 * step, 1)[0] > 0.0;
        let logits = if misclassified { [0.0, 1.0, 0.0, 0.0] } else { [1.0, 0.0, 0.0, 0.0] };
        let next = search.observe(&Answer { logits: &logits, loss: 0.0, gradient: &[] });
        assert_eq!(next == Step::Done, step + 1 == STEPS);
        if misclassified {
            best = context.ball.distance(&clean, &point).min(best);
            x1 = x1.iter().zip(&clean).map(|(x1, x0)| x0 + 0.9 * (x1 - x0)).collect();
        }
        let closest = search.closest().map_or(f64::INFINITY, |point| context.ball.distance(&clean, point));
        assert_eq!(closest, best);
    }
}

fn literal_step(ball: Ball, planes: &[(f32, Vec<f32>)], x1: &[f32], x0: &[f32]) -> Vec<f32> {
    let ratio = |plane: &(f32, Vec<f32>)| {
        f64::from(plane.0.abs()) / (1e-12 + ball.linear_function(&plane.1).dual_norm())
    };
    let (df, dg) = planes.iter().min_by(|left, right| ratio(left).total_cmp(&ratio(right))).unwrap();
    let inner = |x: &[f32]| dg.iter().zip(x).map(|(g, x)| f64::from(*g) * f64::from(*x)).sum::<f64>();
    let b = -f64::from(*df) + inner(x1);
    let displacement = |x: &[f32]| {
        let mut d = vec![0.0; x.len()];
        let length = ball.displacement_to_zero(ball.linear_function(dg), inner(x) - b, x, &mut d);
        (d, f64::from(length).max(1e-8))
    };
    let ((d1, a1), (d2, a2)) = (displacement(x1), displacement(x0));
    let alpha = (a1 / (a1 + a2)).clamp(0.0, 0.1);
    let mixed = |i: usize| {
        let end = |x: f32, d: f32| f64::from(x) + 1.05 * f64::from(d);
        ((1.0 - alpha) * end(x1[i], d1[i]) + alpha * end(x0[i], d2[i])).clamp(0.0, 1.0) as f32
    };
    (0..x1.len()).map(mixed).collect()
}

#[test]
fn a_search_from_a_misclassified_point_halves_the_way_first() {
    const STEPS: usize = 10;
    let model = linear(4);
    for norm in NORMS {
        let context = context(norm, 4);
        let attack = targeted(STEPS, 1, &context);
        for index in 0..6 {
            let clean_image = clean_image(&mut *model.classifier().unwrap(), index, &image(index));
            let found = run(&model, &attack, &context, &clean_image, 0);
            let far = found.proposals[1].iter().zip(clean_image.pixels.iter());
            // Twice as far as the first step goes, so that the boundary is near the middle.
            let start: Vec<f32> = far.map(|(far, clean)| (2.0 * far - clean).clamp(0.0, 1.0)).collect();
            let warm = Insisting { attack: &attack, query: None, start: Some(start.clone()) };
            let from_start = run(&model, &warm, &context, &clean_image, 0);
            assert_eq!(from_start.proposals[0], start);
            assert!(from_start.forwards <= 2 * STEPS + 1 + BISECTIONS && from_start.backwards <= STEPS + 1);
            // What bisection leaves of the whole way, on a linear boundary.
            let position = |point: &[f32]| context.ball.distance(&clean_image.pixels, point);
            let resolution = position(&start) / f64::from(1 << BISECTIONS);
            let pulled_back = &from_start.proposals[1 + BISECTIONS];
            let boundary = position(pulled_back) / 0.9;
            let halved = &from_start.proposals[1..=BISECTIONS];
            let misclassified = |point: &[f32]| {
                let images = ArrayView2::from_shape((1, point.len()), point).unwrap();
                let mut classifier = model.classifier().unwrap();
                let logits = classifier.logits(images).unwrap().row(0);
                predicted_class(logits.as_slice().unwrap()) != Some(clean_image.label)
            };
            let closest = halved.iter().filter(|point| misclassified(point)).map(|point| position(point));
            let closest = closest.fold(position(&start), f64::min);
            assert!((boundary - closest).abs() < 1e-5, "{norm:?}: {boundary}, want {closest}");
            let furthest = halved.iter().filter(|point| !misclassified(point)).map(|point| position(point));
            assert!(closest - furthest.fold(0.0, f64::max) < resolution * 1.001);
            assert!(found_distance(context.ball, &clean_image, &from_start) <= closest);
        }
    }
}

#[test]
fn a_start_that_is_classified_correctly_is_dropped() {
    let (model, context) = (linear(4), context(Norm::L2, 4));
    let attack = targeted(10, 1, &context);
    let clean_image = clean_image(&mut *model.classifier().unwrap(), 0, &image(0));
    let warm = Insisting { attack: &attack, query: None, start: Some(clean_image.pixels.to_vec()) };
    let found = run(&model, &warm, &context, &clean_image, 0);
    assert_eq!(found.proposals[1..], run(&model, &attack, &context, &clean_image, 0).proposals);
}

#[test]
fn wrong_guesses_must_have_been_paid_for() {
    let mut prefetch = GradientPrefetch::default();
    assert!(!prefetch.expects_label(), "the first end is beyond the plane");
    prefetch.record(false, false);
    assert!(!prefetch.expects_label(), "one correct point is no run");
    prefetch.record(false, false);
    assert!(prefetch.expects_label());
    prefetch.record(true, true);
    assert!(!prefetch.expects_label());
    // One wasted backward pass, nothing saved yet: no more guesses.
    prefetch.record(false, false);
    prefetch.record(false, false);
    assert!(!prefetch.expects_label());
    let mut prefetch = GradientPrefetch::default();
    prefetch.record(false, true);
    prefetch.record(false, true);
    prefetch.record(true, true);
    assert!(!prefetch.expects_label(), "the last class was wrong");
    prefetch.record(false, false);
    prefetch.record(false, false);
    assert!(prefetch.expects_label(), "two saved, one wasted");
}

#[test]
fn the_first_of_equals_stays() {
    let ball = context(Norm::Linf, 3).ball;
    let mut closest = ClosestAdversarial::new(2);
    closest.offer(ball, &[0.5, 0.5], &[0.75, 0.5]);
    closest.offer(ball, &[0.5, 0.5], &[0.5, 0.75]);
    assert_eq!((closest.pixels(), closest.distance()), (Some(&[0.75, 0.5][..]), 0.25));
    let mut nearest = NearestHyperplane { gradient: vec![0.0; 2], value: 0.0, distance: f64::INFINITY };
    for (loss, gradient) in [(-1.0, [2.0, 0.0]), (1.0, [0.0, 2.0]), (-3.0, [4.0, 0.0])] {
        nearest.offer(ball.linear_function(&gradient), &Answer { logits: &[], loss, gradient: &gradient });
    }
    assert_eq!((nearest.gradient, nearest.value), (vec![2.0, 0.0], -1.0));
}
