use mimir_bundle::{ImageShape, Norm};

use super::*;
use crate::testing::attack_context;

const PIXELS: usize = 8;

fn context(norm: Norm, epsilon: f64, classes: usize) -> AttackContext {
    attack_context(norm, epsilon, ImageShape { channels: 1, height: 2, width: PIXELS / 2 }, classes)
}

fn clean_image(label: usize, targets: &[usize]) -> CleanImage {
    CleanImage { image: 0, pixels: [0.5; PIXELS].into(), label, targets: targets.into() }
}

/// All proposals of one unit, with whether each counts. The losses rise; the gradients are those given, in turn.
fn proposals(apgd: &Apgd, clean: &CleanImage, unit: usize, gradients: &[f32]) -> Vec<([f32; PIXELS], bool)> {
    let mut search = apgd.search(clean, unit);
    let mut proposals = Vec::new();
    loop {
        let mut proposal = [f32::NAN; PIXELS];
        search.propose(&mut proposal);
        let (asked, counts) = (proposals.len(), search.counts());
        proposals.push((proposal, counts));
        let gradient = [gradients[asked % gradients.len()]; PIXELS];
        if search.observe(&Answer { logits: &[], loss: asked as f32, gradient: &gradient }) == Step::Done {
            return proposals;
        }
    }
}

#[test]
fn restarts_are_units_from_different_points() {
    let spec = ApgdSpec { steps: 3, restarts: 2, ..ApgdSpec::default() };
    let apgd = Apgd::cross_entropy(&spec, &context(Norm::L2, 0.1, 10));
    assert_eq!(apgd.units(), 2);
    let run = |unit| proposals(&apgd, &clean_image(0, &[]), unit, &[0.0]);
    let (first, second) = (run(0), run(1));
    // A start and three steps; a zero gradient never moves.
    assert_eq!((first.len(), second.len()), (4, 4));
    assert_ne!(first[0], second[0]);
    assert!(apgd.phases[0].ball.distance(&first[0].0, &first[3].0) < 1e-6);
    assert!(first.iter().all(|(_, counts)| *counts));
}

#[test]
fn targets_are_outer_units_and_restarts_inner_ones() {
    let apgd = ApgdSpec { steps: 2, restarts: 2, ..ApgdSpec::default() };
    let spec = TargetedApgdSpec { targets: 9, apgd };
    // Five classes have four targets.
    let attack = Apgd::targeted(&spec, &context(Norm::Linf, 0.1, 5));
    let clean = clean_image(2, &[4, 0, 3, 1]);
    assert_eq!(attack.units(), 8);
    let mut starts = Vec::new();
    for (unit, target) in [4, 4, 0, 0, 3, 3, 1, 1].into_iter().enumerate() {
        let pair = attack.search(&clean, unit).label_and_target();
        assert_eq!(pair, LabelAndTarget { label: 2, target: Some(target) }, "unit {unit}");
        starts.push(proposals(&attack, &clean, unit, &[0.0])[0].0);
    }
    for (unit, start) in starts.iter().enumerate() {
        assert!(!starts[..unit].contains(start), "unit {unit} starts where another does");
    }
}

#[test]
fn few_classes_have_the_margin_in_place_of_the_ratio() {
    struct Case {
        name: &'static str,
        classes: usize,
        loss: Loss,
        target: Option<usize>,
        margin: bool,
    }
    let cases = [
        Case { name: "apgd-ce", classes: 2, loss: Loss::CrossEntropy, target: None, margin: false },
        Case { name: "apgd-dlr", classes: 2, loss: Loss::Margin, target: Some(0), margin: true },
        Case { name: "apgd-dlr", classes: 3, loss: Loss::Dlr, target: None, margin: false },
        Case { name: "apgd-t", classes: 2, loss: Loss::Margin, target: Some(0), margin: true },
        Case { name: "apgd-t", classes: 3, loss: Loss::Margin, target: Some(0), margin: true },
        Case { name: "apgd-t", classes: 4, loss: Loss::TargetedDlr, target: Some(0), margin: false },
    ];
    for Case { name, classes, loss, target, margin } in cases {
        let spec = mimir_bundle::AttackSpec::named(name).unwrap();
        let attack = crate::attack::attack(&spec, &context(Norm::Linf, 0.1, classes)).unwrap();
        let search = attack.search(&clean_image(1, &[0, 2, 3][..classes - 1]), 0);
        assert_eq!(attack.queries(), [Query::Gradient(loss)], "{name}, {classes}");
        assert_eq!(search.query(), Query::Gradient(loss), "{name}, {classes}");
        assert_eq!(search.label_and_target(), LabelAndTarget { label: 1, target }, "{name}, {classes}");
        assert_eq!(attack.uses_margin(), margin, "{name}, {classes}");
    }
}

#[test]
fn a_shrinking_radius_has_three_phases_and_only_the_last_counts() {
    for (steps, want) in
        [(100, [30, 30, 40]), (10, [3, 3, 4]), (11, [4, 4, 3]), (2, [1, 1, 0]), (1, [1, 0, 0])]
    {
        let spec = ApgdSpec { steps, radius_schedule: RadiusSchedule::Shrinking, ..ApgdSpec::default() };
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let context = context(norm, 0.1, 10);
            let apgd = Apgd::cross_entropy(&spec, &context);
            let run = proposals(&apgd, &clean_image(0, &[]), 0, &[1.0, 0.5, -1.0]);
            // Each phase asks about its start too.
            assert_eq!(run.len(), steps + 3, "{norm:?}");
            let mut proposals = run.iter();
            for (phase, (steps, factor)) in want.into_iter().zip([3.0, 2.0, 1.0]).enumerate() {
                let ball = context.ball.scaled(factor);
                let reach = proposals.by_ref().take(steps + 1).map(|(proposal, counts)| {
                    assert_eq!(*counts, phase == 2, "{norm:?} {steps}");
                    assert!(ball.contains(&[0.5; PIXELS], proposal), "{norm:?} {steps} phase {phase}");
                    ball.distance(&[0.5; PIXELS], proposal)
                });
                let farthest = reach.fold(0.0, f64::max);
                assert!(
                    farthest > f64::from(ball.epsilon()) - 1e-5,
                    "{norm:?} {steps} phase {phase} {farthest}"
                );
            }
        }
    }
}

/// The best point of a phase, not its last, is where the next begins.
#[test]
fn the_next_phase_begins_at_the_projected_best_point() {
    let spec = ApgdSpec { steps: 10, radius_schedule: RadiusSchedule::Shrinking, ..ApgdSpec::default() };
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let context = context(norm, 0.1, 10);
        let (apgd, clean) = (Apgd::cross_entropy(&spec, &context), clean_image(0, &[]));
        let mut search = apgd.search(&clean, 0);
        let mut seen = Vec::new();
        // The second of the four iterates of the first phase is the best.
        for (loss, sign) in [(1.0, 1.0), (2.0, -1.0), (0.5, -1.0), (0.25, 1.0), (0.0, 1.0)] {
            let mut proposal = [0.0; PIXELS];
            search.propose(&mut proposal);
            seen.push(proposal);
            let gradient = [1.0, 0.5, -1.0, 0.1, 0.0, -2.0, 3.0, 0.3].map(|slope| sign * slope);
            search.observe(&Answer { logits: &[], loss, gradient: &gradient });
        }
        let mut want = seen[1];
        context.ball.scaled(2.0).project(&[0.5; PIXELS], &mut want);
        assert_eq!(seen[4], want, "{norm:?}");
        assert_ne!(seen[3], seen[1], "{norm:?}: the last iterate is not the best");
    }
}

#[test]
fn repeated_evaluations_move_once_by_their_mean() {
    let context = context(Norm::L2, 0.1, 10);
    let run = |eot, gradients: &[f32]| {
        let spec = ApgdSpec { steps: 1, eot, ..ApgdSpec::default() };
        proposals(&Apgd::cross_entropy(&spec, &context), &clean_image(0, &[]), 0, gradients)
    };
    // The mean of 1, 1 and -4 is negative, where the last alone and the first alone would not agree.
    let (single, several) = (run(1, &[-2.0 / 3.0]), run(3, &[1.0, -4.0, 1.0]));
    assert_eq!((single.len(), several.len()), (2, 6));
    assert_eq!(several[0], several[2]);
    assert_eq!(several[0], single[0]);
    assert_eq!(several[3], several[5]);
    assert_ne!(several[2], several[3]);
    for (mean, single) in several[3].0.iter().zip(single[1].0) {
        assert!((mean - single).abs() < 1e-6);
    }
}
