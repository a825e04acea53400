//! Models and images that an evaluation must say something true about, though the usual course does not work.

use std::fs::File;
use std::path::Path;

use mimir_runtime::evaluate::Verdict;
use mimir_runtime::report::{Report, Warning};
use ndarray::{Array1, Array4, Axis};
use ndarray_npy::{NpzReader, NpzWriter};
use predicates::str::contains;

use super::{Demo, models, root};

/// The demo's images and labels, changed; as a source for `--data`.
fn changed_images(demo: &Demo, change: impl FnOnce(&mut Array4<u8>, &mut Array1<i64>)) -> String {
    let original = File::open(root().join("examples/demo/images.npz")).unwrap();
    let mut original = NpzReader::new(original).unwrap();
    let mut images: Array4<u8> = original.by_name("images").unwrap();
    let mut labels: Array1<i64> = original.by_name("labels").unwrap();
    change(&mut images, &mut labels);
    let path = demo.path("changed.npz");
    let mut archive = NpzWriter::new(File::create(&path).unwrap());
    archive.add_array("images", &images).unwrap();
    archive.add_array("labels", &labels).unwrap();
    archive.finish().unwrap();
    format!("npz:{}", path.display())
}

fn kinds(report: &Report) -> Vec<&Warning> {
    report.warnings.iter().map(|notice| &notice.warning).collect()
}

fn robust(report: &Report) -> Vec<bool> {
    report.outcomes.iter().map(|outcome| outcome.verdict == Verdict::StillRobust).collect()
}

#[test]
fn constant_logits_have_zero_gradients_and_the_report_says_so() {
    let demo = Demo::new();
    models::with_constant_logits(&demo.path("model.onnx"));
    for attack in ["apgd-ce", "apgd-dlr", "apgd-t", "fab-t"] {
        demo.run(&["--attacks", attack, "--steps", "5"]).success();
        let report = demo.report();
        let first_class = report.outcomes.iter().filter(|outcome| outcome.label == 0).count();
        assert!(first_class > 0);
        assert_eq!((report.counts.clean_correct, report.counts.still_robust), (first_class, first_class));
        let warned = kinds(&report).into_iter().any(
            |warning| matches!(warning, Warning::ZeroGradients { images, .. } if *images == first_class),
        );
        assert!(warned, "{attack}: {:?}", report.warnings);
    }
    demo.run(&["--attacks", "square", "--queries", "20"]).success();
    assert_eq!(demo.report().counts.broken, 0);
}

#[test]
fn the_scale_of_the_logits_changes_no_verdict_of_dlr_and_square() {
    let attacks: [&[&str]; 2] = [
        &["--attacks", "apgd-dlr", "--steps", "15", "--first", "48"],
        &["--attacks", "square", "--queries", "150", "--first", "48"],
    ];
    for flags in attacks {
        let demo = Demo::new();
        demo.run(flags).success();
        let plain = demo.report();
        assert!(plain.counts.broken > 0 && plain.counts.still_robust > 0, "{:?}", plain.counts);
        for factor in [1e6, 1e-6] {
            let demo = Demo::new();
            models::scaled(&demo.path("model.onnx"), factor);
            demo.run(flags).success();
            assert_eq!(robust(&demo.report()), robust(&plain), "{flags:?}, times {factor}");
        }
    }
}

#[test]
fn a_saturated_cross_entropy_is_reported() {
    let demo = Demo::new();
    models::scaled(&demo.path("model.onnx"), 1e6);
    demo.run(&[]).success().stdout(contains("a saturated loss"));
    let report = demo.report();
    assert!(
        kinds(&report).into_iter().any(|warning| matches!(warning, Warning::ZeroGradients { .. })),
        "{:?}",
        report.warnings
    );
}

#[test]
fn nan_for_one_image_is_its_verdict_and_no_other_one() {
    const BLACK: usize = 3;
    let demo = Demo::new();
    let data = changed_images(&demo, |images, _| images.index_axis_mut(Axis(0), BLACK).fill(0));
    demo.run(&["--data", &data]).success();
    let mut plain = demo.report();
    models::with_nan_for_black(&demo.path("model.onnx"), (0.0 - 0.5) / 0.25);
    demo.run(&["--data", &data]).success().stdout(contains("NaN or +infinity for 1 images (3)"));
    let mut report = demo.report();
    let verdict = report.outcomes.remove(BLACK);
    assert!(matches!(verdict.verdict, Verdict::NonFinite { attack: None, .. }), "{verdict:?}");
    assert_eq!((verdict.clean_prediction, report.counts.non_finite), (None, 1));
    plain.outcomes.remove(BLACK);
    assert_eq!(robust(&report), robust(&plain));
    assert_eq!(demo.certificate().counts.non_finite, 1);
}

/// What has no influence on the logits must have none on a verdict, whatever its slope is.
#[test]
fn branches_without_influence_change_no_verdict() {
    let flags = ["--attacks", "apgd-ce,fab-t", "--steps", "10", "--first", "48"];
    let demo = Demo::new();
    demo.run(&flags).success();
    let plain = demo.report();
    assert!(plain.counts.broken > 0 && plain.counts.still_robust > 0, "{:?}", plain.counts);
    for branch in models::DeadBranch::ALL {
        let demo = Demo::new();
        models::with_dead_branch(&demo.path("model.onnx"), branch);
        demo.run(&flags).success();
        let report = demo.report();
        assert_eq!(report.counts, plain.counts, "{branch:?}");
        assert_eq!(robust(&report), robust(&plain), "{branch:?}");
        assert!(report.attacks.iter().all(|attack| attack.non_finite_gradients == 0), "{branch:?}");
    }
}

/// -inf is the logarithm of a probability that rounded to zero: an ordinary score of a class that loses.
#[test]
fn minus_infinity_in_a_class_that_loses_is_an_ordinary_score() {
    let flags = ["--attacks", "square", "--queries", "60", "--first", "48"];
    let demo = Demo::new();
    demo.run(&flags).success();
    let plain = demo.report();
    let demo = Demo::new();
    models::with_lost_class(&demo.path("model.onnx"));
    demo.run(&flags).success();
    let report = demo.report();
    assert_eq!(report.counts.non_finite, 0);
    assert_eq!(robust(&report), robust(&plain));
}

#[test]
fn logits_through_integers_are_attacked_straight_through() {
    let demo = Demo::new();
    models::with_logits_in_integers(&demo.path("model.onnx"));
    demo.run(&["--attacks", "apgd-dlr", "--steps", "10", "--first", "48"]).success();
    let report = demo.report();
    assert!(report.counts.broken > 0, "{:?}", report.counts);
    let approximated =
        kinds(&report).into_iter().any(|warning| matches!(warning, Warning::GradientApproximation { .. }));
    assert!(approximated && report.skipped_attacks.is_empty(), "{:?}", report.warnings);
}

#[test]
fn without_any_gradient_the_attacks_that_need_none_run_and_the_rest_is_named() {
    let demo = Demo::new();
    models::with_one_hot_class(&demo.path("model.onnx"));
    demo.run(&["--attacks", "standard", "--queries", "60"])
        .success()
        .stdout(contains("so apgd-ce, apgd-t, fab-t did not run"));
    let report = demo.report();
    assert_eq!(report.skipped_attacks, ["apgd-ce", "apgd-t", "fab-t"]);
    let ran: Vec<&str> = report.attacks.iter().map(|attack| attack.name.as_str()).collect();
    assert_eq!(ran, ["square"]);
    demo.run(&["--attacks", "apgd-ce"]).code(3).stderr(contains("--attacks square,noise"));
}

#[test]
fn where_all_images_are_misclassified_there_is_nothing_to_attack() {
    let demo = Demo::new();
    demo.run(&["--first", "240", "--steps", "1"]).success();
    let predictions: Vec<usize> =
        demo.report().outcomes.iter().map(|outcome| outcome.clean_prediction.unwrap()).collect();
    let data = changed_images(&demo, |_, labels| {
        for (label, prediction) in labels.iter_mut().zip(&predictions) {
            *label = ((prediction + 1) % 6) as i64;
        }
    });
    demo.run(&["--data", &data, "--attacks", "apgd-ce,square"]).success();
    let report = demo.report();
    assert_eq!((report.clean_accuracy, report.attacked_accuracy), (0.0, 0.0));
    assert!(report.attacks.iter().all(|attack| attack.attacked == 0), "{:?}", report.attacks);
    assert_eq!(kinds(&report), [&Warning::NothingToAttack]);
}

#[test]
fn a_random_model_is_attacked_in_expectation() {
    let demo = Demo::new();
    models::with_noise(&demo.path("model.onnx"));
    let flags = [
        "--attacks",
        "apgd-ce",
        "--eot",
        "3",
        "--steps",
        "5",
        "--first",
        "12",
        "--save-adversarial",
        "--curve",
    ];
    demo.run(&flags).success().stdout(contains("random operators"));
    let report = demo.report();
    let Some(Warning::Random { votes: 1000, nodes, .. }) = kinds(&report).into_iter().next() else {
        panic!("{:?}", report.warnings)
    };
    assert!(nodes[0].contains("RandomNormalLike"), "{nodes:?}");
    assert!(report.counts.broken > 0, "{:?}", report.counts);
    let replay = super::certify().arg("replay").arg(demo.path("out")).arg(demo.path("model.onnx")).assert();
    let broken = report.counts.broken;
    replay.success().stdout(contains(format!("confirmed {broken} of the {broken}")));
}

/// The margin in place of the ratio: two classes have no third logit.
#[test]
fn two_and_three_classes_work_and_the_report_says_how() {
    for classes in [2, 3] {
        let demo = Demo::new();
        models::with_first_classes(&demo.path("model.onnx"), classes);
        let data = first_classes(&demo, classes);
        let flags = ["--attacks", "apgd-dlr,apgd-t,fab-t", "--steps", "5", "--first", "20"];
        demo.run(&[&["--data", data.as_str()], &flags[..]].concat()).success();
        let report = demo.report();
        let margins: Vec<&str> = kinds(&report)
            .into_iter()
            .filter_map(|warning| match warning {
                Warning::MarginForRatio { attack, .. } => Some(attack.as_str()),
                _ => None,
            })
            .collect();
        let wanted: &[&str] = if classes == 2 { &["apgd-dlr", "apgd-t"] } else { &["apgd-t"] };
        assert_eq!(margins, wanted, "{classes} classes");
    }
}

/// Images of the first classes only.
fn first_classes(demo: &Demo, classes: u8) -> String {
    changed_images(demo, |images, labels| {
        let kept: Vec<usize> =
            (0..labels.len()).filter(|image| labels[*image] < i64::from(classes)).collect();
        *images = images.select(Axis(0), &kept);
        *labels = labels.select(Axis(0), &kept);
    })
}

#[test]
fn every_norm_runs_to_the_end() {
    let demo = Demo::new();
    for (norm, epsilon) in [("linf", "4/255"), ("l2", "0.5"), ("l1", "4")] {
        let flags =
            ["--norm", norm, "--epsilon", epsilon, "--steps", "5", "--queries", "30", "--first", "12"];
        demo.run(
            &[&flags[..], &["--attacks", "apgd-ce,apgd-dlr,apgd-t,fab,fab-t,square,pgd,fgsm,noise"]].concat(),
        )
        .success();
        let report = demo.report();
        assert_eq!((report.counts.non_finite, report.counts.unfinished), (0, 0), "{norm}");
        for outcome in &report.outcomes {
            if let Verdict::Broken { distance, .. } = outcome.verdict {
                assert!(distance <= report.threat_model.epsilon + 1e-6, "{norm}: {distance}");
            }
        }
    }
    assert!(Path::new(&demo.path("out/certificate.json")).exists());
}
