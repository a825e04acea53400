//! Files of which the searched graphs would be another function.

use mimir_bundle::certificate::{APPROXIMATE_SEARCH, AcceptedDifference, ComparedQuantity};
use mimir_runtime::report::{ErrorKind, Warning};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, certify, root};

/// ONNX Runtime fuses the layer normalisation of this file, whose means keep no dimension, into one that normalises
/// otherwise; its own graph without optimisations says what ours do.
#[test]
fn a_file_that_the_engine_computes_otherwise_is_refused_and_can_be_accepted() {
    let demo = Demo::new();
    let fixture = |name: &str| root().join("tests/fixtures").join(name);
    std::fs::copy(fixture("ort_layernorm_keepdims0.onnx"), demo.path("model.onnx")).unwrap();
    let images = format!("npz:{}", fixture("ort_layernorm_keepdims0.npz").display());
    let run = |flags: &[&str]| {
        let model = demo.path("model.onnx");
        let mut command = certify();
        command.arg(&model).args([
            "--data",
            &images,
            "--epsilon",
            "0.1",
            "--attacks",
            "apgd-ce",
            "--steps",
            "3",
        ]);
        command.arg("--report").arg(demo.path("out")).args(flags).assert()
    };
    let said = contains(
        "not the function of the file: the graph `gradient of cross-entropy` has other scores in 8 of 8",
    );
    run(&[]).code(3).stdout("").stderr(said.and(contains("--accept-approximate")));
    assert_eq!(demo.failure().error.kind, ErrorKind::Model);

    run(&["--accept-approximate"])
        .success()
        .stdout(contains("warning: the graphs that were searched are not"));
    let (report, certificate) = (demo.report(), demo.certificate());
    let [AcceptedDifference { quantity, difference, explained, .. }] = &report.accepted_differences[..]
    else {
        panic!("{:?}", report.accepted_differences)
    };
    assert!(*quantity == ComparedQuantity::Scores && *difference > 0.1 && *explained < 0.01);
    assert_eq!(certificate.accepted_differences, report.accepted_differences);
    assert!(certificate.warnings.iter().any(|warning| warning.kind == APPROXIMATE_SEARCH));
    let is_warned = |warning: &Warning| matches!(warning, Warning::ApproximateSearch { .. });
    assert!(report.warnings.iter().any(|notice| is_warned(&notice.warning)));
    run(&["--accept-approximate", "--min-attacked-accuracy", "0", "--deny-warnings"]).code(11);
}

/// A check looks where a run would, with images and without.
#[test]
fn a_check_refuses_what_a_run_refuses_with_images_and_without() {
    let demo = Demo::new();
    let fixture = |name: &str| root().join("tests/fixtures").join(name);
    std::fs::copy(fixture("ort_layernorm_keepdims0.onnx"), demo.path("model.onnx")).unwrap();
    let images = format!("npz:{}", fixture("ort_layernorm_keepdims0.npz").display());
    let run = |flags: &[&str]| {
        let mut command = certify();
        command.arg("check").arg(demo.path("model.onnx")).args(["--attacks", "apgd-ce"]).args(flags).assert()
    };
    for flags in [&["--data", &images, "--epsilon", "0.1"][..], &[]] {
        let said =
            contains("not the function of the file: the graph `gradient of cross-entropy` has other scores");
        run(flags).code(3).stdout("").stderr(said.and(contains("--accept-approximate")));
        let accepted = run(&[flags, &["--accept-approximate"]].concat());
        accepted.success().stdout(contains("warning: the graphs that were searched are not"));
    }
    let text = run(&["--accept-approximate", "--json"]).success().get_output().stdout.clone();
    let checked: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(checked["accepted_differences"][0]["graph"], "gradient of cross-entropy");
}

/// What agrees needs no flag, and the flag says nothing of it.
#[test]
fn a_file_that_agrees_has_no_differences() {
    let demo = Demo::new();
    demo.run(&["--accept-approximate"]).success();
    assert_eq!(demo.report().accepted_differences, []);
    let text = std::fs::read_to_string(demo.path("out/certificate.json")).unwrap();
    assert!(!text.contains("accepted_differences"), "{text}");
}
