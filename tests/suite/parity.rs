//! The verdicts of the program beside those of the reference AutoAttack, image by image.
//!
//! Needs `../shared`, which has models that nobody here trained, CIFAR-10, and what the reference found (per image).
//! Where it is absent the tests say so and pass; on our own fixtures, gradients (`fixtures`) and the whole command
//! (`cli`) are tested everywhere.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use mimir_bundle::digest;
use mimir_runtime::evaluate::Verdict;
use mimir_runtime::report::Report;
use serde_json::Value;

const IMAGES: usize = 500;

/// How far the attacked accuracy may be from the reference's after the first attack: three images of 500.
const TOLERANCE_FIRST: f64 = 0.006;

/// And after all of them: one image.
const TOLERANCE: f64 = 0.002;

/// The standard preset, as in the fixtures.
const ATTACKS: [&str; 4] = ["apgd-ce", "apgd-t", "fab-t", "square"];

/// SHA-256 of the official `test_batch.bin`.
const TEST_BATCH: &str = "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b";

#[test]
fn a_vision_transformer_of_opset_9() {
    check("vit_pgd_2_3_16", ".2023,.1994,.2010", 301);
}

#[test]
fn a_residual_network_with_a_fixed_batch() {
    check("resnet_2b", ".2471,.2435,.2616", 345);
}

fn check(name: &str, std: &str, clean_correct: usize) {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("test_batch.bin"), cifar10_test_batch(&shared)).unwrap();
    let report = attack(&shared.join(format!("models/{name}.onnx")), std, folder.path());

    let fixture = std::fs::read(shared.join(format!("fixtures/autoattack-{name}-linf-2of255-first500.json")));
    let reference: Value = serde_json::from_slice(&fixture.unwrap()).unwrap();
    let clean: Vec<bool> =
        report.outcomes.iter().map(|image| Some(image.label) == image.clean_prediction).collect();
    assert_eq!(clean, flags(&reference["clean"]));
    assert_eq!(report.counts.clean_correct, clean_correct);

    for (attack, name) in report.attacks.iter().zip(ATTACKS) {
        let wanted = share(&flags(&reference["attacks"][name]["flags"]));
        let tolerance = if name == ATTACKS[0] { TOLERANCE_FIRST } else { TOLERANCE };
        let difference = attack.robust_accuracy - wanted;
        // A thousandth of an image for the rounding of fractions.
        assert!(difference.abs() <= tolerance + 1e-6, "after {name}: {} {wanted}", attack.robust_accuracy);
    }
    let robust: Vec<bool> =
        report.outcomes.iter().map(|image| image.verdict == Verdict::StillRobust).collect();
    let wanted = flags(&reference["attacks"][ATTACKS[ATTACKS.len() - 1]]["flags"]);
    let differing = robust.iter().zip(&wanted).filter(|(ours, theirs)| ours != theirs).count();
    assert!(differing <= IMAGES / 100, "{differing} verdicts differ");
}

fn share(flags: &[bool]) -> f64 {
    flags.iter().filter(|flag| **flag).count() as f64 / flags.len() as f64
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn shared() -> Option<PathBuf> {
    let shared = root().join("../shared");
    if !shared.join("fixtures").is_dir() {
        println!("skipped: {} is not there", shared.display());
        return None;
    }
    Some(shared)
}

fn attack(model: &Path, std: &str, folder: &Path) -> Report {
    let data = format!("cifar10:{}", folder.display());
    let report = folder.join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimir-certify-under-test"));
    command.arg(model).args(["--data", &data, "--first", &IMAGES.to_string(), "--quiet"]);
    command.args(["--mean", ".4914,.4822,.4465", "--std", std, "--epsilon", "2/255"]);
    command.args(["--attacks", &ATTACKS.join(",")]);
    command.arg("--report").arg(&report).assert().success();
    serde_json::from_slice(&std::fs::read(report.join("report.json")).unwrap()).unwrap()
}

fn flags(values: &Value) -> Vec<bool> {
    values.as_array().unwrap().iter().map(|flag| flag == 1).collect()
}

/// The official file, from a picture of 100 × 100 tiles of 32 × 32 and the labels of all six files.
fn cifar10_test_batch(shared: &Path) -> Vec<u8> {
    const TILE: u32 = 32;
    let folder = shared.join("data/cifar10");
    let tiles = image::open(folder.join("test_batch.webp")).unwrap().into_rgb8();
    let labels = std::fs::read(folder.join("labels-6x10000.bin")).unwrap();
    let mut records = Vec::with_capacity(10_000 * 3073);
    for (index, label) in (0..).zip(&labels[50_000..]) {
        let (left, top) = (index % 100 * TILE, index / 100 * TILE);
        records.push(*label);
        for channel in 0..3 {
            let rows = (top..top + TILE).flat_map(|y| (left..left + TILE).map(move |x| (x, y)));
            records.extend(rows.map(|(x, y)| tiles.get_pixel(x, y)[channel]));
        }
    }
    assert_eq!(digest::digest_bytes(&records), TEST_BATCH);
    records
}
