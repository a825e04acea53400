//! The gate, when it may end a run, and the curve.

use mimir_bundle::certificate::Extent;
use mimir_runtime::evaluate::Ending;
use mimir_runtime::report::Conclusion;
use predicates::str::{contains, starts_with};

use super::Demo;

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
