use mimir_bundle::{Norm, Pixels, ThreatModel};
use ndarray::{Array1, Array2, ArrayView2, array};

use super::*;
use crate::attack::testing::{clean_image, context, near_the_boundary, run};
use crate::linear::LinearClassifier;
use crate::model::{Loss, ModelSource};
use crate::testing::{NORMS, attack_context, key, linear_around_grey, noise};

fn image(pixels: &[f32]) -> CleanImage {
    CleanImage { image: 0, pixels: pixels.into(), label: 0, targets: [].into() }
}

fn point(search: &mut dyn Search, pixels: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; pixels];
    search.propose(&mut out);
    out
}

fn tell(search: &mut dyn Search, is_wrong: bool) -> Step {
    let logits = if is_wrong { [0.0, 1.0] } else { [1.0, 0.0] };
    search.observe(&Answer { logits: &logits, loss: 0.0, gradient: &[] })
}

/// Whether a point of two pixels lies beyond the boundary `x + y = 1.2`, 0.1 away from grey in L∞.
fn is_beyond(point: &[f32]) -> bool {
    point[0] + point[1] > 1.2
}

/// The boundary between two classes is found by their names alone: within 5 % of the exact distance in L2 and L∞, 15 % in L1,
/// where a step moves one pixel in a hundred.
#[test]
fn the_distance_to_a_linear_boundary_is_found() {
    for (norm, factor) in [(Norm::L2, 1.05), (Norm::Linf, 1.05), (Norm::L1, 1.15)] {
        near_the_boundary(norm, factor, |context| {
            Box::new(HopSkipJump::new(&HopSkipJumpSpec::default(), context))
        });
    }
}

/// Among levels of 8 bits, where the model is asked about every point: the distance that is found over the exact one of the linear
/// boundary, of images that many levels away from it in L∞.
fn factors_among_levels(norm: Norm, away: f32) -> Vec<f64> {
    const PIXELS: usize = 192;
    let shape = mimir_bundle::ImageShape { channels: 3, height: 8, width: 8 };
    let weights = noise(key(3, 0, "weights"), 2, PIXELS);
    let model = linear_around_grey(weights.clone(), &Array1::zeros(2), shape, 1);
    let ball = Ball::new(&ThreatModel { norm, epsilon: 1e-9, pixels: Pixels::EightBit }).unwrap();
    let context = AttackContext { ball, ..attack_context(norm, 1e-9, shape, 2) };
    let attack = HopSkipJump::new(&HopSkipJumpSpec::default(), &context);
    let slopes = &weights.row(0) - &weights.row(1);
    let is_level = |value: &f32| (255.0 * value).round() / 255.0 == *value;
    let factor = |index: usize| {
        let pixels = noise(key(3, index, "image"), 1, PIXELS).row(0).to_owned() * 0.3;
        let to_boundary = slopes.dot(&pixels) / slopes.mapv(f32::abs).sum();
        let move_by = slopes.mapv(|slope| (away / 255.0 - to_boundary) * slope.signum());
        let mut pixels = (pixels + 0.5 + move_by).mapv(|value| value.clamp(0.0, 1.0)).to_vec();
        ball.snap(&pixels.clone(), &mut pixels);
        let clean = clean_image(&mut model.clone(), index, &pixels);
        let images = ArrayView2::from_shape((1, PIXELS), &pixels).unwrap();
        let pair = LabelAndTarget { label: clean.label, target: Some(clean.targets[0]) };
        let mut graph = model.differentiable(Loss::Margin).unwrap();
        let at_clean = graph.loss_gradient(images, &[pair]).unwrap();
        let slope = ball.linear_function(&at_clean.gradient.row(0).to_vec()).dual_norm();
        let exact = f64::from(at_clean.loss[0].abs()) / slope;
        let found = run(&model, &attack, &context, &clean, 0);
        assert!(found.proposals.iter().flatten().all(is_level), "{norm:?} image {index}");
        ball.distance(&pixels, &found.closest.unwrap()) / exact
    };
    (0..6).map(factor).collect()
}

#[test]
fn the_distance_is_found_among_levels() {
    for (norm, factor) in [(Norm::Linf, 1.2), (Norm::L2, 1.1), (Norm::L1, 4.0)] {
        let found = factors_among_levels(norm, 30.0);
        assert!(found.iter().all(|it| (1.0 - 1e-4..factor).contains(it)), "{norm:?}: {found:?}");
    }
}

/// So near that random points differ from the boundary by a quarter of a level: were they rounded to the nearest, all would be the
/// same.
#[test]
fn the_distance_is_found_two_or_three_levels_away() {
    for (norm, away, factor) in
        [(Norm::Linf, 2.0, 1.6), (Norm::Linf, 2.7, 1.6), (Norm::L2, 2.0, 1.4), (Norm::L2, 3.0, 1.4)]
    {
        let found = factors_among_levels(norm, away);
        assert!(found.iter().all(|it| (1.0 - 1e-4..factor).contains(it)), "{norm:?} {away}: {found:?}");
    }
}

/// Starts are tried until one is misclassified; then the way to the image is bisected.
#[test]
fn a_misclassified_start_is_brought_to_the_boundary() {
    for norm in NORMS {
        let attack = HopSkipJump::new(&HopSkipJumpSpec::default(), &context(norm, 0.1, 2, 2));
        let clean = image(&[0.5, 0.5]);
        let mut search = attack.search(&clean, 0);
        assert_eq!(search.query(), Query::Forward);
        let first = point(&mut *search, 2);
        tell(&mut *search, false);
        let start = point(&mut *search, 2);
        assert!(start != first && start.iter().all(|value| (0.0..=1.0).contains(value)));
        let distance = attack.ball.distance(&clean.pixels, &start);
        tell(&mut *search, true);
        let mut radius = distance / 2.0;
        for is_wrong in [true, true, false] {
            let here = attack.ball.distance(&clean.pixels, &point(&mut *search, 2));
            assert!((here - radius).abs() < 1e-6, "{norm:?}: {here}, wanted {radius}");
            radius = if is_wrong { radius / 2.0 } else { 1.5 * radius };
            tell(&mut *search, is_wrong);
        }
    }
}

/// The estimate of the normal of a half plane goes across it, and steps stay beyond it.
#[test]
fn steps_go_along_the_estimated_normal() {
    let spec = HopSkipJumpSpec { directions: 50, queries: 300, ..HopSkipJumpSpec::default() };
    let attack = HopSkipJump::new(&spec, &context(Norm::L2, 0.1, 2, 2));
    let mut search = attack.search(&image(&[0.5, 0.5]), 0);
    loop {
        let here = point(&mut *search, 2);
        if tell(&mut *search, is_beyond(&here)) == Step::Done {
            break;
        }
    }
    let closest = search.closest().expect("half of all starts are beyond the line").to_vec();
    // The foot of the perpendicular is (0.6, 0.6).
    assert!(closest.iter().all(|value| (value - 0.6).abs() < 0.02) && is_beyond(&closest), "{closest:?}");
}

#[test]
fn without_a_misclassified_start_it_ends() {
    let spec = HopSkipJumpSpec { starts: 7, ..HopSkipJumpSpec::default() };
    let attack = HopSkipJump::new(&spec, &context(Norm::Linf, 0.1, 2, 2));
    let mut search = attack.search(&image(&[0.5, 0.5]), 0);
    let steps =
        std::iter::from_fn(|| Some(tell(&mut *search, false))).take_while(|step| *step == Step::Continue);
    assert_eq!(steps.count() + 1, 7);
    assert_eq!(search.closest(), None);
}

#[test]
fn single_colours_have_one_value_for_each_channel() {
    let shape = mimir_bundle::ImageShape { channels: 3, height: 1, width: 2 };
    let attack = HopSkipJump::new(&HopSkipJumpSpec::default(), &attack_context(Norm::Linf, 0.1, shape, 2));
    let mut search = attack.search(&image(&[0.5; 6]), 0);
    let noise = point(&mut *search, 6);
    tell(&mut *search, false);
    let colour = point(&mut *search, 6);
    assert!(
        noise[0] != noise[1] && colour[0] == colour[1] && colour[2] == colour[3] && colour[0] != colour[2]
    );
}

/// The same images whatever else is in the set, about as many as asked for, and others for another seed.
#[test]
fn it_is_run_on_its_share_of_the_images() {
    let chosen = |subset: f64, seed: u64| {
        let context = AttackContext { seed, ..context(Norm::Linf, 0.1, 2, 2) };
        let attack = HopSkipJump::new(&HopSkipJumpSpec { subset, ..HopSkipJumpSpec::default() }, &context);
        (0..10_000).filter(|image| attack.is_run_on(*image)).collect::<Vec<usize>>()
    };
    assert_eq!((chosen(1.0, 0).len(), chosen(0.0, 0).len()), (10_000, 0));
    // Six standard deviations of 10000 draws at 1/10 are 180.
    assert!(chosen(0.1, 0).len().abs_diff(1000) < 180);
    assert_ne!(chosen(0.1, 0), chosen(0.1, 1));
    let more = chosen(0.2, 0);
    assert!(chosen(0.1, 0).iter().all(|image| more.contains(image)));
}

#[test]
fn restarts_begin_elsewhere() {
    let attack = HopSkipJump::new(
        &HopSkipJumpSpec { restarts: 2, ..Default::default() },
        &context(Norm::L2, 0.1, 2, 2),
    );
    let starts = [0, 1].map(|unit| point(&mut *attack.search(&image(&[0.5, 0.5]), unit), 2));
    assert_eq!(attack.units(), 2);
    assert_ne!(starts[0], starts[1]);
}

/// Classes decide, not logits: the same points whatever the scores are.
#[test]
fn scores_change_nothing_but_by_their_order() {
    let weights: Array2<f32> = array![[-1.0, -0.5], [1.0, 0.5]];
    let points = |factor: f32| {
        let model = LinearClassifier::new(weights.clone() * factor, array![1.7, 0.0] * factor, SHAPE, 1);
        let context = attack_context(Norm::L2, 0.01, SHAPE, 2);
        let attack = HopSkipJump::new(&HopSkipJumpSpec { queries: 200, ..Default::default() }, &context);
        let clean = clean_image(&mut model.clone(), 0, &[0.5, 0.5]);
        run(&model, &attack, &context, &clean, 0).proposals
    };
    assert_eq!(points(1.0), points(4.0));
}

const SHAPE: mimir_bundle::ImageShape = mimir_bundle::ImageShape { channels: 1, height: 1, width: 2 };
