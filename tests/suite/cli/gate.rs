//! The gate, when it may end a run, and the curve.

use mimir_bundle::certificate::Extent;
use mimir_runtime::evaluate::Ending;
use mimir_runtime::report::Conclusion;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};

use super::{Demo, models};

#[test]
fn the_gate_answers_in_text_json_and_exit_code() {
    let demo = Demo::new();
    let cases = [("0", 0, "PASS", Conclusion::Holds), ("1", 10, "FAIL", Conclusion::DoesNotHold)];
    for (least, exit_code, word, conclusion) in cases {
        demo.run(&["--min-attacked-accuracy", least]).code(exit_code).stdout(starts_with(word));
        let gate = demo.report().gate;
        assert_eq!((gate.conclusion, i32::from(gate.exit_code)), (conclusion, exit_code));
    }
}

/// 24 images: the lower limit of what is found is far below it.
#[test]
fn a_gate_on_the_lower_limit_may_be_inconclusive() {
    let demo = Demo::new();
    demo.run(&[]).success();
    let found = demo.report().attacked_accuracy;
    let between = (found - 0.02).to_string();
    demo.run(&["--min-attacked-accuracy", &between]).success();
    let flags = ["--min-attacked-accuracy", &between, "--gate-on", "lower"];
    demo.run(&flags).code(11).stdout(starts_with("INCONCLUSIVE").and(contains("interval reaches down to")));
    let gate = demo.report().gate;
    assert_eq!((gate.conclusion, gate.exit_code, gate.confidence), (Conclusion::Inconclusive, 11, 0.95));
    assert!(gate.lower_limit < found - 0.02, "{gate:?}");
    let above = (found + 0.05).to_string();
    demo.run(&["--min-attacked-accuracy", &above, "--gate-on", "lower"]).code(10);
}

#[test]
fn the_clean_accuracy_can_be_required() {
    let demo = Demo::new();
    demo.run(&["--min-clean-accuracy", "0.01"]).success().stdout(starts_with("PASS"));
    let clean = demo.report().clean_accuracy;
    models::with_constant_logits(&demo.path("model.onnx"));
    let least = clean.to_string();
    demo.run(&["--min-clean-accuracy", &least]).code(10).stdout(starts_with("FAIL  clean accuracy"));
}

/// Constant logits have no gradients, and are right for one class.
#[test]
fn warnings_can_be_denied() {
    let demo = Demo::new();
    models::with_constant_logits(&demo.path("model.onnx"));
    let flags = ["--min-attacked-accuracy", "0.01", "--steps", "3"];
    demo.run(&flags).success().stdout(starts_with("PASS"));
    demo.run(&[&flags[..], &["--deny-warnings"]].concat()).code(11).stdout(starts_with("INCONCLUSIVE"));
    let gate = demo.report().gate;
    assert!(gate.deny_warnings && !gate.weakened_by.is_empty(), "{gate:?}");
}

#[test]
fn a_gate_with_fewer_attacks_than_required_is_refused() {
    let demo = Demo::new();
    let flags = ["--min-attacked-accuracy", "0.01", "--min-preset", "standard"];
    demo.run(&flags).code(2).stderr(contains("--min-preset: the gate asks for the attacks of standard"));
    let report = std::fs::read_to_string(demo.path("out/report.json")).unwrap();
    assert!(
        report.contains("\"conclusion\": \"error\"") && !demo.path("out/certificate.json").exists(),
        "{report}"
    );
}

#[test]
fn a_baseline_is_compared_image_by_image() {
    let demo = Demo::new();
    demo.run(&[]).success();
    let old = demo.path("old.json");
    std::fs::copy(demo.path("out/report.json"), &old).unwrap();
    let old = old.display().to_string();
    demo.run(&["--baseline", &old]).success().stdout(starts_with("PASS"));
    let comparison = demo.report().gate.baseline.unwrap();
    assert_eq!((comparison.newly_broken, comparison.newly_robust), (vec![], vec![]));
    assert_eq!((comparison.p_value, comparison.regressed), (1.0, false));

    demo.run(&["--baseline", &old, "--seed", "1", "--steps", "9"])
        .code(2)
        .stderr(contains("set of parameters"));
    demo.run(&["--baseline", &old, "--first", "20"])
        .code(2)
        .stderr(contains("another set of images (SHA-256)"));
    models::with_constant_logits(&demo.path("model.onnx"));
    demo.run(&["--baseline", &old]).code(10).stdout(starts_with("FAIL"));
    assert!(demo.report().gate.baseline.unwrap().regressed);
    demo.run(&["--baseline", &old, "--baseline-tolerance", "1"]).success();
    std::fs::write(demo.path("bad.json"), "{\"schema_version\": 6}").unwrap();
    let bad = demo.path("bad.json").display().to_string();
    demo.run(&["--baseline", &bad]).code(2).stderr(contains("bad.json").and(contains("not a report")));
}

#[test]
fn several_gates_have_a_report_each_and_the_worst_answer_counts() {
    let demo = Demo::new();
    let gates = "[[gate]]\nnorm = \"linf\"\nepsilon = \"1/255\"\nmin-attacked-accuracy = 0.01\n\
        [[gate]]\nname = \"far\"\nnorm = \"l2\"\nepsilon = 0.5\nmin-attacked-accuracy = 1.0\n";
    std::fs::write(demo.path("gates.toml"), gates).unwrap();
    let config = demo.path("gates.toml").display().to_string();
    let mut arguments = demo.arguments(&["--config", &config, "--first", "12"]);
    let epsilon = arguments.iter().position(|argument| argument == "--epsilon").unwrap();
    arguments.drain(epsilon..epsilon + 2);
    let passes = contains("gate linf-1-255\n\nPASS").and(contains("gate far\n\nFAIL"));
    super::certify().args(&arguments).assert().code(10).stdout(passes);
    for folder in ["linf-1-255", "far"] {
        assert!(demo.path("out").join(folder).join("certificate.json").exists(), "{folder}");
    }
    let text = std::fs::read_to_string(demo.path("out/gates.json")).unwrap();
    let answers: serde_json::Value = serde_json::from_str(&text).unwrap();
    let codes = [&answers["exit_code"], &answers["gates"][0]["exit_code"], &answers["gates"][1]["exit_code"]];
    assert_eq!(codes.map(|code| code.as_u64().unwrap()), [10, 0, 10]);
    arguments.extend(["--epsilon".to_owned(), "1/255".to_owned()]);
    super::certify()
        .args(&arguments)
        .assert()
        .code(2)
        .stderr(contains("epsilon has no effect beside [[gate]]"));
}

/// One worker with small batches, so that something is left when the answer is certain.
const SMALL_BATCHES: [&str; 9] =
    ["--first", "96", "--workers", "1", "--threads", "1", "--batch", "4", "--steps"];

#[test]
fn a_run_ends_when_the_answer_is_certain_unless_all_is_wanted() {
    let demo = Demo::new();
    demo.run(&[&SMALL_BATCHES[..], &["20"]].concat()).success();
    let all = demo.report();
    assert_eq!((all.ending, all.counts.unfinished), (Ending::Complete, 0));
    // A tenth of the images away from what is found: certain long before the end, in both directions.
    for (least, exit_code, conclusion) in [
        (all.attacked_accuracy + 0.1, 10, Conclusion::DoesNotHold),
        (all.attacked_accuracy - 0.1, 0, Conclusion::Holds),
    ] {
        let least = least.to_string();
        let flags = [&SMALL_BATCHES[..], &["20", "--min-attacked-accuracy", &least]].concat();
        demo.run(&flags).code(exit_code);
        let early = demo.report();
        assert_eq!((early.ending, early.gate.conclusion), (Ending::GateDecided, conclusion));
        assert!(early.counts.unfinished > 0, "{:?}", early.counts);
        assert!(early.gate.certain_accuracy <= all.attacked_accuracy, "{:?}", early.gate);
        assert!(early.attacked_accuracy >= all.attacked_accuracy, "{:?}", early.gate);
        assert_eq!(demo.certificate().extent, Extent::GateDecided);
        assert!(!demo.path("out/journal.bin").exists());

        demo.run(&[&flags[..], &["--full"]].concat()).code(exit_code);
        let full = demo.report();
        assert_eq!((full.ending, full.gate.conclusion), (Ending::Complete, conclusion));
        assert_eq!(full.outcomes, all.outcomes);
        assert_eq!(demo.certificate().extent, Extent::Complete);
    }
}

#[test]
fn the_curve_falls_and_meets_the_attacked_accuracy_at_epsilon() {
    let demo = Demo::new();
    demo.run(&["--curve", "--attacks", "apgd-ce,fab-t", "--steps", "15", "--first", "48"]).success();
    let report = demo.report();
    let curve = report.curve.unwrap();
    assert!(curve.len() > 16, "{curve:?}");
    assert_eq!((curve[0].epsilon, curve[0].attacked_accuracy), (0.0, report.clean_accuracy));
    assert!(curve.is_sorted_by(|near, far| near.epsilon < far.epsilon));
    assert!(curve.is_sorted_by(|near, far| near.attacked_accuracy >= far.attacked_accuracy), "{curve:?}");
    let at = |radius: f64| curve.iter().find(|point| (point.epsilon - radius).abs() < 1e-9).unwrap();
    assert_eq!(at(report.threat_model.epsilon).attacked_accuracy, report.attacked_accuracy);
    let half = at(report.threat_model.epsilon / 2.0).attacked_accuracy;
    assert!(report.attacked_accuracy < half && half < report.clean_accuracy, "{curve:?}");

    demo.run(&["--attacks", "apgd-ce,fab-t", "--steps", "15", "--first", "48", "--epsilon", "4/255"])
        .success();
    let alone = demo.report().attacked_accuracy;
    assert!((half - alone).abs() <= 2.0 / 48.0, "{half} on the curve, {alone} in a run with that radius");
}

/// The store of counterexamples needs no folder.
#[test]
fn a_curve_works_without_a_report() {
    let demo = Demo::new();
    let mut arguments = demo.arguments(&["--curve", "--first", "12"]);
    arguments.truncate(arguments.len() - 2);
    super::certify().args(arguments).assert().success().stdout(contains("attacked accuracy"));
    assert!(!demo.path("out").exists());
}
