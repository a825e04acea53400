//! What of a verdict is rounding: margins in float64.

use mimir_runtime::evaluate::Verdict;
use mimir_runtime::report::Report;

use super::Demo;

/// Margin in float32 and float64 of each clean image.
fn clean_margins(report: &Report) -> Vec<(Option<f32>, Option<f32>)> {
    report.outcomes.iter().map(|outcome| (outcome.clean_margin, outcome.clean_margin_float64)).collect()
}

/// Margin in float32 and float64 of each counterexample.
fn margins(report: &Report) -> Vec<(Option<f32>, Option<f32>)> {
    let broken = report.outcomes.iter().filter_map(|outcome| match outcome.verdict {
        Verdict::Broken { margin, margin_float64, .. } => Some((Some(margin), margin_float64)),
        _ => None,
    });
    broken.collect()
}

#[test]
fn every_outcome_has_its_margin_in_float32_and_float64() {
    let demo = Demo::new();
    demo.run(&[]).success();
    let report = demo.report();
    let (clean, broken) = (clean_margins(&report), margins(&report));
    assert!(!broken.is_empty());
    for (float32, float64) in clean.into_iter().chain(broken) {
        let (float32, float64) = (float32.unwrap(), float64.expect("the demo's operators exist in float64"));
        assert!((float32 - float64).abs() < 1e-4 * (1.0 + float32.abs()), "{float32} and {float64}");
    }
}

/// The margins of counterexamples are in the journal, those of clean images are computed again.
#[test]
fn a_resumed_run_has_the_same_margins() {
    let demo = Demo::new();
    demo.run(&[]).success();
    let first = demo.report();
    demo.run(&["--resume"]).success();
    assert_eq!(margins(&demo.report()), margins(&first));
    assert_eq!(clean_margins(&demo.report()), clean_margins(&first));
}
