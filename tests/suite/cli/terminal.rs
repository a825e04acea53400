//! What a user sees beside the summary: progress, JSON, a time limit, completions, and what a check says.

use mimir_runtime::evaluate::Ending;
use mimir_runtime::report::Report;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};
use serde_json::Value;

use super::{Demo, certify, root};

#[test]
fn an_attack_says_beforehand_how_many_passes_it_may_take() {
    let demo = Demo::new();
    // 24 images at most, a start and ten steps with forward and backward pass: 22 passes an image.
    demo.run(&[]).success().stderr(contains("apgd-ce: ").and(contains(" passes, at most ")));
    let clean = demo.report().counts.clean_correct;
    demo.run(&[]).stderr(contains(format!("at most {} passes", 22 * clean)));
}

#[test]
fn verbose_tells_every_step_and_changes_no_answer() {
    let demo = Demo::new();
    let steps =
        contains("engine: onnxruntime").and(contains("sessions: batches of")).and(contains("attack: "));
    demo.run(&["-v"]).success().stderr(steps).stdout(starts_with("DONE"));
    demo.run(&["-v", "--quiet"]).code(2).stderr(contains("--quiet and --verbose"));
}

#[test]
fn json_on_standard_output_is_the_report() {
    let demo = Demo::new();
    let run = demo.run(&["--json"]).success();
    let printed: Report = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(printed.outcomes, demo.report().outcomes);
}

#[test]
fn a_time_limit_interrupts_in_order_and_the_run_goes_on_later() {
    let demo = Demo::new();
    // Minutes of work on the fastest machine, and time for the slowest to begin it.
    let flags =
        ["--attacks", "apgd-ce,apgd-t,square", "--steps", "2000", "--queries", "200000", "--first", "240"];
    demo.run(&[&flags[..], &["--time-limit", "6s"]].concat()).code(75).stdout(contains("--resume"));
    assert_eq!(demo.report().ending, Ending::Interrupted);
    let small = ["--attacks", "apgd-ce", "--time-limit", "5m"];
    demo.run(&["--time-limit", "soon"]).code(2).stderr(contains("wanted 90s, 45m or 1h30m"));
    let other = Demo::new();
    other.run(&small).success();
    assert_eq!(other.report().ending, Ending::Complete);
}

#[test]
fn completions_and_manual_pages() {
    certify().args(["completions", "bash"]).assert().success().stdout(contains("--min-attacked-accuracy"));
    let folder = tempfile::tempdir().unwrap();
    certify().arg("man").arg(folder.path()).assert().success().stdout(contains("written to"));
    assert!(folder.path().join("mimir-certify-replay.1").is_file());
}

#[test]
fn a_check_says_what_a_model_is_without_images() {
    let demo = Demo::new();
    let facts = contains("NCHW, pixels in [0, 1]").and(contains("6 classes, logits"));
    let cost = contains("gradients          built for apgd-ce, apgd-t, fab-t, square");
    let run = certify().arg("check").arg(demo.path("model.onnx")).args(["--config", "/dev/null"]).assert();
    run.success().stdout(facts.and(cost).and(contains("clean accuracy").not()));
    assert!(!demo.path("out").exists());
}

/// People compare it with `sha256sum`, and with the summary of a run.
#[test]
fn a_check_and_a_run_show_the_digest_of_the_file() {
    let demo = Demo::new();
    demo.run(&[]).success();
    let digest = demo.certificate().model.files[0].sha256.clone();
    let shown = format!("(sha256 {}…)", &digest[..12]);
    demo.run(&[]).success().stdout(contains(shown.clone()));
    let check = certify().arg("check").arg(demo.path("model.onnx")).args(["--config", "/dev/null"]).assert();
    check.success().stdout(contains(shown));
}

#[test]
fn a_check_finds_a_normalisation_that_was_forgotten() {
    let demo = Demo::new();
    let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
    let check = |flags: &[&str]| {
        let mut command = certify();
        command.arg("check").arg(demo.path("model.onnx")).args(["--config", "/dev/null", "--data", &images]);
        command.args(flags).assert().success()
    };
    let forgotten = check(&["--json"]);
    let found: Value = serde_json::from_slice(&forgotten.get_output().stdout).unwrap();
    let on_images = &found["on_images"];
    let number = |value: &Value| value.as_u64().unwrap();
    let suspicious = &on_images["suspicious_normalisation"];
    assert!(number(&suspicious["correct"]) > number(&on_images["correct"]) + 20, "{on_images:#}");
    let right = check(&["--mean", "0.5", "--std", "0.25"]);
    right.stdout(contains("no customary one makes the model better").and(contains("at most ")));
}
