use mimir_bundle::{ImageShape, Norm};
use ndarray::Array1;

use super::*;
use crate::attack::testing::{clean_image, context, near_the_boundary, run};
use crate::model::ModelSource;
use crate::testing::{NORMS, attack_context, key, linear_around_grey, noise};

/// Answers of a model with one wrong class: the difference, and its slopes.
fn answer<'a>(logits: &'a [f32; 2], gradient: &'a [f32]) -> Answer<'a> {
    Answer { logits, loss: logits[1] - logits[0], gradient }
}

/// The scheduler gives attacks without targets none.
fn image(pixels: &[f32]) -> CleanImage {
    CleanImage { image: 0, pixels: pixels.into(), label: 0, targets: [].into() }
}

/// A search that knows its rival, the last class of the logits.
fn begin<'a>(attack: &'a Fmn, clean: &CleanImage) -> Box<dyn Search + 'a> {
    let mut search = attack.search(clean, 0);
    assert_eq!(search.query(), Query::Forward);
    search.observe(&Answer { logits: &[1.0, 0.0], loss: 0.0, gradient: &[] });
    assert_eq!(search.query(), Query::Gradient(Loss::Margin));
    search
}

fn point(search: &mut dyn Search, pixels: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; pixels];
    search.propose(&mut out);
    out
}

/// By hand: the radius is 1.02 times that of the plane; then it grows by γ while the class holds, and shrinks once it does not.
#[test]
fn the_radius_follows_the_answers() {
    let spec = FmnSpec {
        steps: 4,
        first_length: 1.0,
        last_length: 1.0,
        first_change: 0.1,
        last_change: 0.1,
        restarts: 1,
    };
    let context = context(Norm::Linf, 0.1, 2, 2);
    let (attack, clean) = (Fmn::new(&spec, &context), image(&[0.5, 0.5]));
    let mut search = begin(&attack, &clean);
    assert_eq!(point(&mut *search, 2), [0.5, 0.5]);
    let expect = |search: &mut dyn Search, wanted: [f32; 2]| {
        for (found, wanted) in point(search, 2).into_iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-6, "{found}, wanted {wanted}");
        }
    };
    // A difference of 0.4 with slopes of L1 length 4: 0.1 away. Both pixels move by 1 / √2 and are brought back to 0.102.
    search.observe(&answer(&[0.4, 0.0], &[2.0, -2.0]));
    expect(&mut *search, [0.602, 0.398]);
    // Still right, 0.2 / 4 away by the slopes there: 1.02 times 0.102 + 0.05.
    search.observe(&answer(&[0.2, 0.0], &[2.0, -2.0]));
    let radius = 1.02 * 0.152;
    expect(&mut *search, [0.5 + radius, 0.5 - radius]);
    // Wrong there: the radius is 0.9 times that.
    search.observe(&answer(&[0.0, 0.1], &[2.0, -2.0]));
    expect(&mut *search, [0.5 + 0.9 * radius, 0.5 - 0.9 * radius]);
    assert!(search.closest().is_some_and(|pixels| (pixels[0] - 0.5 - radius).abs() < 1e-6));
    // Right again: it grows by a tenth.
    search.observe(&answer(&[0.1, 0.0], &[2.0, -2.0]));
    expect(&mut *search, [0.5 + 0.99 * radius, 0.5 - 0.99 * radius]);
    assert_eq!(search.observe(&answer(&[0.1, 0.0], &[2.0, -2.0])), Step::Done);
}

#[test]
fn schedules_fall_along_half_a_cosine() {
    let spec = FmnSpec { steps: 4, ..FmnSpec::default() };
    let context = context(Norm::L2, 0.1, 1, 2);
    let attack = Fmn::new(&spec, &context);
    let closest = ClosestAdversarial::new(1);
    let mut search = FmnSearch {
        attack: &attack,
        rival: Some(1),
        clean: image(&[0.5]),
        point: vec![0.5],
        taken: 0,
        radius: None,
        closest,
    };
    let wanted = [1.0, 0.853_553_39, 0.5, 0.146_446_61, 0.0];
    for (taken, wanted) in wanted.into_iter().enumerate() {
        search.taken = taken;
        assert!((search.scheduled(1.0, 0.0) - wanted).abs() < 1e-8, "{taken}");
        assert!((search.scheduled(3.0, 1.0) - (1.0 + 2.0 * wanted)).abs() < 1e-7, "{taken}");
    }
}

#[test]
fn the_next_rival_is_the_highest_wrong_class() {
    let context = context(Norm::L2, 0.1, 1, 3);
    let attack = Fmn::new(&FmnSpec::default(), &context);
    let mut search = attack.search(&image(&[0.5]), 0);
    assert_eq!(search.label_and_target().target, None);
    search.observe(&Answer { logits: &[3.0, 1.0, 2.0], loss: 0.0, gradient: &[] });
    assert_eq!(search.label_and_target().target, Some(2));
    search.observe(&Answer { logits: &[3.0, 2.0, 1.0], loss: -2.0, gradient: &[1.0] });
    assert_eq!(search.label_and_target().target, Some(1));
}

#[test]
fn a_gradient_of_zero_moves_nothing_and_loses_nothing() {
    for norm in NORMS {
        let context = context(norm, 0.1, 2, 2);
        let attack = Fmn::new(&FmnSpec::default(), &context);
        let mut search = begin(&attack, &image(&[0.2, 0.9]));
        search.observe(&answer(&[1.0, 0.0], &[0.0, 0.0]));
        assert_eq!(point(&mut *search, 2), [0.2, 0.9], "{norm:?}");
        search.observe(&answer(&[1.0, 0.0], &[1.0, 0.0]));
        assert!(point(&mut *search, 2)[0] > 0.2, "{norm:?}");
    }
}

#[test]
fn the_distance_to_a_linear_boundary_is_found() {
    for norm in NORMS {
        near_the_boundary(norm, 1.05, |context| Box::new(Fmn::new(&FmnSpec::default(), context)));
    }
}

/// A difference that is linear is crossed within a few steps, however its rounding falls: on the plane itself the class still holds.
#[test]
fn a_linear_boundary_is_crossed_soon() {
    const CLASSES: usize = 5;
    let shape = ImageShape { channels: 1, height: 8, width: 24 };
    let spec = FmnSpec { steps: 10, ..FmnSpec::default() };
    for norm in NORMS {
        let weights = noise(key(5, 0, "weights"), CLASSES, shape.pixels());
        let model = linear_around_grey(weights, &Array1::zeros(CLASSES), shape, 1);
        for index in 0..24 {
            let pixels =
                (noise(key(5, index, "image"), 1, shape.pixels()) * 0.1 + 0.5).into_raw_vec_and_offset().0;
            let clean = clean_image(&mut *model.classifier().unwrap(), index, &pixels);
            let context = attack_context(norm, 1e3, shape, CLASSES);
            let found = run(&model, &Fmn::new(&spec, &context), &context, &clean, 0);
            assert!(found.broken.is_some(), "{norm:?} image {index}");
        }
    }
}

#[test]
fn restarts_begin_around_the_image() {
    for norm in NORMS {
        let context = context(norm, 0.1, 40, 2);
        let attack = Fmn::new(&FmnSpec { restarts: 3, ..FmnSpec::default() }, &context);
        assert_eq!(attack.units(), 3);
        let clean = image(&[0.5; 40]);
        let starts = [0, 1, 2].map(|unit| point(&mut *attack.search(&clean, unit), 40));
        assert_eq!(starts[0], [0.5; 40]);
        assert!(starts[1] != starts[2] && starts[1] != starts[0], "{norm:?}");
        assert!(
            starts.iter().all(|start| context.ball.distance(&clean.pixels, start) <= 0.05 + 1e-6),
            "{norm:?}"
        );
    }
}

#[test]
fn where_the_model_has_no_answer_the_search_goes_half_way_back_and_ends() {
    let context = context(Norm::L2, 0.1, 1, 2);
    let attack = Fmn::new(&FmnSpec { steps: 2, ..FmnSpec::default() }, &context);
    let mut search = begin(&attack, &image(&[0.5]));
    search.observe(&answer(&[0.2, 0.0], &[1.0]));
    assert!((point(&mut *search, 1)[0] - 0.704).abs() < 1e-6);
    assert_eq!(search.step_back(), Step::Continue);
    assert!((point(&mut *search, 1)[0] - 0.602).abs() < 1e-6);
    assert_eq!(search.step_back(), Step::Done);
}
