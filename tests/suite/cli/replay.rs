//! Stored counterexamples, and what happens to whoever changes one.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;

use assert_cmd::assert::Assert;
use mimir_bundle::digest;
use mimir_certify::{ReplayOptions, replay as replay_files};
use mimir_runtime::report::Conclusion;
use ndarray::{Array1, Array4};
use ndarray_npy::{NpzReader, NpzWriter};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};
use serde_json::Value;

use super::{Demo, certify, models, root};

fn evaluated() -> Demo {
    let demo = Demo::new();
    demo.run(&["--save-adversarial"]).success();
    demo
}

fn replay(demo: &Demo) -> Assert {
    certify().arg("replay").arg(demo.path("out")).arg(demo.path("model.onnx")).assert()
}

#[test]
fn one_counterexample_can_be_replayed_alone() {
    let demo = evaluated();
    let broken: Vec<usize> = demo
        .report()
        .outcomes
        .iter()
        .filter(|outcome| outcome.closest.is_some())
        .map(|outcome| outcome.image)
        .collect();
    let one = |image: usize| {
        let image = image.to_string();
        let mut command = certify();
        command.arg("replay").arg(demo.path("out")).arg(demo.path("model.onnx")).args(["--image", &image]);
        command.assert()
    };
    let last = *broken.last().unwrap();
    let note =
        format!("only the counterexample of image {last} was checked, of {} that are recorded", broken.len());
    one(last).success().stdout(starts_with("PASS  confirmed 1 of the 1").and(contains(note)));
    let robust = (0..24).find(|image| !broken.contains(image)).unwrap();
    one(robust).code(4).stderr(contains(format!("image {robust} has no counterexample here")));
    // The others may have been changed.
    tamper(&demo, |images, _| images.index_axis_mut(ndarray::Axis(0), 0).fill(0.5));
    one(last).success();
    one(broken[0]).code(10).stdout(starts_with("FAIL  confirmed 0 of the 1"));
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
    record_counterexamples(demo);
}

/// Makes the certificate agree with the file of counterexamples as it is now.
fn record_counterexamples(demo: &Demo) {
    let bytes = fs::read(demo.path("out/adversarial.npz")).unwrap();
    let mut certificate = demo.certificate();
    certificate.counterexamples.as_mut().unwrap().digest = digest::digest_bytes(&bytes);
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

/// The documented fields that no replay can check.
fn not_checked() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/certificate.md")).unwrap();
    let start = page.find("`replay` does not check: ").expect("the sentence");
    let sentence = page[start..].split_once(": ").unwrap().1.split(". ").next().unwrap();
    sentence.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every value in a document, by its path: `attacks[].parameters.rho`, and how to reach it.
fn leaves(value: &Value, path: &str, pointer: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(value, &path, &format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, &format!("{path}[]"), &format!("{pointer}/{index}"), found);
            }
        }
        _ => found.push((path.to_owned(), pointer.to_owned())),
    }
}

/// Another value of the same type; of what is absent, something.
fn another(value: &Value) -> Value {
    match value {
        Value::Null => Value::from("something"),
        Value::Bool(value) => Value::from(!value),
        Value::Number(number) if number.is_u64() => Value::from(number.as_u64().unwrap() + 1),
        Value::Number(number) => Value::from(number.as_f64().unwrap() * 1.5 + 1.0),
        // A digest stays one, and a time.
        Value::String(text) if text.len() == 64 => {
            Value::from(text.replace(&text[..1], if text.starts_with('0') { "1" } else { "0" }))
        }
        Value::String(text) if text.ends_with('Z') && text.len() == 20 => Value::from("2001-01-01T00:00:00Z"),
        Value::String(text) => Value::from(format!("{text}x")),
        other => panic!("{other}"),
    }
}

/// Each value of a certificate changed, one at a time: the replay does not pass, or the documentation lists the field among
/// those that it cannot check.
#[test]
fn every_changed_field_is_refused_or_listed() {
    let demo = Demo::new();
    demo.run(&["--save-adversarial", "--first", "12", "--min-attacked-accuracy", "0", "--full"]).success();
    let (path, listed) = (demo.path("out/certificate.json"), not_checked());
    let certificate: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let options = ReplayOptions::new(demo.path("out"), demo.path("model.onnx"));
    let passes = || replay_files(&options).is_ok_and(|replay| replay.conclusion() == Conclusion::Holds);
    assert!(passes(), "as it was written");
    let mut found = Vec::new();
    leaves(&certificate, "", "", &mut found);
    assert!(found.len() > 100, "{}", found.len());
    let is_listed = |field: &str| {
        let below = |listed: &&String| {
            field == *listed
                || field.starts_with(&format!("{listed}."))
                || field.starts_with(&format!("{listed}["))
        };
        listed.iter().find(below).cloned()
    };
    let (mut unlisted, mut used) = (Vec::new(), BTreeSet::new());
    for (field, pointer) in found {
        let mut changed = certificate.clone();
        let value = changed.pointer_mut(&pointer).unwrap();
        *value = another(value);
        fs::write(&path, changed.to_string()).unwrap();
        if passes() {
            match is_listed(&field) {
                Some(listed) => drop(used.insert(listed)),
                None => unlisted.push(field),
            }
        }
    }
    assert!(unlisted.is_empty(), "changed, and the replay passes: {unlisted:?}");
    assert!(used.len() >= 6, "few of {listed:?} can be changed: {used:?}");
    // Of the others a change of one value alone cannot be true, or this certificate has none.
    let schema = fs::read_to_string(root().join("docs/certificate.schema.json")).unwrap();
    let name = |field: &String| field.rsplit('.').next().unwrap().trim_end_matches("[]").to_owned();
    let foreign: Vec<&String> =
        listed.iter().filter(|field| !schema.contains(&format!("\"{}\"", name(field)))).collect();
    assert!(foreign.is_empty(), "no fields of a certificate: {foreign:?}");
}

/// Counts that agree with each other and not with the images.
#[test]
fn diluted_counts_are_4() {
    let demo = Demo::new();
    // All that there are, so that the place of the images says nothing of their number.
    demo.run(&["--save-adversarial", "--first", "240", "--attacks", "fgsm"]).success();
    let mut certificate = demo.certificate();
    certificate.counts.images = 1_000_000;
    certificate.data.first = None;
    let share = format!("{:.2} %", 100.0 * certificate.counts.still_robust as f64 / 1e6);
    let clean = format!("{:.2} %", 100.0 * certificate.counts.clean_correct as f64 / 1e6);
    certificate.gate.sentence = format!("DONE  attacked accuracy {share}, clean accuracy {clean}");
    fs::write(demo.path("out/certificate.json"), serde_json::to_string(&certificate).unwrap()).unwrap();
    replay(&demo).code(4).stderr(contains("counts.images is 1000000, but there are 240 images"));
}

/// One image more or less at first, in every field that follows from it.
#[test]
fn counts_that_the_model_does_not_give_are_10() {
    let demo = evaluated();
    let mut certificate = demo.certificate();
    let counts = &mut certificate.counts;
    (counts.clean_correct, counts.still_robust) = (counts.clean_correct - 1, counts.still_robust - 1);
    let attack = &mut certificate.attacks[0];
    (attack.attacked, attack.still_robust) = (attack.attacked - 1, attack.still_robust - 1);
    certificate.gate.sentence = "DONE  ".into();
    fs::write(demo.path("out/certificate.json"), serde_json::to_string(&certificate).unwrap()).unwrap();
    replay(&demo).code(10).stdout(starts_with("FAIL").and(contains("not so: counts.clean_correct is")));
}

#[test]
fn stored_labels_and_predictions_that_are_not_so_are_10() {
    for (array, said) in [("labels", "is stored with label"), ("predictions", "is stored with class")] {
        let demo = evaluated();
        let path = demo.path("out/adversarial.npz");
        let mut archive = NpzReader::new(fs::File::open(&path).unwrap()).unwrap();
        let images: Array4<f32> = archive.by_name("images").unwrap();
        let names = ["indices", "labels", "predictions"];
        let mut arrays: Vec<Array1<u64>> = names.iter().map(|name| archive.by_name(name).unwrap()).collect();
        let place = names.iter().position(|name| *name == array).unwrap();
        arrays[place][0] = (arrays[1][0] + arrays[2][0] + 1) % 1000;
        let mut archive = NpzWriter::new(fs::File::create(&path).unwrap());
        archive.add_array("images", &images).unwrap();
        for (name, array) in names.iter().zip(&arrays) {
            archive.add_array(*name, array).unwrap();
        }
        archive.finish().unwrap();
        record_counterexamples(&demo);
        replay(&demo).code(10).stdout(starts_with("FAIL").and(contains(said)));
    }
}

/// 2^40 images in a file of some hundred bytes.
#[test]
fn a_header_that_claims_a_terabyte_is_4() {
    let demo = evaluated();
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 3, 24, 24), }}\n", 1_u64 << 40);
    let mut archive = zip::ZipWriter::new(fs::File::create(demo.path("out/adversarial.npz")).unwrap());
    archive.start_file("images.npy", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
    archive.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
    archive.write_all(header.as_bytes()).unwrap();
    archive.finish().unwrap();
    record_counterexamples(&demo);
    replay(&demo).code(4).stderr(contains("images"));
}

#[test]
fn without_stored_counterexamples_there_is_nothing_to_replay() {
    let demo = Demo::new();
    demo.run(&[]).success();
    replay(&demo).code(4).stderr(contains("--save-adversarial"));
}
