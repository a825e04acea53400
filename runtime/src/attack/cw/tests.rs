use mimir_bundle::Norm;

use super::*;
use crate::attack::testing::{context, near_the_boundary};

#[test]
fn the_distance_to_a_linear_boundary_is_found() {
    near_the_boundary(Norm::L2, 1.05, |context| Box::new(Cw::new(&CwSpec::default(), context)));
}

/// By hand: tenfold until something is found, then between the largest that did not and the smallest that did.
#[test]
fn the_constant_grows_and_is_then_bisected() {
    let mut constant = ConstantSearch::new(1.0);
    let values = [false, false, true, false, true, true].map(|finds| {
        let value = constant.value;
        if finds {
            constant.found();
        }
        constant.next();
        value
    });
    assert_eq!(values, [1.0, 10.0, 100.0, 55.0, 77.5, 66.25]);
    assert_eq!(constant.value, 60.625);
}

fn image() -> CleanImage {
    CleanImage { image: 0, pixels: [0.5, 0.5].into(), label: 0, targets: [].into() }
}

fn spec(searches: usize, steps: usize) -> CwSpec {
    CwSpec { searches, steps, ..CwSpec::default() }
}

/// Three classes: the label, and two that take turns as the highest wrong one.
#[test]
fn each_search_begins_at_the_image_with_its_rival() {
    let attack = Cw::new(&spec(2, 3), &context(Norm::L2, 0.1, 2, 3));
    let mut search = attack.search(&image(), 0);
    let at = |search: &mut dyn Search| {
        let mut point = [f32::NAN; 2];
        search.propose(&mut point);
        (search.query(), search.label_and_target().target, point)
    };
    let (query, target, start) = at(&mut *search);
    assert_eq!((query, target), (Query::Forward, None));
    assert!(start.iter().all(|pixel| (pixel - 0.5).abs() < 1e-6));
    search.observe(&Answer { logits: &[3.0, 1.0, 2.0], loss: 0.0, gradient: &[] });
    let gradient = Query::Gradient(Loss::Margin);
    assert_eq!(at(&mut *search), (gradient, Some(2), start));
    let answer = Answer { logits: &[3.0, 2.5, 2.0], loss: -1.0, gradient: &[1.0, -1.0] };
    assert_eq!(search.observe(&answer), Step::Continue);
    let (_, target, point) = at(&mut *search);
    assert_eq!(target, Some(1));
    assert!(point[0] > 0.5 && point[1] < 0.5, "{point:?}");
    // Each step makes progress; the third ends the first search.
    search.observe(&Answer { loss: -0.9, ..answer });
    assert_eq!(search.observe(&Answer { loss: -0.8, ..answer }), Step::Continue);
    assert_eq!(at(&mut *search), (gradient, Some(2), start));
    for loss in [-1.0, -0.9] {
        assert_eq!(search.observe(&Answer { loss, ..answer }), Step::Continue);
    }
    assert_eq!(search.observe(&Answer { loss: -0.8, ..answer }), Step::Done);
}

#[test]
fn a_search_without_progress_ends_early() {
    let attack = Cw::new(&spec(2, 10), &context(Norm::L2, 0.1, 2, 2));
    let mut search = attack.search(&image(), 0);
    search.observe(&Answer { logits: &[1.0, 0.0], loss: 0.0, gradient: &[] });
    let mut asked = 0;
    // Distance grows, margin stays.
    while search.observe(&Answer { logits: &[1.0, 0.0], loss: -1.0, gradient: &[1.0, 0.0] }) == Step::Continue
    {
        asked += 1;
    }
    assert_eq!(asked + 1, 4, "two answers for each of two constants");
}

/// At a point that is misclassified by 1: with κ = 2 the margin still counts, with κ = 0 the distance alone.
#[test]
fn confidence_goes_on_beyond_the_boundary() {
    let after_two = |confidence: f64| {
        let attack = Cw::new(&CwSpec { confidence, ..spec(1, 9) }, &context(Norm::L2, 0.1, 2, 2));
        let mut search = attack.search(&image(), 0);
        search.observe(&Answer { logits: &[1.0, 0.0], loss: 0.0, gradient: &[] });
        search.observe(&Answer { logits: &[1.0, 0.0], loss: -1.0, gradient: &[1.0, 0.0] });
        search.observe(&Answer { logits: &[0.0, 1.0], loss: 1.0, gradient: &[1.0, 0.0] });
        assert!(search.closest().is_some());
        let mut point = [f32::NAN; 2];
        search.propose(&mut point);
        point[0]
    };
    assert!(after_two(2.0) > after_two(0.0) + 1e-4, "{} {}", after_two(2.0), after_two(0.0));
}

#[test]
fn where_the_model_has_no_answer_the_search_ends_by_its_budget() {
    let attack = Cw::new(&spec(2, 3), &context(Norm::L2, 0.1, 2, 2));
    let mut search = attack.search(&image(), 0);
    let steps = std::iter::from_fn(|| Some(search.step_back())).take_while(|step| *step == Step::Continue);
    assert_eq!(steps.count() + 1, 6);
}
