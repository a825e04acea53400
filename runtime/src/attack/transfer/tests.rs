use mimir_bundle::Norm;

use super::*;
use crate::attack::testing::context;
use crate::model::Loss;

fn spec(targets: usize, restarts: usize) -> TransferSpec {
    TransferSpec { targets, restarts, steps: 2, ..TransferSpec::default() }
}

fn image() -> CleanImage {
    CleanImage { image: 0, pixels: [0.5, 0.5].into(), label: 0, targets: [3, 1, 2].into() }
}

/// The first iterate, and each that raises the loss, is shown to the attacked model; nothing else may break the image.
#[test]
fn iterates_that_raise_the_surrogates_loss_are_shown_to_the_model() {
    let attack = Transfer::new(&spec(1, 1), &context(Norm::Linf, 0.1, 2, 4));
    let clean = image();
    let mut search = attack.search(&clean, 0);
    let mut points = Vec::new();
    let mut seen = |search: &mut dyn Search| {
        let mut point = [f32::NAN; 2];
        search.propose(&mut point);
        points.push(point);
        (search.asked_model(), search.query(), search.counts())
    };
    let (surrogate, model) = (
        (AskedModel::Surrogate, Query::Gradient(Loss::CrossEntropy), false),
        (AskedModel::Attacked, Query::Forward, true),
    );
    let gradient = |loss: f32| Answer { logits: &[1.0, 0.0, 0.0, 0.0], loss, gradient: &[1.0, -1.0] };
    let logits = Answer { logits: &[1.0, 0.0, 0.0, 0.0], loss: 0.0, gradient: &[] };
    assert_eq!(seen(&mut *search), surrogate);
    assert_eq!(search.observe(&gradient(1.0)), Step::Continue);
    assert_eq!(seen(&mut *search), model);
    assert_eq!(search.observe(&logits), Step::Continue);
    assert_eq!(seen(&mut *search), surrogate);
    // No more than before: not shown.
    assert_eq!(search.observe(&gradient(1.0)), Step::Continue);
    assert_eq!(seen(&mut *search), surrogate);
    assert_eq!(search.observe(&gradient(2.0)), Step::Continue);
    assert_eq!(seen(&mut *search), model);
    assert_eq!(search.observe(&logits), Step::Done);
    assert_eq!((points[0], points[3]), (points[1], points[4]));
    assert_ne!(points[0], points[2]);
}

#[test]
fn searches_are_one_without_target_and_one_for_each() {
    let attack = Transfer::new(&spec(2, 2), &context(Norm::Linf, 0.1, 2, 4));
    assert_eq!((attack.units(), attack.queries()), (6, vec![Query::Forward]));
    let queries = [Loss::CrossEntropy, Loss::TargetedDlr].map(Query::Gradient);
    assert_eq!(attack.surrogate_queries(), queries);
    let clean = image();
    let asked = [0, 1, 2, 3, 4, 5].map(|unit| {
        let search = attack.search(&clean, unit);
        (search.query(), search.label_and_target().target)
    });
    let [untargeted, targeted] = queries;
    let (first, second) = ((targeted, Some(3)), (targeted, Some(1)));
    assert_eq!(asked, [(untargeted, None), (untargeted, None), first, first, second, second]);
    let starts = [0, 1, 2].map(|unit| {
        let mut point = [f32::NAN; 2];
        attack.search(&clean, unit).propose(&mut point);
        point
    });
    assert!(starts[0] != starts[1] && starts[0] != starts[2]);
}
