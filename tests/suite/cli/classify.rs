//! `mimir-certify classify`: what a model says, without an attack.

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use super::{Demo, certify, root};

fn classify(demo: &Demo, flags: &[&str]) -> assert_cmd::assert::Assert {
    let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
    let model = demo.path("model.onnx");
    certify()
        .arg("classify")
        .arg(model)
        .args(["--data", &images, "--mean", "0.5", "--std", "0.25", "--engine", "rten"])
        .args(flags)
        .assert()
}

#[test]
fn classes_are_those_that_a_run_finds_on_clean_images() {
    let demo = Demo::new();
    let output = classify(&demo, &["--first", "24", "--json"]).success().get_output().stdout.clone();
    let found: Value = serde_json::from_slice(&output).unwrap();
    demo.run(&["--first", "24", "--attacks", "noise"]).success();
    let report = demo.report();
    assert_eq!(report.outcomes.len(), 24);
    for (image, outcome) in found["images"].as_array().unwrap().iter().zip(&report.outcomes) {
        assert_eq!(image["class"].as_u64().map(|class| class as usize), outcome.clean_prediction);
        assert_eq!(image["label"], outcome.label);
        let probability = image["probability"].as_f64().unwrap();
        assert!(probability > 1.0 / 6.0 && probability <= 1.0, "{probability}");
    }
}

#[test]
fn text_names_each_image_and_counts() {
    let demo = Demo::new();
    classify(&demo, &["--first", "3"])
        .success()
        .stdout(contains("image 0: ").and(contains(" of 3 as labelled (")));
}

#[test]
fn images_are_required() {
    let demo = Demo::new();
    certify().arg("classify").arg(demo.path("model.onnx")).assert().code(2).stderr(contains("--data"));
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let demo = Demo::new();
    let cases: [&[&str]; 4] = [
        &["--min-clean-accuracy", "0.9"],
        &["--report", "out"],
        &["--epsilon", "1/255"],
        &["--policy", "policy.toml"],
    ];
    for flags in cases {
        classify(&demo, flags).code(2).stderr(contains(flags[0]));
    }
}

#[test]
fn classes_that_were_guessed_are_said() {
    let demo = Demo::new();
    let folder = demo.path("photos");
    for (class, level) in [("first", 40), ("second", 200)] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        let picture = image::RgbImage::from_pixel(24, 24, image::Rgb([level; 3]));
        picture.save(folder.join(class).join("0.png")).unwrap();
    }
    let run = |more: &[&str]| {
        let images = format!("folder:{}", folder.display());
        let mut command = certify();
        command.arg("classify").arg(demo.path("model.onnx")).args(["--data", &images, "--mean", "0.5"]);
        command.args(["--std", "0.25", "--engine", "rten"]).args(more).assert().success()
    };
    run(&[]).stdout(contains("warning: the images have 2 classes, the model 6").and(contains("--class-map")));
    let output = run(&["--json"]).get_output().stdout.clone();
    let found: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(found["warnings"].as_array().unwrap().len(), 1);
    let map = demo.path("map.txt");
    std::fs::write(&map, "first 4\nsecond 5\n").unwrap();
    run(&["--class-map", map.to_str().unwrap()]).stdout(contains("warning").not());
}
