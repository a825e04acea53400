//! Two reports, compared from their files.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};

use super::{Demo, certify, models};

/// The report of one run, and of one more after `change`, in folders of those names.
fn two_runs(demo: &Demo, change: impl FnOnce(&Demo)) -> [String; 2] {
    demo.run(&[]).success();
    let old = demo.path("old");
    std::fs::create_dir(&old).unwrap();
    std::fs::copy(demo.path("out/report.json"), old.join("report.json")).unwrap();
    change(demo);
    demo.run(&[]).success();
    [old, demo.path("out")].map(|folder| folder.display().to_string())
}

#[test]
fn two_reports_are_compared_image_by_image() {
    let demo = Demo::new();
    let [old, new] = two_runs(&demo, |demo| models::with_constant_logits(&demo.path("model.onnx")));
    let compare = |flags: &[&str]| certify().args(["compare", &old, &new]).args(flags).assert();
    compare(&[])
        .success()
        .stdout(starts_with("DONE  attacked accuracy").and(contains("p: McNemar's exact test")));
    compare(&["--format", "markdown"])
        .success()
        .stdout(starts_with("## DONE").and(contains("| clean accuracy |")));
    compare(&["--max-regression", "0"]).code(10).stdout(starts_with("FAIL"));
    compare(&["--max-regression", "1"]).success().stdout(starts_with("PASS"));
    compare(&["--max-regression", "1.5"]).code(2).stderr(contains("--max-regression 1.5: wanted a fraction"));
    compare(&["--gate-on", "lower"]).code(2).stderr(contains("--max-regression"));

    let output = compare(&["--format", "json"]).success().get_output().stdout.clone();
    let comparison: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!((&comparison["images"], &comparison["same_model"]), (&24.into(), &false.into()));
    let (then, now) = (&comparison["attacked"]["old"], &comparison["attacked"]["new"]);
    assert_eq!(now.as_f64().unwrap(), demo.report().attacked_accuracy);
    let change = comparison["attacked"]["difference"].as_f64().unwrap();
    assert!((change - (now.as_f64().unwrap() - then.as_f64().unwrap())).abs() < 1e-12);
    assert!(!comparison["changes"].as_array().unwrap().is_empty());

    // A report.json is as good as its folder, and a report compared with itself has no change.
    let file = demo.path("out/report.json").display().to_string();
    certify()
        .args(["compare", &file, &new, "--max-regression", "0"])
        .assert()
        .success()
        .stdout(starts_with("PASS").and(contains("±0.00")).and(contains("Both reports are of one model")));
}

#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let demo = Demo::new();
    demo.run(&[]).success();
    let old = demo.path("old.json").display().to_string();
    std::fs::copy(demo.path("out/report.json"), &old).unwrap();
    let out = demo.path("out").display().to_string();
    let refused = |message: &'static str| {
        certify().args(["compare", &old, &out]).assert().code(4).stderr(contains(message));
    };
    demo.run(&["--epsilon", "1/255"]).success();
    refused("the reports have different threat models: ");
    demo.run(&["--first", "20"]).success();
    refused("the reports have different images (SHA-256): ");
    demo.run(&["--epsilon", "-1"]).code(2);
    refused("the run failed and has no results");
    let text = std::fs::read_to_string(&old).unwrap();
    std::fs::write(
        demo.path("out/report.json"),
        text.replacen("\"schema_version\": ", "\"schema_version\": 9", 1),
    )
    .unwrap();
    refused("report has schema version 9");
    std::fs::write(
        demo.path("out/report.json"),
        text.replacen("\"attacked_accuracy\": 0", "\"attacked_accuracy\": 1", 1),
    )
    .unwrap();
    refused("report.json: the report contradicts itself");
    std::fs::remove_file(demo.path("out/report.json")).unwrap();
    refused("out/report.json: ");
    std::fs::write(demo.path("out/gates.json"), "{}").unwrap();
    refused("has the answers of several gates");
}
