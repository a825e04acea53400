//! `mimir-export bundle`: an ONNX file of any origin becomes a bundle.

use assert_cmd::assert::Assert;
use mimir_bundle::Normalisation;
use mimir_bundle::bundle::{Bundle, MODEL};
use mimir_export::onnx::{Limits, WeightFile, read_model};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, certify, export, root};

fn bundle(demo: &Demo, flags: &[&str]) -> Assert {
    let mut command = export();
    command.current_dir(demo.folder.path()).env("SOURCE_DATE_EPOCH", "1800000000");
    command.args(["bundle", "model.onnx", "--mean", "0.5", "--std", "0.25"]).args(flags).assert()
}

#[test]
fn the_file_stays_as_it_is_and_its_images_are_described() {
    let demo = Demo::new();
    std::fs::write(demo.path("names.txt"), "a\nb\nc\nd\ne\nf\n").unwrap();
    for output in ["bundle", "model.mimir"] {
        bundle(&demo, &["-o", output, "--classes", "names.txt", "--resize", "24x24"])
            .success()
            .stdout(contains("3 x 24 x 24, 6 classes"));
        let made = Bundle::open(&demo.path(output)).unwrap();
        let original = std::fs::read(demo.path("model.onnx")).unwrap();
        assert_eq!(made.file(MODEL).unwrap().bytes()[..], original);
        let manifest = made.manifest();
        assert_eq!(
            manifest.input.normalisation,
            Some(Normalisation { scale: 1.0, mean: vec![0.5], std: vec![0.25] })
        );
        assert_eq!(manifest.classes.names.as_ref().unwrap()[5], "f");
        assert!(manifest.preprocessing.is_some() && manifest.architecture.is_none());
        bundle(&demo, &["-o", output]).code(2).stderr(contains("--force"));
    }
    // What a flag says of the file, the bundle says now.
    let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
    let classify = |arguments: &[&str]| {
        let mut command = certify();
        command.current_dir(demo.folder.path()).arg("classify").args(arguments);
        let assert = command.args(["--data", &images, "--first", "5", "--json"]).assert().success();
        let found: serde_json::Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
        found["images"].clone()
    };
    assert_eq!(classify(&["model.mimir"]), classify(&["model.onnx", "--mean", "0.5", "--std", "0.25"]));
}

#[test]
fn a_bundle_is_written_in_the_other_form_with_all_its_files() {
    let demo = Demo::new();
    bundle(&demo, &["-o", "folder"]).success();
    let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
    let mut command = certify();
    command.current_dir(demo.folder.path()).args(["folder", "--data", &images, "--first", "12"]);
    command.args(["--epsilon", "8/255", "--attacks", "noise", "--quiet"]).assert().success();
    certify().arg("keygen").arg(demo.path("maker")).assert().success();
    certify()
        .arg("sign")
        .arg(demo.path("folder"))
        .arg("--key")
        .arg(demo.path("maker.key"))
        .assert()
        .success();
    let copy = |from: &str, to: &str, flags: &[&str]| {
        let mut command = export();
        command.current_dir(demo.folder.path()).args(["bundle", from, "-o", to]).args(flags).assert()
    };
    copy("folder", "one.mimir", &[]).success().stdout(contains("signature.json"));
    copy("one.mimir", "again", &[]).success();
    let whole = Bundle::open(&demo.path("folder")).unwrap();
    for other in ["one.mimir", "again"] {
        assert_eq!(Bundle::open(&demo.path(other)).unwrap(), whole);
        certify()
            .arg("verify")
            .arg(demo.path(other))
            .arg("--trust")
            .arg(demo.path("maker.pub"))
            .assert()
            .success();
    }
    assert_eq!(whole.certificates().len(), 1);
    copy("folder", "one.mimir", &[]).code(2).stderr(contains("--force"));
    for flags in [["--mean", "0.5"], ["--channels", "rgb"], ["--output-name", "logits"]] {
        let said = contains(format!("{} has no effect: folder is a bundle", flags[0]));
        copy("folder", "other.mimir", &flags).code(2).stderr(said);
    }
    // Another description is another bundle, which says of which one it was made.
    copy("folder", "child", &["--classes", "7"]).code(2).stderr(contains("the model has 6 classes"));
    copy("folder", "child", &["--interpolation", "bicubic"]).code(2).stderr(contains("without --resize"));
    let rule = ["--resize", "30", "--crop", "24", "--interpolation", "bicubic"];
    copy("one.mimir", "child", &rule).success().stdout(contains("stay there"));
    let child = Bundle::open(&demo.path("child")).unwrap();
    let digest =
        mimir_bundle::digest::digest_bytes(&std::fs::read(demo.path("folder/manifest.json")).unwrap());
    assert_eq!(child.manifest().provenance.parent.as_ref(), Some(&digest));
    assert!(child.manifest().preprocessing.is_some() && whole.manifest().preprocessing.is_none());
    assert_eq!(child.model_files(), whole.model_files());
    assert!(child.certificates().is_empty() && child.signature().is_none());
}

#[test]
fn weights_beside_the_file_come_along() {
    let demo = Demo::new();
    let file = read_model(&demo.path("model.onnx"), &Limits::default()).unwrap();
    for (location, is_known) in [("model.onnx.data", true), ("weights.bin", false)] {
        let mut weights = WeightFile::new(location);
        let model = weights.write_model(&file.graph).unwrap();
        std::fs::write(demo.path("model.onnx"), model).unwrap();
        std::fs::write(demo.path(location), weights.into_bytes()).unwrap();
        let made = bundle(&demo, &["-o", "bundle", "--force"]);
        if is_known {
            made.success();
            let bundle = Bundle::open(&demo.path("bundle")).unwrap();
            assert_eq!(
                bundle.file(location).unwrap().bytes()[..],
                std::fs::read(demo.path(location)).unwrap()
            );
        } else {
            made.code(2).stderr(contains("weights.bin").and(contains("model.onnx.data")));
        }
    }
}

#[test]
fn what_does_not_fit_the_file_is_refused() {
    let demo = Demo::new();
    std::fs::write(demo.path("names.txt"), "a\nb\n").unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["-o", "out.onnx"], "name a folder or NAME.mimir"),
        (&["-o", "b", "--classes", "7"], "--classes 7, but the model has 6 classes"),
        (&["-o", "b", "--classes", "names.txt"], "2 names of classes, but the model has 6 classes"),
        (&["-o", "b", "--input-shape", "3,32,32"], "said to be 3 x 32 x 32, but the model takes 3 x 24 x 24"),
        (&["-o", "b", "--resize", "24"], "--crop 24"),
        (&["-o", "b", "--output-name", "nothing"], "nothing"),
    ];
    for (flags, wanted) in cases {
        bundle(&demo, flags).code(2).stderr(contains(wanted));
        assert!(!demo.path("b").exists(), "{flags:?}");
    }
}
