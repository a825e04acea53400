//! What all attacks by gradient ascent have in common: the fixtures of their formulae, linear models whose worst case
//! is known, and that no proposal leaves ball or box.

use mimir_bundle::attack::{AttackSpec, RadiusSchedule};
use mimir_bundle::{ImageShape, Norm, Pixels, ThreatModel};
use ndarray::{Array1, Array2, Axis};
use proptest::prelude::*;

use super::testing::{clean_image, context, fixture, run};
use super::{Answer, Attack, AttackContext, CleanImage, Query, Step, attack};
use crate::ball::Ball;
use crate::linear::LinearClassifier;
use crate::loss::at_logits;
use crate::model::{LabelAndTarget, Loss};
use crate::random::Stream;
use crate::testing::{self, NORMS, key, linear_around_grey};

fn floats(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn narrow(value: &serde_json::Value) -> Vec<f32> {
    floats(value).iter().map(|number| *number as f32).collect()
}

#[test]
fn l1_projections_are_those_of_the_formula() {
    let fixture = fixture("apgd.json");
    let cases = fixture["projections"].as_array().unwrap();
    assert_eq!(cases.len(), 24);
    for (index, case) in cases.iter().enumerate() {
        let epsilon = case["epsilon"].as_f64().unwrap();
        let ball = Ball::new(&ThreatModel { norm: Norm::L1, epsilon, pixels: Pixels::Continuous }).unwrap();
        let (centre, mut point) = (narrow(&case["centre"]), narrow(&case["point"]));
        ball.project(&centre, &mut point);
        for (got, want) in point.iter().zip(floats(&case["projected"])) {
            assert!((f64::from(*got) - want).abs() < 1e-6, "case {index}: {got}, want {want}");
        }
        assert!(ball.distance(&centre, &point) <= epsilon * (1.0 + 1e-6), "case {index}");
        assert!(point.iter().all(|value| (0.0..=1.0).contains(value)), "case {index}");
    }
}

#[test]
fn ratios_and_their_derivatives_are_those_of_the_formula() {
    let fixture = fixture("apgd.json");
    let cases = fixture["losses"].as_array().unwrap();
    assert_eq!(cases.len(), 24);
    for (index, case) in cases.iter().enumerate() {
        let logits = narrow(&case["logits"]);
        let class = |name: &str| case[name].as_u64().unwrap() as usize;
        let pair = LabelAndTarget { label: class("label"), target: Some(class("target")) };
        for (loss, name) in [(Loss::Dlr, "dlr"), (Loss::TargetedDlr, "targeted")] {
            let Some(want) = case.get(name) else {
                assert!(logits.len() < 4 && loss == Loss::TargetedDlr, "case {index} lacks {name}");
                continue;
            };
            let mut derivative = vec![f32::NAN; logits.len()];
            let value = f64::from(at_logits(loss, &logits, pair, &mut derivative));
            let gap = (value - want["value"].as_f64().unwrap()).abs();
            assert!(gap < 1e-6 * value.abs().max(1.0), "case {index}: {name} {value}");
            // A class may have two terms that nearly cancel, each rounded at its own scale.
            let scale = want["scale"].as_f64().unwrap().max(1.0);
            for (got, want) in derivative.iter().zip(floats(&want["derivative"])) {
                assert!(
                    (f64::from(*got) - want).abs() < 1e-6 * scale,
                    "case {index}: {name} {got}, want {want}"
                );
            }
        }
    }
}

const SHAPE: ImageShape = ImageShape { channels: 1, height: 5, width: 8 };

fn noise(image: usize, rows: usize, columns: usize) -> Array2<f32> {
    testing::noise(key(2, image, "ascent"), rows, columns)
}

/// A linear model, where one label is to be attacked.
struct Model {
    weights: Array2<f32>,
    classifier: LinearClassifier,
}

impl Model {
    /// The logits are those of the grey image.
    fn new(weights: Array2<f32>, logits: &Array1<f32>) -> Self {
        let classifier = linear_around_grey(weights.clone(), logits, SHAPE, 1);
        Self { weights, classifier }
    }

    /// Every class has a direction of its own.
    fn scattered(classes: usize) -> Self {
        Self::new(noise(classes, classes, SHAPE.pixels()), &Array1::zeros(classes))
    }

    /// All classes lie on one line, each the closest to a point of it: at 0.1, -0.1, -0.3, … For the first, which is at
    /// one end, every loss rises in the one direction.
    fn in_line(classes: usize) -> Self {
        let place = Array1::from_shape_fn(classes, |class| 0.1 - 0.2 * class as f32);
        let line = noise(classes, 1, SHAPE.pixels());
        let column = place.view().insert_axis(Axis(1));
        Self::new(column.dot(&line), &place.mapv(|place| -0.5 * place * place))
    }
}

/// Distance to the closest decision hyperplane, the box left aside: margin over the dual norm of its normal.
fn exact_distance(norm: Norm, model: &Model, clean: &CleanImage) -> f64 {
    let distance = |other: usize| {
        let nothing = ThreatModel { norm, epsilon: 0.0, pixels: Pixels::Continuous };
        let margin = model.classifier.worst_margin(&nothing, &clean.pixels, clean.label, other);
        let normal = &model.weights.row(clean.label) - &model.weights.row(other);
        let wide = normal.iter().map(|value| f64::from(value.abs()));
        margin
            / match norm {
                Norm::Linf => wide.sum::<f64>(),
                Norm::L2 => wide.map(|value| value * value).sum::<f64>().sqrt(),
                Norm::L1 => wide.fold(0.0, f64::max),
            }
    };
    clean.targets.iter().map(|other| distance(*other)).fold(f64::INFINITY, f64::min)
}

fn breaks(model: &LinearClassifier, spec: &AttackSpec, context: &AttackContext, clean: &CleanImage) -> bool {
    let attack = attack(spec, context).unwrap();
    (0..attack.units()).any(|unit| run(model, attack.as_ref(), context, clean, unit).broken.is_some())
}

/// The attack of that name, and the same with a shrinking radius where it has one.
fn variants(name: &str) -> Vec<AttackSpec> {
    let fixed = AttackSpec::named(name).unwrap();
    let mut shrinking = fixed.clone();
    match &mut shrinking {
        AttackSpec::ApgdCe(spec) | AttackSpec::ApgdDlr(spec) => {
            spec.radius_schedule = RadiusSchedule::Shrinking;
        }
        AttackSpec::ApgdT(spec) => spec.apgd.radius_schedule = RadiusSchedule::Shrinking,
        AttackSpec::ApgdMt(spec) => spec.apgd.radius_schedule = RadiusSchedule::Shrinking,
        AttackSpec::Malt(spec) => spec.apgd.radius_schedule = RadiusSchedule::Shrinking,
        _ => return vec![fixed],
    }
    vec![fixed, shrinking]
}

/// Attacks the image at 0.99 and 1.25 times the exact distance with all of these, in all norms: never broken at the
/// first, always at the second where the attack `must`.
fn check(model: &Model, clean: &CleanImage, must: &[&str], may: &[&str]) {
    let classes = clean.targets.len() + 1;
    for norm in NORMS {
        let distance = exact_distance(norm, model, clean);
        // So that the box is out of reach, also of the one pixel that an L1 step may move.
        assert!(distance * 1.25 < 0.4, "{norm:?} {distance}");
        for spec in must.iter().chain(may).flat_map(|name| variants(name)) {
            let at = |factor: f64| {
                let ball =
                    Ball::new(&ThreatModel { norm, epsilon: factor * distance, pixels: Pixels::Continuous })
                        .unwrap();
                let context = AttackContext { ball, image: SHAPE, ..context(norm, 0.0, 1, classes) };
                breaks(&model.classifier, &spec, &context, clean)
            };
            let case = format!("{spec:?} {norm:?}, {classes} classes, image {}", clean.image);
            assert!(!at(0.99), "{case}: broken inside the exact distance");
            if must.contains(&spec.name()) {
                assert!(at(1.25), "{case}: not broken beyond the exact distance");
            }
        }
    }
}

#[test]
fn classes_in_line_are_broken_by_every_attack_where_they_can_be_and_nowhere_else() {
    for classes in [2, 3, 10] {
        let mut model = Model::in_line(classes);
        for (image, pixels) in (noise(98, 6, SHAPE.pixels()) * 0.03 + 0.5).rows().into_iter().enumerate() {
            let mut pixels = pixels.to_vec();
            // The image or its negative is of the first class.
            if clean_image(&mut model.classifier, image, &pixels).label != 0 {
                pixels.iter_mut().for_each(|value| *value = 1.0 - *value);
            }
            let clean = clean_image(&mut model.classifier, image, &pixels);
            assert_eq!(clean.label, 0);
            check(
                &model,
                &clean,
                &["apgd-ce", "apgd-dlr", "apgd-t", "apgd-mt", "malt", "pgd", "fgsm", "relaxed-pgd", "pgd-mi"],
                &["noise", "pgd-feature", "feature-ce"],
            );
        }
    }
}

#[test]
fn scattered_classes_are_broken_by_targets_where_they_can_be_and_by_nothing_elsewhere() {
    for classes in [2, 3, 10] {
        let mut model = Model::scattered(classes);
        for (image, pixels) in (noise(99, 6, SHAPE.pixels()) * 0.05 + 0.5).rows().into_iter().enumerate() {
            let clean = clean_image(&mut model.classifier, image, pixels.to_slice().unwrap());
            // Without a target an attack may end in front of a hyperplane that is not the closest.
            check(
                &model,
                &clean,
                &["apgd-t", "apgd-mt", "malt", "relaxed-pgd"],
                &["apgd-ce", "apgd-dlr", "pgd", "fgsm", "noise", "pgd-feature", "pgd-mi", "feature-ce"],
            );
        }
    }
}

/// The first proposal that leaves the box, or that counts and leaves the ball by more than rounding.
fn escapes(
    attack: &dyn Attack,
    context: &AttackContext,
    clean: &CleanImage,
    noise: &mut Stream,
) -> Option<String> {
    let pixels = clean.pixels.len();
    let (mut proposal, mut gradient, mut loss) = (vec![f32::NAN; pixels], vec![0.0; pixels], [0.0]);
    for unit in 0..attack.units() {
        let mut search = attack.search(clean, unit);
        loop {
            search.propose(&mut proposal);
            let distance = context.ball.distance(&clean.pixels, &proposal);
            let epsilon = f64::from(context.ball.epsilon());
            let in_ball = distance <= epsilon + 1e-6 * epsilon.max(1.0);
            if !proposal.iter().all(|value| (0.0..=1.0).contains(value)) || (search.counts() && !in_ball) {
                return Some(format!("{distance} of {epsilon}: {proposal:?}"));
            }
            noise.fill_uniform(&mut gradient);
            // Ties and zeros.
            gradient.iter_mut().for_each(|slope| *slope = (*slope * 8.0).trunc() / 8.0);
            noise.fill_uniform(&mut loss);
            let without = Answer { logits: &[0.5, loss[0], 0.0, -0.5], loss: 0.0, gradient: &[] };
            let step = match search.query() {
                Query::Forward => search.observe(&without),
                Query::Features => search.observe_features(&without, &gradient[..2]),
                Query::Gradient(_) | Query::FeatureGradient => {
                    search.observe(&Answer { logits: &[], loss: loss[0], gradient: &gradient })
                }
            };
            if step == Step::Done {
                break;
            }
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_proposal_leaves_ball_or_box(
        pixels in proptest::collection::vec(prop_oneof![Just(0.0_f32), Just(1.0_f32), 0.0_f32..=1.0], 37),
        epsilon in prop_oneof![Just(0.0), 0.0_f64..0.1, 0.0_f64..20.0, Just(1e3), Just(3e38)],
        seed in 0_u64..1000,
    ) {
        let clean = CleanImage { image: 0, pixels: pixels.into(), label: 1, targets: [3, 0, 2].into() };
        for norm in NORMS {
            let context = AttackContext { seed, ..context(norm, epsilon, 37, 4) };
            let features = ["pgd-feature", "pgd-mi", "feature-ce"];
            let others = ["apgd-ce", "apgd-dlr", "apgd-t", "apgd-mt", "malt", "pgd", "relaxed-pgd", "fgsm", "noise"];
            for name in others.iter().chain(&features) {
                for spec in variants(name) {
                    let attack = attack(&spec, &context).unwrap();
                    let mut noise =
                        Stream::new(&key(seed, 1, "answers"));
                    let escape = escapes(attack.as_ref(), &context, &clean, &mut noise);
                    prop_assert!(escape.is_none(), "{norm:?} {spec:?}: {}", escape.unwrap_or_default());
                }
            }
        }
    }
}
