//! Attacks on features, and the list of what can be features.

use mimir_bundle::AttackSpec;
use mimir_bundle::attack::PgdMiSpec;
use mimir_runtime::report::{ErrorKind, Warning};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use super::journal::{cut_off, resume};
use super::{Demo, certify, models, root};

const ATTACKS: [&str; 8] =
    ["--attacks", "pgd-feature,pgd-mi,feature-ce", "--steps", "5", "--first", "24", "--epsilon", "4/255"];

fn listed(arguments: &[&str]) -> Value {
    let output = certify().arg("features").args(arguments).args(["--format", "json"]).assert().success();
    serde_json::from_slice(&output.get_output().stdout).unwrap()
}

#[test]
fn the_list_has_names_shapes_and_good_choices() {
    let demo = Demo::new();
    let model = demo.path("model.onnx").display().to_string();
    let list = listed(&[&model]);
    let features = list["features"].as_array().unwrap();
    assert!(features.len() > 2, "{list:#}");
    let defaults: Vec<&Value> = features.iter().filter(|feature| feature["is_default"] == true).collect();
    assert_eq!(defaults.len(), 1, "{list:#}");
    assert_eq!(defaults[0]["place"], "penultimate");
    let depths = features.iter().map(|feature| feature["depth"].as_f64().unwrap());
    assert!(depths.clone().all(|depth| depth > 0.0 && depth <= 1.0) && depths.is_sorted(), "{list:#}");
    for feature in features {
        let shape = feature["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap());
        assert_eq!(shape.product::<u64>(), feature["values"].as_u64().unwrap(), "{feature}");
    }
    let name = defaults[0]["name"].as_str().unwrap();
    certify()
        .args(["features", &model])
        .assert()
        .success()
        .stdout(contains(name).and(contains("what the last linear layer reads; default")));
    certify()
        .args(["features", &model, "--steps", "3"])
        .assert()
        .code(2)
        .stderr(contains("--steps has no effect with features"));
}

/// Files of other exporters: a Vision Transformer of TorchScript, and a residual network for one image.
#[test]
fn blocks_are_found_in_files_of_any_origin() {
    let blocks = |file: &str| {
        let path = root().join("tests/fixtures").join(file).display().to_string();
        let list = listed(&[&path]);
        let features = list["features"].as_array().unwrap().clone();
        features.into_iter().filter(|feature| feature["place"] == "block_output").collect::<Vec<_>>()
    };
    for file in ["vit_torchscript.onnx", "vit_dynamo.onnx", "resnet_batch1.onnx"] {
        let found = blocks(file);
        assert!(!found.is_empty(), "{file}");
        assert!(found.iter().all(|block| block["operator"] == "Add"), "{file}: {found:#?}");
    }
}

#[test]
fn a_run_says_which_tensor_and_which_images_and_does_not_depend_on_how_it_runs() {
    let demo = Demo::new();
    demo.run(&ATTACKS).success().stdout(contains("warning: the attacks on features moved the tensor"));
    let (report, certificate) = (demo.report(), demo.certificate());
    let chosen = report.warnings.iter().find_map(|notice| match &notice.warning {
        Warning::FeatureChosen { tensor, is_penultimate: true } => Some(tensor.clone()),
        _ => None,
    });
    let chosen = chosen.unwrap();
    assert_eq!(certificate.attacks.len(), 3);
    for attack in &certificate.attacks {
        assert_eq!(attack.parameters.feature(), Some(Some(chosen.clone())), "{attack:?}");
    }
    let AttackSpec::PgdMi(PgdMiSpec { reference_images, .. }) = &certificate.attacks[1].parameters else {
        panic!("{certificate:?}")
    };
    assert!(reference_images.len() == 16 && reference_images.iter().all(|image| *image < 24));
    assert!(report.counts.broken > 0, "{report}");

    // The same, named, in other batches, by one worker.
    let other = Demo::new();
    let how = ["--feature", &chosen, "--batch", "5", "--workers", "1"];
    other.run(&[&ATTACKS[..], &how].concat()).success();
    assert_eq!(other.report().outcomes, report.outcomes);
    let is_chosen = |warning: &Warning| matches!(warning, Warning::FeatureChosen { .. });
    assert!(!other.report().warnings.iter().any(|notice| is_chosen(&notice.warning)));
}

#[test]
fn a_run_that_was_cut_off_goes_on_and_another_tensor_is_another_run() {
    let flags =
        ["--attacks", "pgd-mi,feature-ce", "--steps", "5", "--first", "64", "--save-adversarial", "--quiet"];
    let whole = Demo::new();
    whole.run(&flags).success();
    let demo = cut_off(&flags);
    let list = listed(&[&demo.path("model.onnx").display().to_string()]);
    let first = list["features"][0]["name"].as_str().unwrap().to_owned();
    resume(&demo, &[&flags[..], &["--feature", &first]].concat())
        .code(2)
        .stderr(contains("belongs to another run").and(contains("attacks[0].feature is")));
    resume(&demo, &flags).success();
    assert_eq!(demo.timeless_report(), whole.timeless_report());
}

/// On both engines.
#[test]
fn a_tensor_that_is_not_there_is_named_with_the_nearest() {
    let demo = Demo::new();
    let list = listed(&[&demo.path("model.onnx").display().to_string()]);
    let known = list["features"][0]["name"].as_str().unwrap().to_owned();
    let mistyped = format!("{known}x");
    for flags in [&["--feature", mistyped.as_str()][..], &["--feature", &mistyped, "--engine", "rten"]] {
        demo.run(&[&ATTACKS[..], flags].concat()).code(2).stderr(
            contains(format!("makes a tensor `{mistyped}`; the nearest are `{known}`"))
                .and(contains("mimir-certify features MODEL")),
        );
        assert_eq!(demo.failure().error.kind, ErrorKind::Options);
    }
    demo.run(&["--feature", &known]).code(2).stderr(contains("--feature has no effect on apgd-ce"));
}

/// A check builds the graphs that a run would, and counts their passes.
#[test]
fn a_check_cuts_the_model_open_too() {
    let demo = Demo::new();
    let model = demo.path("model.onnx").display().to_string();
    certify()
        .args(["check", &model, "--attacks", "pgd-mi"])
        .assert()
        .success()
        .stdout(contains("built for pgd-mi"));
    certify()
        .args(["check", &model, "--attacks", "pgd-mi", "--feature", "nowhere"])
        .assert()
        .code(2)
        .stderr(contains("--feature: no operator"));
}

/// A flag that names a tensor which cannot be features is a mistake of the command line, whatever is wrong with the tensor; without a
/// tensor the model is at fault. Neither is told to go without gradients.
#[test]
fn a_named_tensor_that_cannot_be_features_is_2() {
    let demo = Demo::new();
    models::with_view_behind_and_constant_beside(&demo.path("model.onnx"));
    let list = listed(&[&demo.path("model.onnx").display().to_string(), "--mean", "0.5", "--std", "0.25"]);
    let names: Vec<&str> = list["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feature| feature["name"].as_str().unwrap())
        .collect();
    assert!(!names.contains(&"scores") && !names.iter().any(|name| name.starts_with("images/")), "{names:?}");
    for (tensor, wanted) in [
        ("scores", "holds the scores themselves"),
        ("flat", "whose gradient is zero"),
        ("nowhere", "no operator between"),
        ("viewed", "is the output with the scores"),
        ("images/Sub", "no operator between"),
    ] {
        demo.run(&[&ATTACKS[..], &["--feature", tensor]].concat())
            .code(2)
            .stderr(contains("--feature: ").and(contains(wanted)).and(contains("square").not()));
        assert_eq!(demo.failure().error.kind, ErrorKind::Options, "{tensor}");
    }
}

/// A model of one layer has nothing between images and scores.
#[test]
fn a_model_without_a_tensor_to_move_says_so() {
    let demo = Demo::new();
    models::of_one_layer(&demo.path("model.onnx"));
    let model = demo.path("model.onnx").display().to_string();
    certify()
        .args(["features", &model])
        .assert()
        .success()
        .stdout(contains("has no tensor between the images"));
    demo.run(&ATTACKS).code(3).stderr(contains("has no tensor between the images and the scores"));
}
