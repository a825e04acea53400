//! The answer in the forms that other programs read: of a run, and of its files later.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};

use super::{Demo, certify};

#[test]
fn a_run_and_its_files_say_the_same_in_every_form() {
    let demo = Demo::new();
    let out = demo.path("out").display().to_string();
    let forms = ["json", "markdown", "junit", "sarif"];
    for form in forms {
        let flags = ["--min-attacked-accuracy", "1", "--format", form];
        let run = demo.run(&flags).code(10).get_output().stdout.clone();
        let later = certify().args(["report", &out, "--format", form]).assert().success();
        assert!(!run.is_empty() && later.get_output().stdout == run, "{form}");
    }
    certify()
        .args(["report", &out, "--format", "text"])
        .assert()
        .success()
        .stdout(starts_with("FAIL  attacked accuracy"));
    let junit = certify().args(["report", &out, "--format", "junit"]).assert().success();
    junit.stdout(
        contains("<testcase name=\"attacked accuracy at least 100.00 %\"")
            .and(contains("<failure type=\"not met\"")),
    );
    let sarif = certify().args(["report", &out, "--format", "sarif"]).assert().success();
    let sarif: serde_json::Value = serde_json::from_slice(&sarif.get_output().stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "requirement/attacked-accuracy");
    assert_eq!(sarif["runs"][0]["invocations"][0]["exitCode"], 10);
    demo.run(&["--json", "--format", "junit"]).code(2).stderr(contains("--format"));
}

#[test]
fn a_run_that_failed_has_every_form_too() {
    let demo = Demo::new();
    std::fs::create_dir(demo.path("out")).unwrap();
    demo.run(&["--epsilon", "-1"]).code(2);
    let out = demo.path("out").display().to_string();
    for (form, expected) in [
        ("text", "ERROR  no answer"),
        ("json", "\"kind\": \"options\""),
        ("markdown", "## ERROR  no answer"),
        ("junit", "<error type=\"options\""),
        ("sarif", "toolExecutionNotifications"),
    ] {
        certify().args(["report", &out, "--format", form]).assert().success().stdout(contains(expected));
    }
    std::fs::write(demo.path("out/report.json"), "{}").unwrap();
    certify().args(["report", &out]).assert().code(4).stderr(contains("report.json: not a report"));
}

#[test]
fn the_summary_of_a_pipeline_gets_every_answer() {
    let demo = Demo::new();
    let summary = demo.path("summary.md");
    let run =
        |flags: &[&str]| certify().args(demo.arguments(flags)).env("GITHUB_STEP_SUMMARY", &summary).assert();
    run(&[]).success();
    run(&["--min-attacked-accuracy", "1"]).code(10);
    run(&["--data", "npz:/nonexistent.npz"]).code(4);
    let text = std::fs::read_to_string(&summary).unwrap();
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
    assert_eq!(headings.len(), 3, "{text}");
    for (heading, expected) in headings.iter().zip(["## DONE", "## FAIL", "## ERROR"]) {
        assert!(heading.starts_with(expected), "{heading}");
    }
    // What cannot be written there changes no answer.
    let folder = demo.folder.path().to_owned();
    certify()
        .args(demo.arguments(&[]))
        .env("GITHUB_STEP_SUMMARY", folder)
        .assert()
        .success()
        .stderr(contains("warning: GITHUB_STEP_SUMMARY"));
}

#[test]
fn several_gates_are_several_suites() {
    let demo = Demo::new();
    let gates = "[[gate]]\nnorm = \"linf\"\nepsilon = \"1/255\"\nmin-attacked-accuracy = 0.01\n\
        [[gate]]\nname = \"far\"\nnorm = \"l2\"\nepsilon = 0.5\nmin-attacked-accuracy = 1.0\n";
    std::fs::write(demo.path("gates.toml"), gates).unwrap();
    let config = demo.path("gates.toml").display().to_string();
    let mut arguments = demo.arguments(&["--config", &config, "--first", "12", "--format", "junit"]);
    let epsilon = arguments.iter().position(|argument| argument == "--epsilon").unwrap();
    arguments.drain(epsilon..epsilon + 2);
    let suites = contains("<testsuites name=\"mimir-certify\" tests=\"2\" failures=\"1\" errors=\"0\"")
        .and(contains("<testsuite name=\"far: model.onnx"));
    certify().args(&arguments).assert().code(10).stdout(suites);
    let out = demo.path("out").display().to_string();
    certify().args(["report", &out]).assert().code(4).stderr(contains("has the answers of several gates"));
    let far = demo.path("out/far").display().to_string();
    certify().args(["report", &far, "--format", "text"]).assert().success().stdout(starts_with("FAIL"));
}
