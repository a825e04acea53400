//! Attacks that take their way from another model.

use mimir_bundle::AttackSpec;
use mimir_bundle::attack::SurrogateModel;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, certify, models};

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
    certify().arg("--help").assert().success().stdout(contains("Adds transfer after the other"));
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

/// A constant model is asked in vain, and the report says so.
#[test]
fn a_surrogate_that_guesses_weakens_the_verdict() {
    let demo = with_other();
    let flags = ["--attacks", "transfer", "--steps", "2", "--first", "60"];
    let useless =
        |demo: &Demo| demo.report().warnings.iter().any(|it| it.warning.kind() == "useless_surrogate");
    demo.run(&[&flags[..], &["--surrogate", &other(&demo)]].concat()).success();
    assert!(!useless(&demo), "{}", demo.report());
    // Two images tell nothing clearly, and all are right.
    let few = ["--attacks", "transfer", "--steps", "2", "--first", "2"];
    demo.run(&[&few[..], &["--surrogate", &other(&demo)]].concat()).success();
    assert!(demo.report().clean_accuracy == 1.0 && !useless(&demo), "{}", demo.report());
    models::with_constant_logits(&demo.path("other.onnx"));
    let run = demo.run(&[&flags[..], &["--surrogate", &other(&demo), "--deny-warnings"]].concat()).code(11);
    run.stdout(
        contains("the surrogate is right on").and(contains("surrogate          other.onnx (model_digest ")),
    );
    assert!(useless(&demo) && demo.report().gate.weakened_by.contains(&"useless_surrogate".to_owned()));
}

/// A surrogate that takes one image a call is asked in the batches of the model: the way out is the same as for the model.
#[test]
fn a_surrogate_of_a_fixed_batch_says_which_batch_suits_both() {
    let demo = with_other();
    models::mixing_images(&demo.path("other.onnx"));
    demo.run(&["--attacks", "transfer", "--surrogate", &other(&demo), "--batch", "5"]).code(2).stderr(
        contains("--surrogate: the model takes one image at a time, not 5; --batch 1 asks both models so"),
    );
    demo.run(&["--attacks", "transfer", "--steps", "2", "--surrogate", &other(&demo), "--batch", "1"])
        .success();
}

/// What a surrogate is called does not make another run of it, nor other attacks.
#[test]
fn a_surrogate_that_was_moved_is_the_same() {
    let flags = ["--attacks", "transfer", "--steps", "3", "--quiet"];
    let demo = with_other();
    demo.run(&[&flags[..], &["--surrogate", &other(&demo)]].concat()).success();
    std::fs::rename(demo.path("other.onnx"), demo.path("moved.onnx")).unwrap();
    let moved = demo.path("moved.onnx").display().to_string();
    let (old, new) = (demo.path("out").display().to_string(), demo.path("new").display().to_string());
    let baseline = format!("{old}/report.json");
    let again = ["--surrogate", &moved, "--baseline", &baseline, "--report", &new];
    demo.run(&[&flags[..], &again].concat()).success();
    certify().args(["compare", &old, &new, "--max-regression", "0"]).assert().success();
    let others = ["--surrogate", &moved, "--steps", "4", "--report", &new];
    demo.run(&[&["--attacks", "transfer", "--quiet"][..], &others].concat()).success();
    certify().args(["compare", &old, &new, "--max-regression", "0"]).assert().code(4).stderr(
        contains("different attacks: transfer with steps 3 in").and(contains("transfer with steps 4 in")),
    );
}
