//! Bundles in place of models.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use image::{Rgb, RgbImage};
use mimir_bundle::bundle::{
    BUNDLE_FORMAT, BUNDLE_VERSION, Bundle, BundleManifest, Classes, FeatureTensor, InputFacts, MODEL,
    Provenance,
};
use mimir_bundle::certificate::{Certificate, Interpolation, Preprocessing, Resize, Tool};
use mimir_bundle::{Manifest, Normalisation};
use mimir_export::onnx::{Limits, read_model};
use mimir_export::{ImageClassifier, InputSpec};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::{Demo, certify, models, root};

/// The description of a model as it is found to be.
fn description(model: &Path, normalisation: Option<Normalisation>) -> BundleManifest {
    let file = read_model(model, &Limits::default()).unwrap();
    let spec = InputSpec { normalisation, ..InputSpec::default() };
    let classifier = ImageClassifier::new(file, &spec).unwrap();
    let Manifest { image, layout, pixel_type, channel_order, normalisation, classes, output_name, .. } =
        classifier.manifest().clone();
    BundleManifest {
        format: BUNDLE_FORMAT.into(),
        version: BUNDLE_VERSION.into(),
        architecture: None,
        input: InputFacts { image, layout, pixel_type, channel_order, range: [0.0, 1.0], normalisation },
        preprocessing: None,
        output: output_name,
        classes: Classes { count: classes, names: None },
        features: Vec::new(),
        provenance: Provenance {
            checkpoint: None,
            experiment: None,
            data: None,
            parent: None,
            tool: Tool { name: "a test".into(), version: "1".into(), commit: None },
            created_at: None,
        },
        files: Vec::new(),
    }
}

/// The demo's model, and the same as a bundle.
struct Bundled {
    demo: Demo,
    path: PathBuf,
}

impl Bundled {
    fn new(name: &str) -> Self {
        Self::changed(name, |_| {})
    }

    fn changed(name: &str, change: impl FnOnce(&mut BundleManifest)) -> Self {
        let demo = Demo::new();
        let normalisation = Normalisation::new([0.5; 3], [0.25; 3]);
        let mut description = description(&demo.path("model.onnx"), Some(normalisation));
        change(&mut description);
        let path = demo.path(name);
        write(&path, description, &demo.path("model.onnx"));
        Self { demo, path }
    }

    /// A run on few images with few steps, which says nothing of the model.
    fn run(&self, flags: &[&str]) -> Assert {
        let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
        let mut command = certify();
        command.arg(&self.path).args(["--data", &images, "--first", "24", "--attacks", "apgd-ce"]);
        command.args(["--steps", "10", "--report"]).arg(self.demo.path("out")).args(flags).assert()
    }

    fn open(&self) -> Bundle {
        Bundle::open(&self.path).unwrap()
    }

    /// Files that were set aside: `NAME.KIND-DIGEST.json`.
    fn beside(&self, kind: &str) -> Vec<PathBuf> {
        let start = format!("{}.{kind}-", self.path.file_name().unwrap().to_str().unwrap());
        let entries = fs::read_dir(self.demo.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_kept = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&start);
        entries.filter(is_kept).map(|path| path.canonicalize().unwrap()).collect()
    }
}

fn write(path: &Path, description: BundleManifest, model: &Path) {
    let files = [(MODEL.to_owned(), fs::read(model).unwrap().into())];
    Bundle::new(description, files).unwrap().write_new(path).unwrap();
}

#[test]
fn the_manifest_says_all_that_flags_say_of_a_file_and_the_bundle_gets_the_certificate() {
    for name in ["bundle", "model.mimir"] {
        let bundled = Bundled::new(name);
        bundled.demo.run(&[]).success();
        let of_the_file = bundled.demo.certificate();
        let written = match bundled.path.is_file() {
            true => format!("written into {}: certificate.json", bundled.path.display()),
            false => format!("written to {}/certificate.json", bundled.path.display()),
        };
        let written = contains(written);
        bundled.run(&["--epsilon", "8/255"]).success().stdout(written);
        let of_the_bundle = bundled.demo.certificate();
        assert_eq!(of_the_bundle.model, of_the_file.model);
        assert_eq!(of_the_bundle.counts, of_the_file.counts);
        let bundle = bundled.open();
        assert_eq!(bundle.certificates().len(), 1);
        assert_eq!(bundle.certificates()[0].certificate, of_the_bundle);
        let report = bundled.demo.path("out");
        certify().arg("verify").arg(&report).arg(&bundled.path).assert().success();
        certify().arg("check").arg(&bundled.path).assert().success().stdout(contains("mean 0.5"));
        bundled.run(&["--epsilon", "8/255", "--save-adversarial", "--keep-bundle"]).success();
        certify().arg("replay").arg(&report).arg(&bundled.path).assert().success().stdout(contains("PASS"));
    }
}

#[test]
fn each_threat_model_has_its_certificate_and_an_old_signature_is_set_aside() {
    for name in ["bundle", "model.mimir"] {
        let bundled = Bundled::new(name);
        bundled.run(&["--epsilon", "8/255"]).success();
        bundled.run(&["--epsilon", "4/255"]).success();
        let names = |bundle: &Bundle| {
            bundle.certificates().iter().map(|known| known.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&bundled.open()), ["certificate.json", "certificates/linf-4_255.json"]);
        Bundle::change(&bundled.path, |bundle| bundle.with_signature(&b"{}"[..])).unwrap();
        // Nothing is written where nothing is to be, and where the run was not complete.
        bundled.run(&["--epsilon", "8/255", "--keep-bundle"]).success();
        let replacing = ["--replace-certificate", "--min-attacked-accuracy", "1"];
        bundled.run(&[&["--epsilon", "8/255"], &replacing[..]].concat()).code(10);
        assert!(bundled.open().signature().is_some());
        let said = contains("in place of that of 20")
            .and(contains("which is now"))
            .and(contains("no longer signed"));
        bundled.run(&["--epsilon", "4/255", "--seed", "1", "--replace-certificate"]).success().stdout(said);
        assert_eq!(bundled.open().signature(), None);
        assert_eq!((bundled.beside("signature").len(), bundled.beside("certificate").len()), (1, 1));
        let kept = fs::read_to_string(&bundled.beside("certificate")[0]).unwrap();
        assert_eq!(Certificate::from_json(&kept).unwrap().seed, 0);
    }
}

/// A weaker run, and any other: no certificate takes the place of another unasked, and no work is done for nothing.
#[test]
fn a_certificate_of_the_same_threat_model_is_kept_unless_its_place_is_asked_for() {
    for name in ["bundle", "model.mimir"] {
        let bundled = Bundled::new(name);
        bundled.run(&["--epsilon", "8/255"]).success();
        let before = bundled.open();
        for flags in [&["--samples", "1"][..], &["--seed", "3"], &[]] {
            let weaker: &[&str] = if flags.contains(&"--samples") {
                &["--attacks", "noise"]
            } else {
                &["--attacks", "apgd-ce"]
            };
            let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
            let mut command = certify();
            command.arg(&bundled.path).args(["--data", &images, "--first", "12", "--epsilon", "8/255"]);
            let refused = command.args(weaker).args(flags).assert().code(2);
            let both = contains("is of the same threat model, Linf, epsilon 8/255")
                .and(contains("apgd-ce on 24 images of npz:"))
                .and(contains(format!("This run, {} on npz:", weaker[1])))
                .and(contains("--replace-certificate").and(contains("--keep-bundle")));
            refused.stderr(both);
        }
        assert_eq!(bundled.open(), before);
    }
    let bundled = Bundled::new("bundle");
    let both = ["--epsilon", "8/255", "--keep-bundle", "--replace-certificate"];
    bundled.run(&both).code(2).stderr(contains("give one of them"));
    bundled
        .demo
        .run(&["--replace-certificate"])
        .code(2)
        .stderr(contains("has no effect on a model that is no"));
}

#[test]
fn several_gates_of_one_threat_model_have_no_room_in_a_bundle() {
    let bundled = Bundled::new("bundle");
    let gate = |name: &str| format!("[[gate]]\nname = \"{name}\"\nnorm = \"linf\"\nepsilon = \"8/255\"\n");
    let config = bundled.demo.path("gates.toml");
    let images = root().join("examples/demo/images.npz");
    let head = format!("data = \"npz:{}\"\nfirst = 8\nattacks = [\"fgsm\"]\n", images.display());
    fs::write(&config, head.clone() + &gate("one") + &gate("two")).unwrap();
    let run = || certify().arg(&bundled.path).arg("--config").arg(&config).assert();
    run().code(2).stderr(contains("the gates `one` and `two` are of the same threat model"));
    fs::write(&config, head + &gate("one") + &gate("two").replace("8/255", "4/255")).unwrap();
    run().success();
    assert_eq!(bundled.open().certificates().len(), 2);
    // Of both, before the first one runs.
    run().code(2).stderr(contains("is of the same threat model"));
}

/// What was found is said and kept, also where the bundle was exchanged while its model was attacked.
#[test]
fn a_certificate_that_cannot_be_written_into_the_bundle_is_kept() {
    use mimir_certify::{BundleMode, CertifyOptions, ModelInput, certify};
    use mimir_runtime::evaluate::Silent;
    let bundled = Bundled::new("bundle");
    let images = format!("npz:{}", root().join("examples/demo/images.npz").display()).parse().unwrap();
    let ball = mimir_bundle::ThreatModel::new(mimir_bundle::Norm::Linf, 8.0 / 255.0).unwrap();
    let mut options = CertifyOptions::new(ModelInput::open(&bundled.path).unwrap(), images, ball);
    options.images.read.first = Some(8);
    options.attacks = vec![mimir_bundle::AttackSpec::named("fgsm").unwrap()];
    options.bundle = BundleMode::WriteCertificate;
    // Another program is faster.
    bundled.run(&["--epsilon", "8/255"]).success();
    let before = bundled.open();
    let certified = certify(&options, &Silent, &false.into()).unwrap();
    let unwritten = certified.unwritten.unwrap();
    assert!(unwritten.reason.contains("certificate.json: is of the same threat model"), "{unwritten}");
    assert_eq!(unwritten.place.as_ref(), bundled.beside("certificate").first());
    let kept = fs::read_to_string(unwritten.place.unwrap()).unwrap();
    assert_eq!(Certificate::from_json(&kept).unwrap(), certified.certificate.unwrap());
    assert_eq!(bundled.open(), before);
}

/// Garbage with the right digests, whatever is done with it.
#[test]
fn graphs_of_a_bundle_that_are_none_are_refused_by_every_command() {
    let bundled = Bundled::new("bundle");
    let description = bundled.open().manifest().clone();
    let model = fs::read(bundled.demo.path("model.onnx")).unwrap();
    let gradient = "gradient-cross-entropy.onnx";
    let cases: [(Vec<(&str, Vec<u8>)>, &str); 2] = [
        (vec![(MODEL, b"garbage".to_vec())], "model.onnx: is not an ONNX file"),
        (vec![(MODEL, model.clone()), (gradient, model)], "gradient-cross-entropy.onnx: its inputs are"),
    ];
    let key = bundled.demo.path("maker");
    certify().arg("keygen").arg(&key).assert().success();
    fs::write(bundled.demo.path("policy.toml"), "version = 1\nallow_anything = true\n").unwrap();
    for (files, wanted) in cases {
        let path = bundled.demo.path(&format!("{}.mimir", files.len()));
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.into()));
        Bundle::new(description.clone(), files).unwrap().write_new(&path).unwrap();
        let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
        let (key, public) = (key.with_extension("key"), key.with_extension("pub"));
        let policy = bundled.demo.path("policy.toml");
        let commands: [&[&std::ffi::OsStr]; 8] = [
            &["sign".as_ref(), path.as_ref(), "--key".as_ref(), key.as_ref()],
            &["verify".as_ref(), path.as_ref(), "--trust".as_ref(), public.as_ref()],
            &["check".as_ref(), path.as_ref()],
            &["check".as_ref(), path.as_ref(), "--policy".as_ref(), policy.as_ref()],
            &["describe".as_ref(), path.as_ref()],
            &["classify".as_ref(), path.as_ref(), "--data".as_ref(), images.as_ref()],
            &[
                "run".as_ref(),
                path.as_ref(),
                "--data".as_ref(),
                images.as_ref(),
                "--epsilon".as_ref(),
                "8/255".as_ref(),
            ],
            &["replay".as_ref(), bundled.demo.folder.path().as_ref(), path.as_ref()],
        ];
        for words in commands {
            certify().args(words).assert().code(3).stderr(contains(wanted));
        }
        for words in
            [&["show".as_ref(), path.as_os_str()][..], &["diff".as_ref(), path.as_ref(), path.as_ref()]]
        {
            super::export().args(words).assert().code(2).stderr(contains(wanted));
        }
    }
}

#[test]
fn a_flag_that_contradicts_the_manifest_is_an_error_that_names_both() {
    let bundled = Bundled::changed("bundle", |description| {
        description.preprocessing = Some(Preprocessing {
            resize: Some(Resize::ShorterSide(28)),
            crop: Some([24, 24]),
            interpolation: Interpolation::Bicubic,
        });
    });
    let cases: [(&[&str], &str, &str); 10] = [
        (&["--mean", "0.4", "--std", "0.25"], "--mean 0.4", "which says 0.5,0.5,0.5"),
        (&["--mean", "0.5", "--std", "0.2"], "--std 0.2", "which says 0.25,0.25,0.25"),
        (&["--channels", "bgr"], "--channels bgr", "which says rgb"),
        (&["--layout", "nhwc"], "--layout nhwc", "which says nchw"),
        (&["--input-shape", "3,32,32"], "--input-shape 3,32,32", "which says 3,24,24"),
        (&["--output", "scores"], "--output scores", "which says"),
        (&["--resize", "32"], "--resize 32", "which says 28"),
        (&["--crop", "28"], "--crop 28", "which says 24x24"),
        (&["--interpolation", "bilinear"], "--interpolation bilinear", "which says bicubic"),
        (&["--preset", "imagenet"], "--mean 0.485,0.456,0.406", "which says 0.5,0.5,0.5"),
    ];
    for (flags, given, known) in cases {
        let place = contains(format!("contradicts {}", bundled.path.join("manifest.json").display()));
        let error = contains(given).and(contains(known)).and(place);
        bundled.run(&[&["--epsilon", "8/255"], flags].concat()).code(2).stderr(error);
    }
    let agreeing =
        ["--mean", "0.5", "--std", ".25,.25,.25", "--resize", "28", "--crop", "24", "--channels", "rgb"];
    let shown = contains("resize = \"28\"").and(contains("interpolation = \"bicubic\""));
    bundled.run(&[&["--print-config"], &agreeing[..]].concat()).success().stdout(shown);
    let without = Bundled::new("bundle");
    let error = contains("--resize 28 contradicts").and(contains("which has none"));
    without.run(&["--epsilon", "8/255", "--resize", "28"]).code(2).stderr(error);
    without.run(&["--epsilon", "8/255", "--keep-bundle"]).success();
    without.demo.run(&["--keep-bundle"]).code(2).stderr(contains("--keep-bundle has no effect"));
}

#[test]
fn a_model_that_is_not_as_its_manifest_says_is_refused() {
    type Change = fn(&mut BundleManifest);
    let cases: [(Change, &str); 3] = [
        (|m| m.classes.count += 1, "model.onnx: the number of classes is"),
        (|m| m.output = "scores".into(), "`scores`"),
        (
            |m| m.features = vec![FeatureTensor { name: "tokens".into(), shape: vec![8] }],
            "model.onnx: has no tensor `tokens`, which manifest.json names under features",
        ),
    ];
    for (change, wanted) in cases {
        Bundled::changed("bundle", change).run(&["--epsilon", "8/255"]).code(3).stderr(contains(wanted));
    }
}

/// A bundle of a model that tells brightness, and pictures of each class that are larger than its input and differ in
/// their borders.
fn pictures(names: &[&str], rule: Option<Preprocessing>) -> (Demo, PathBuf) {
    let demo = Demo::new();
    models::telling_brightness(&demo.path("model.onnx"), [3, 4, 4], names.len());
    let mut description = description(&demo.path("model.onnx"), None);
    description.preprocessing = rule;
    description.classes.names = Some(names.iter().map(|name| (*name).to_owned()).collect());
    for (class, name) in names.iter().enumerate() {
        let folder = demo.path("images").join(name);
        fs::create_dir_all(&folder).unwrap();
        let level = (class * 255 / names.len()) as u8;
        for (number, side) in [8, 9, 12].into_iter().enumerate() {
            let inside = |at: u32| (side / 4..side - side / 4).contains(&at);
            let picture =
                RgbImage::from_fn(side, side + number as u32, |x, y| match inside(x) && inside(y) {
                    true => Rgb([level; 3]),
                    false => Rgb([255 - level; 3]),
                });
            picture.save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
    let path = demo.path("bundle");
    write(&path, description, &demo.path("model.onnx"));
    (demo, path)
}

fn run_on_pictures(demo: &Demo, model: &Path, flags: &[&str]) -> Assert {
    let mut command = certify();
    command.arg(model).args(["--config", "/dev/null", "--epsilon", "1/255", "--attacks", "fgsm", "--report"]);
    command.arg(demo.path("out")).arg("--data");
    command.arg(format!("folder:{}", demo.path("images").display())).args(flags).assert()
}

/// The classes of the model are not in the order of the folders.
const NAMES: [&str; 4] = ["wolf", "cat", "eel", "ant"];

#[test]
fn pictures_of_other_sizes_become_the_input_as_the_manifest_says() {
    let rule = Preprocessing {
        resize: Some(Resize::ShorterSide(8)),
        crop: Some([4, 4]),
        interpolation: Interpolation::Bicubic,
    };
    let (demo, bundle) = pictures(&NAMES, Some(rule));
    fs::write(demo.path("map.json"), format!("{NAMES:?}")).unwrap();
    let map = demo.path("map.json").display().to_string();
    let flags = ["--resize", "8", "--crop", "4", "--interpolation", "bicubic", "--class-map", &map];
    run_on_pictures(&demo, &demo.path("model.onnx"), &flags).success();
    let of_the_file = demo.report();
    run_on_pictures(&demo, &bundle, &[]).success();
    let of_the_bundle = demo.report();
    assert_eq!(of_the_bundle.data, of_the_file.data);
    assert_eq!((of_the_bundle.clean_accuracy, of_the_bundle.images), (1.0, 12));
    let certificate: Certificate = Bundle::open(&bundle).unwrap().certificates()[0].certificate.clone();
    assert_eq!(certificate.data.preprocessing, Some(rule));
    assert_eq!(certificate.data.class_map.unwrap()["wolf"], 0);

    // A class that the bundle does not know, among some that it knows.
    fs::rename(demo.path("images/eel"), demo.path("images/elk")).unwrap();
    let error =
        contains("names 3 of the 4 classes of the images, but not `elk`").and(contains("--class-map"));
    run_on_pictures(&demo, &bundle, &["--keep-bundle"]).code(4).stderr(error);
}

#[test]
fn without_a_rule_pictures_of_another_size_are_an_error_that_says_so() {
    let (demo, bundle) = pictures(&NAMES, None);
    let said = || contains("manifest.json").and(contains("has no `preprocessing`")).and(contains("--").not());
    run_on_pictures(&demo, &bundle, &[]).code(4).stderr(said());
    // All of one size, which is another than the input's.
    for name in NAMES {
        (1..3).for_each(|number| fs::remove_file(demo.path(&format!("images/{name}/{number}.png"))).unwrap());
    }
    let shapes = contains("the images are 3 × 8 × 8").and(contains("says 3 × 4 × 4"));
    run_on_pictures(&demo, &bundle, &[]).code(4).stderr(said().and(shapes));
}

#[test]
fn a_bundle_with_a_fault_is_refused_before_anything_runs() {
    let bundled = Bundled::new("bundle");
    let model = bundled.path.join("model.onnx");
    let mut bytes = fs::read(&model).unwrap();
    bytes[100] ^= 1;
    fs::write(&model, bytes).unwrap();
    let error = || contains("bundle: model.onnx: SHA-256 is").and(contains("but manifest.json lists"));
    bundled.run(&["--epsilon", "8/255"]).code(3).stderr(error());
    certify().arg("check").arg(&bundled.path).assert().code(3).stderr(error());
    certify().arg("verify").arg(bundled.demo.path("out")).arg(&bundled.path).assert().code(3).stderr(error());
    // A folder that is no bundle.
    certify()
        .arg(bundled.demo.folder.path())
        .assert()
        .code(3)
        .stderr(contains("manifest.json: is missing: this is no bundle"));
}

#[test]
fn a_report_in_a_bundle_is_refused_before_anything_is_moved() {
    let bundled = Bundled::new("bundle");
    bundled.run(&["--epsilon", "8/255"]).success();
    let before = bundled.open();
    for folder in [bundled.path.clone(), bundled.path.join("deeper/report")] {
        for keep in [&[][..], &["--keep-bundle"]] {
            let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
            let mut command = certify();
            command.arg(&bundled.path).args(["--data", &images, "--epsilon", "8/255", "--report"]);
            let run = command.arg(&folder).args(keep).assert();
            run.code(2).stderr(contains("it is in the bundle"));
            assert_eq!(bundled.open(), before);
        }
    }
}

#[test]
fn a_certificate_of_another_threat_model_is_never_overwritten() {
    let bundled = Bundled::new("bundle");
    for epsilon in ["2/255", "4/255"] {
        bundled.run(&["--epsilon", epsilon]).success();
    }
    // A name means nothing: the certificate of 4/255 under the name that one of 8/255 would get.
    let certificates = bundled.path.join("certificates");
    fs::rename(certificates.join("linf-4_255.json"), certificates.join("linf-8_255.json")).unwrap();
    bundled.run(&["--epsilon", "8/255"]).success();
    assert_eq!(bundled.open().certificates().len(), 3);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_bundle_in_one_file_stays_a_link() {
    let bundled = Bundled::new("bundle.mimir");
    let link = bundled.demo.path("link.mimir");
    std::os::unix::fs::symlink(&bundled.path, &link).unwrap();
    certify().args(["keygen"]).arg(bundled.demo.path("maker")).assert().success();
    certify().arg("sign").arg(&link).arg("--key").arg(bundled.demo.path("maker.key")).assert().success();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(bundled.open().signature().is_some());
}

#[test]
fn a_settings_file_that_contradicts_the_manifest_is_named() {
    let bundled = Bundled::new("bundle");
    let config = bundled.demo.path("settings.toml");
    fs::write(&config, "mean = [0.4]\nstd = [0.25]\n").unwrap();
    let flags = ["--epsilon", "8/255", "--config", config.to_str().unwrap()];
    bundled.run(&flags).code(2).stderr(contains(format!("mean 0.4 in {} contradicts", config.display())));
    bundled
        .run(&[&flags[..], &["--mean", "0.3"]].concat())
        .code(2)
        .stderr(contains("--mean 0.3 contradicts"));
}

#[test]
fn what_is_no_bundle_is_told_in_words() {
    let bundled = Bundled::new("bundle.mimir");
    let (model, key) = (bundled.demo.path("model.onnx"), bundled.demo.path("key"));
    certify().arg("keygen").arg(&key).assert().success();
    fs::write(bundled.demo.path("policy.toml"), "version = 1\nallow_anything = true\n").unwrap();
    let (private, public) = (key.with_extension("key"), key.with_extension("pub"));
    let policy = bundled.demo.path("policy.toml");
    let commands: [&[&std::ffi::OsStr]; 4] = [
        &["sign".as_ref(), model.as_ref(), "--key".as_ref(), private.as_ref()],
        &["verify".as_ref(), model.as_ref(), "--trust".as_ref(), public.as_ref()],
        &["describe".as_ref(), model.as_ref()],
        &["check".as_ref(), model.as_ref(), "--policy".as_ref(), policy.as_ref()],
    ];
    for words in commands {
        let said =
            contains("model.onnx: is an ONNX file, wanted a bundle").and(contains("mimir-export bundle"));
        certify().args(words).assert().code(3).stderr(said);
    }
    let twice = certify().arg("verify").arg(&bundled.path).arg(&bundled.path).assert();
    twice.code(4).stderr(contains("is a bundle in one file, wanted a certificate"));
    let zip = bundled.demo.path("bundle.zip");
    fs::copy(&bundled.path, &zip).unwrap();
    certify().arg("check").arg(&zip).assert().code(3).stderr(contains("is a ZIP archive"));
}

#[test]
fn a_check_names_the_order_of_colours_and_refuses_flags_without_effect() {
    let bundled = Bundled::changed("bundle", |m| m.input.channel_order = mimir_bundle::ChannelOrder::Bgr);
    let check = |flags: &[&str]| certify().arg("check").arg(&bundled.path).args(flags).assert();
    check(&[]).success().stdout(contains("NCHW, BGR (blue first)"));
    for flag in ["--min-attacked-accuracy=0.5", "--report=out", "--curve", "--deny-warnings", "--keep-bundle"]
    {
        let name = flag.split('=').next().unwrap();
        check(&[flag]).code(2).stderr(contains(format!("{name} has no effect with check")));
    }
}
