//! What cannot be evaluated: each with its exit code and a sentence that names the way out.

use std::fs;

use mimir_bundle::ImageShape;
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, certify, models};

#[test]
fn usage_errors_are_2() {
    let demo = Demo::new();
    let cases: [(&[&str], &str); 18] = [
        (&["--epsilon", "8"], "write --epsilon 8/255"),
        (&["--epsilon", "0"], "radius `0`: wanted a positive number"),
        (&["--norm", "l0"], "--norm l0: no attack here"),
        (&["--attacks", "apgd-cf"], "did you mean \"apgd-ce\"?"),
        (&["--attacks", "standrad"], "did you mean \"standard\"?"),
        (&["--attacks", "standard,pgd"], "standard is a preset"),
        (&["--attacks", "square", "--steps", "3"], "--steps has no effect on square"),
        (&["--queries", "3"], "--queries has no effect on apgd-ce: it applies to square"),
        (&["--steps", "0"], "steps is 0"),
        (&["--full"], "--full has no effect"),
        (&["--curve", "--min-attacked-accuracy", "0.5"], "add --full"),
        (&["--epsilom", "1"], "--epsilon"),
        (&["--batch", "100000000000"], "1 to 4096"),
        (&["--min-attacked-accuracy", "40"], "40 % is 0.40"),
        (&["--data", "cifar:x"], "cifar10, mnist, idx, folder, npz"),
        (&["--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (&["--first", "0"], "--first 0"),
        (&["--split", "train"], "--split train has no effect"),
    ];
    for (flags, expected) in cases {
        demo.run(flags).code(2).stderr(contains(expected)).stdout("");
    }
    assert!(!demo.path("out").exists(), "nothing was begun");
}

#[test]
fn normalisation_of_other_channels_is_2() {
    let demo = Demo::new();
    demo.run(&["--mean", "0.5,0.5", "--std", "0.2,0.2"])
        .code(2)
        .stderr(contains("2 values, the images 3 channels"));
}

#[test]
fn an_unknown_key_is_2_and_named() {
    let demo = Demo::new();
    fs::write(demo.path("mimir-certify.toml"), "min-atacked-accuracy = 0.4\n").unwrap();
    let named = contains("`min-atacked-accuracy`").and(contains("did you mean `min-attacked-accuracy`?"));
    demo.run(&[]).code(2).stderr(named.and(contains("mimir-certify.toml")));
}

/// Before the work: the model and the images that would fail later are not looked at.
#[test]
fn an_unwritable_report_folder_is_2_before_the_work() {
    let demo = Demo::new();
    fs::write(demo.path("out"), b"a file").unwrap();
    fs::write(demo.path("model.onnx"), b"not a model").unwrap();
    demo.run(&["--data", "npz:/nonexistent"]).code(2).stderr(contains("report folder"));
}

#[test]
fn models_that_are_not_classifiers_are_3() {
    type Change = fn(&std::path::Path);
    let cases: [(&str, Change, &str); 8] = [
        ("not an ONNX file", |path| fs::write(path, b"GIF89a").unwrap(), "model.onnx"),
        ("truncated", |path| fs::write(path, &fs::read(path).unwrap()[..1000]).unwrap(), "model.onnx"),
        ("absent", |path| fs::remove_file(path).unwrap(), "model.onnx"),
        ("not [N, K]", models::with_one_number_an_image, "[N, K]"),
        ("NaN weight", models::with_nan, "scaled/constant"),
        ("infinite logits", models::with_infinite_logits, "non-finite logits for all 24 images"),
        ("one class", models::with_one_class, "1 class"),
        ("random", models::with_noise, "use --attacks rand"),
    ];
    for (name, change, expected) in cases {
        let demo = Demo::new();
        change(&demo.path("model.onnx"));
        let output = demo.run(&[]).code(3).stdout("").get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        assert!(message.contains(expected), "{name}: {message}");
        assert_eq!(demo.failure().gate.exit_code, 3, "{name}");
        assert!(
            !demo.path("out/journal.bin").exists(),
            "{name}: an empty journal is in the way of the next run"
        );
    }
}

#[test]
fn images_that_do_not_fit_are_4() {
    const IMAGE: ImageShape = ImageShape { channels: 3, height: 24, width: 24 };
    let demo = Demo::new();
    let cases = [
        ("absent", None, "nothing.npz"),
        ("label 99", Some((IMAGE, 99, 0.5)), "label 99"),
        ("too large", Some((ImageShape { height: 25, ..IMAGE }, 0, 0.5)), "3 × 25 × 24"),
        ("grey", Some((ImageShape { channels: 1, ..IMAGE }, 0, 0.5)), "the model expects 3 × "),
        ("levels", Some((IMAGE, 0, 128.0)), "128"),
        ("NaN", Some((IMAGE, 0, f32::NAN)), "NaN"),
    ];
    for (name, content, expected) in cases {
        let path = demo.path("nothing.npz");
        let _ = fs::remove_file(&path);
        if let Some((image, label, pixel)) = content {
            let mut archive = NpzWriter::new(fs::File::create(&path).unwrap());
            let shape = (2, image.channels, image.height, image.width);
            archive.add_array("images", &Array4::from_elem(shape, pixel)).unwrap();
            archive.add_array("labels", &Array1::from_elem(2, label)).unwrap();
            archive.finish().unwrap();
        }
        let data = format!("npz:{}", path.display());
        let output = demo
            .run(&["--data", &data, "--first", "2", "--mean", "0.5", "--std", "0.25"])
            .code(4)
            .stdout("")
            .get_output()
            .stderr
            .clone();
        let message = String::from_utf8(output).unwrap();
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[test]
fn too_few_images_are_4() {
    Demo::new().run(&["--first", "1000000"]).code(4).stderr(contains("1000000"));
}

#[test]
fn a_missing_engine_is_70_and_names_the_ways_to_provide_it() {
    let demo = Demo::new();
    let ways = contains("make setup").and(contains("--onnxruntime"));
    demo.run(&["--onnxruntime", "/nonexistent/libonnxruntime.so"]).code(70).stderr(ways);
}

#[test]
fn a_missing_model_is_2() {
    certify().args(["--epsilon", "2/255"]).assert().code(2).stderr(contains("<MODEL>"));
}
