//! Stored counterexamples, and what happens to whoever changes one.

use std::fs;

use assert_cmd::assert::Assert;
use mimir_bundle::digest;
use ndarray::{Array1, Array4};
use ndarray_npy::{NpzReader, NpzWriter};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};

use super::{Demo, certify, models, root};

fn evaluated() -> Demo {
    let demo = Demo::new();
    demo.run(&["--save-adversarial"]).success();
    demo
}

fn replay(demo: &Demo) -> Assert {
    certify().arg("replay").arg(demo.path("out")).arg(demo.path("model.onnx")).assert()
}

/// Changes the stored images, and makes the certificate agree with the changed file.
fn tamper(demo: &Demo, change: impl FnOnce(&mut Array4<f32>, &mut Array1<u64>)) {
    let path = demo.path("out/adversarial.npz");
    let mut archive = NpzReader::new(fs::File::open(&path).unwrap()).unwrap();
    let mut images: Array4<f32> = archive.by_name("images").unwrap();
    let mut arrays = ["indices", "labels", "predictions"].map(|name| archive.by_name::<_, _>(name).unwrap());
    change(&mut images, &mut arrays[0]);
    let mut archive = NpzWriter::new(fs::File::create(&path).unwrap());
    archive.add_array("images", &images).unwrap();
    for (name, array) in ["indices", "labels", "predictions"].iter().zip(&arrays) {
        archive.add_array(*name, array).unwrap();
    }
    archive.finish().unwrap();
    let mut certificate = demo.certificate();
    certificate.counterexamples.as_mut().unwrap().digest = digest::digest_bytes(&fs::read(&path).unwrap());
    fs::write(demo.path("out/certificate.json"), serde_json::to_string(&certificate).unwrap()).unwrap();
}

#[test]
fn every_counterexample_is_confirmed() {
    let demo = evaluated();
    let broken = demo.report().counts.broken;
    replay(&demo).success().stdout(starts_with(format!("PASS  confirmed {broken} of the {broken} ")));
}

#[test]
fn a_counterexample_that_does_not_hold_is_10() {
    type Change = fn(&mut Array4<f32>, &mut Array1<u64>);
    let cases: [(Change, &str); 4] = [
        (|images, _| images.index_axis_mut(ndarray::Axis(0), 0).fill(0.5), "the threat model allows"),
        (|images, _| images[[0, 0, 0, 0]] = -0.001, "outside [0, 1]"),
        (|_, indices| indices[0] = 1000, "no such image"),
        (
            |images, indices| {
                indices[1] = indices[0];
                let first = images.index_axis(ndarray::Axis(0), 0).to_owned();
                images.index_axis_mut(ndarray::Axis(0), 1).assign(&first);
            },
            "twice",
        ),
    ];
    for (change, expected) in cases {
        let demo = evaluated();
        tamper(&demo, change);
        replay(&demo)
            .code(10)
            .stdout(starts_with("FAIL").and(contains("not confirmed")).and(contains(expected)));
    }
}

/// The original in the place of its counterexample is classified correctly.
#[test]
fn an_original_is_no_counterexample() {
    let demo = evaluated();
    let mut archive =
        NpzReader::new(fs::File::open(root().join("examples/demo/images.npz")).unwrap()).unwrap();
    let originals: Array4<u8> = archive.by_name("images").unwrap();
    tamper(&demo, |images, indices| {
        let original = originals.index_axis(ndarray::Axis(0), usize::try_from(indices[0]).unwrap());
        images.index_axis_mut(ndarray::Axis(0), 0).assign(&original.mapv(|byte| f32::from(byte) / 255.0));
    });
    replay(&demo).code(10).stdout(contains("classifies it correctly"));
}

#[test]
fn another_model_is_3() {
    let demo = evaluated();
    models::with_softmax(&demo.path("model.onnx"));
    replay(&demo).code(3).stderr(contains("the certificate records"));
}

#[test]
fn files_that_do_not_belong_together_are_4() {
    let demo = evaluated();
    let npz = demo.path("out/adversarial.npz");
    let stored = fs::read(&npz).unwrap();
    fs::write(&npz, &stored[1..]).unwrap();
    replay(&demo).code(4).stderr(contains("adversarial.npz: SHA-256"));
    fs::write(&npz, stored).unwrap();

    let certificate = demo.path("out/certificate.json");
    let text = fs::read_to_string(&certificate).unwrap();
    for (from, to, expected) in [
        ("\"first\": 24", "\"first\": 23", "24 images of the first 23"),
        ("\"adversarial.npz\"", "\"../secret.npz\"", "is not the name of a file beside the certificate"),
        ("\"schema_version\": 4", "\"schema_version\": 9", "schema version 9"),
        ("\"schema_version\": 4", "\"schema_version\": 3", "does not bind the certificate to one model"),
        ("\"seed\": 0", "\"sead\": 0", "unknown field `sead`"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&certificate, text.replace(from, to)).unwrap();
        replay(&demo).code(4).stderr(contains(expected));
    }
}

#[test]
fn without_stored_counterexamples_there_is_nothing_to_replay() {
    let demo = Demo::new();
    demo.run(&[]).success();
    replay(&demo).code(4).stderr(contains("--save-adversarial"));
}
