//! What of a counterexample is rounding: its margin in float64.

use mimir_runtime::evaluate::Verdict;
use mimir_runtime::report::Report;

use super::Demo;

/// Margin in float32 and float64 of each broken image.
fn margins(report: &Report) -> Vec<(f32, Option<f32>)> {
    let broken = report.outcomes.iter().filter_map(|outcome| match outcome.verdict {
        Verdict::Broken { margin, margin_float64, .. } => Some((margin, margin_float64)),
        _ => None,
    });
    broken.collect()
}

#[test]
fn margins_of_an_ordinary_model_agree_in_float32_and_float64() {
    let demo = Demo::new();
    demo.run(&["--save-adversarial"]).success();
    let margins = margins(&demo.report());
    assert!(!margins.is_empty());
    for (float32, float64) in margins {
        let float64 = float64.expect("the demo has operators that ONNX Runtime knows in float64");
        assert!((float32 - float64).abs() < 1e-4 * (1.0 + float32.abs()), "{float32} and {float64}");
    }
}

#[test]
fn without_kept_points_there_is_no_margin_in_float64() {
    let demo = Demo::new();
    demo.run(&[]).success();
    let margins = margins(&demo.report());
    assert!(!margins.is_empty() && margins.iter().all(|(_, float64)| float64.is_none()), "{margins:?}");
}
