//! Attacks that take their way from another model.

use mimir_bundle::AttackSpec;
use mimir_bundle::attack::SurrogateModel;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, models};

/// A demo with a copy of its model beside it.
fn with_other() -> Demo {
    let demo = Demo::new();
    std::fs::copy(demo.path("model.onnx"), demo.path("other.onnx")).unwrap();
    demo
}

fn other(demo: &Demo) -> String {
    demo.path("other.onnx").display().to_string()
}

fn surrogate(demo: &Demo) -> SurrogateModel {
    let report = demo.report();
    let specs = report.attacks.iter().map(|attack| attack.parameters.clone());
    let mut transfer = specs.filter_map(|spec| match spec {
        AttackSpec::Transfer(transfer) => Some(transfer),
        _ => None,
    });
    transfer.next().and_then(|transfer| transfer.surrogate).expect("the attack names its surrogate")
}

/// Points of another model break this one; report and certificate say which model that was.
#[test]
fn points_of_a_surrogate_are_shown_to_the_model() {
    let demo = with_other();
    models::with_sign(&demo.path("model.onnx"));
    demo.run(&["--attacks", "transfer", "--surrogate", &other(&demo)]).success();
    let transferred = demo.report();
    let found = &transferred.attacks[0];
    assert!(found.broken > 0, "{found:?}");
    assert!(found.backwards > 0 && found.zero_gradients == 0);
    let facts = surrogate(&demo);
    assert_eq!((facts.file.as_str(), facts.normalisation.is_some()), ("other.onnx", true));
    assert_ne!(facts.model_digest, demo.certificate().model.model_digest);
    assert_eq!(demo.certificate().attacks[0].parameters, found.parameters);
}

/// It comes after the attacks of a preset, which stays what it is.
#[test]
fn a_preset_with_a_surrogate_is_still_that_preset() {
    let demo = with_other();
    let flags = ["--attacks", "standard", "--steps", "2", "--queries", "3", "--first", "8"];
    demo.run(
        &[&flags[..], &["--surrogate", &other(&demo), "--surrogate-mean", "0", "--surrogate-std", "1"]]
            .concat(),
    )
    .success();
    let report = demo.report();
    let names: Vec<&str> = report.attacks.iter().map(|attack| attack.name.as_str()).collect();
    assert_eq!(names, ["apgd-ce", "apgd-t", "fab-t", "square", "transfer"]);
    assert_eq!(surrogate(&demo).normalisation.map(|it| (it.mean, it.std)), Some((vec![0.0], vec![1.0])));
}

#[test]
fn what_does_not_go_together_is_2_and_says_the_way_out() {
    let demo = with_other();
    let path = other(&demo);
    let run = |flags: &[&str]| demo.run(flags).code(2);
    run(&["--attacks", "transfer"]).stderr(contains("name it with --surrogate FILE"));
    run(&["--surrogate-mean", "0"]).stderr(contains("no effect without --surrogate"));
    run(&["--surrogate", &path, "--surrogate-std", "0.5"])
        .stderr(contains("--surrogate-std without --surrogate-mean"));
    models::with_first_classes(&demo.path("other.onnx"), 3);
    run(&["--surrogate", &path])
        .stderr(contains("--surrogate: the surrogate takes").and(contains("has 3 classes")));
    std::fs::write(demo.path("other.onnx"), b"no model").unwrap();
    demo.run(&["--surrogate", &path]).failure().stderr(contains("--surrogate: "));
}
