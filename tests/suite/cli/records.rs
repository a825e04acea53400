//! What a run leaves behind cannot mislead: of which model and settings it is, and what a failed run shows.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use assert_cmd::assert::Assert;
use mimir_bundle::certificate::SettingsPlace;
use mimir_runtime::report::Warning;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};

use super::{Demo, certify, models};

/// A settings file that names everything that a stranger must not decide, and the normalisation, which it may.
const HOSTILE: &str = "onnxruntime = \"evil.so\"\nreport = \"stolen\"\nattacks = [\"noise\"]\nsamples = 1\nfirst = 8\n\
    data = \"npz:other.npz\"\nengine = \"ort\"\nmin-attacked-accuracy = 0.0\nepsilon = \"1/2550\"\nmean = [0.5]\nstd = [0.25]\n";

/// A run in `folder` with the model of that path. The normalisation is not given.
fn run_in(demo: &Demo, folder: &Path, model: &Path) -> Assert {
    let arguments = demo.arguments(&[]);
    let without = |flag: &str| arguments.iter().position(|argument| argument == flag).unwrap();
    let (mean, std) = (without("--mean"), without("--std"));
    let mut command = certify();
    command.current_dir(folder).arg(model);
    for (index, argument) in arguments.iter().enumerate().skip(1) {
        if ![mean, mean + 1, std, std + 1].contains(&index) {
            command.arg(argument);
        }
    }
    command.assert()
}

fn assert_described_only(demo: &Demo, assert: Assert) {
    let warned = contains("onnxruntime").and(contains("had no effect")).and(contains("--config"));
    // The summary breaks its lines.
    assert.success().stderr(warned).stdout(contains("warning: the settings file"));
    let report = demo.report();
    assert_eq!((report.images, report.attacks[0].name.as_str()), (24, "apgd-ce"));
    assert_eq!(report.threat_model.epsilon, 8.0 / 255.0);
    // As with the same normalisation by flags: that of the file counts.
    assert_eq!(report.counts.clean_correct, 18);
    assert_eq!(report.gate.min_attacked_accuracy, None);
    let ignored = report.warnings.iter().find_map(|notice| match &notice.warning {
        Warning::IgnoredSettings { keys, .. } => Some(keys.clone()),
        _ => None,
    });
    let keys = ["attacks", "data", "engine", "epsilon", "first", "min-attacked-accuracy", "onnxruntime"];
    assert_eq!(ignored.unwrap()[..7], keys.map(str::to_owned));
    let [file] = &demo.certificate().settings.files[..] else { panic!("one file was read") };
    assert_eq!(
        (file.place, &file.keys[..]),
        (SettingsPlace::BesideModel, &["mean".into(), "std".into()][..])
    );
}

#[test]
fn a_file_beside_a_model_loads_no_code_and_weakens_nothing() {
    let demo = Demo::new();
    fs::write(demo.path("mimir-certify.toml"), HOSTILE).unwrap();
    fs::write(demo.path("evil.so"), b"would be an error if it were loaded").unwrap();
    assert_described_only(&demo, run_in(&demo, &super::root(), &demo.path("model.onnx")));
    // Through a link to the folder.
    std::os::unix::fs::symlink(demo.folder.path(), demo.path("link")).unwrap();
    assert_described_only(&demo, run_in(&demo, &super::root(), &demo.path("link/model.onnx")));
    assert!(!demo.path("stolen").exists());
}

/// Whoever stands in the folder of a model decides by the file there, and is told so; but it loads no code.
#[test]
fn the_file_in_the_working_folder_decides_and_is_named() {
    let demo = Demo::new();
    let settings = "onnxruntime = \"evil.so\"\nattacks = [\"fgsm\"]\nmean = [0.5]\nstd = [0.25]\n";
    fs::write(demo.path("mimir-certify.toml"), settings).unwrap();
    fs::write(demo.path("evil.so"), b"would be an error if it were loaded").unwrap();
    let images = format!("npz:{}", super::root().join("examples/demo/images.npz").display());
    let run = |config: &[&str]| {
        let mut command = certify();
        command.current_dir(demo.folder.path()).args(["model.onnx", "--data", &images, "--first", "24"]);
        command.args(["--epsilon", "8/255", "--report", "out"]).args(config).assert()
    };
    let named =
        contains("settings           mimir-certify.toml (sha256 ").and(contains("): attacks, mean, std\n"));
    run(&[]).success().stdout(named.and(contains("warning: the settings file mimir-certify.toml")));
    let certificate = demo.certificate();
    assert_eq!(certificate.settings.files[0].place, SettingsPlace::WorkingFolder);
    assert_eq!(certificate.settings.files[0].ignored, ["onnxruntime"]);
    assert_eq!(certificate.settings.effective["attacks"], serde_json::json!(["fgsm"]));
    assert_eq!(demo.report().settings_files, certificate.settings.files);
    // A file that was named decides everything.
    run(&["--config", "mimir-certify.toml"]).code(70).stderr(contains("evil.so"));
    run(&["--config", "/dev/null", "--attacks", "fgsm"]).success();
    assert!(demo.certificate().settings.files.is_empty());
}

/// What an earlier run with another model left in the folder, in short.
fn with_old_result(demo: &Demo) {
    fs::create_dir_all(demo.path("out")).unwrap();
    for name in ["report.json", "certificate.json", "adversarial.npz"] {
        fs::write(demo.path("out").join(name), "PASS").unwrap();
    }
}

#[test]
fn a_failed_run_leaves_its_error_and_no_earlier_result() {
    type Prepare = fn(&Demo);
    let nothing: Prepare = |_| {};
    let cases: [(&str, u8, &[&str], Prepare); 9] = [
        ("a flag's value", 2, &["--epsilon", "8"], nothing),
        ("a flag that there is not", 2, &["--epsilom", "1"], nothing),
        ("a settings file", 2, &["--config", "/nonexistent.toml"], nothing),
        ("no effect", 2, &["--full"], nothing),
        ("no model", 3, &[], |demo| fs::remove_file(demo.path("model.onnx")).unwrap()),
        ("not a model", 3, &[], |demo| fs::write(demo.path("model.onnx"), b"GIF89a").unwrap()),
        ("not a classifier", 3, &[], |demo| models::with_one_class(&demo.path("model.onnx"))),
        ("no images", 4, &["--data", "npz:/nonexistent.npz"], nothing),
        ("no engine", 70, &["--onnxruntime", "/nonexistent.so"], nothing),
    ];
    for (name, code, flags, prepare) in cases {
        let demo = Demo::new();
        prepare(&demo);
        with_old_result(&demo);
        let stderr = demo.run(flags).code(i32::from(code)).get_output().stderr.clone();
        let failure = demo.failure();
        assert_eq!((failure.gate.exit_code, failure.error.kind.exit_code()), (code, code), "{name}");
        let (message, stderr) = (failure.error.message, String::from_utf8(stderr).unwrap());
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&stderr).contains(&words(&message)) && !message.contains('\n'), "{name}: {message}");
        for file in ["certificate.json", "adversarial.npz"] {
            assert!(!demo.path("out").join(file).exists(), "{name}: {file} is of an earlier run");
            assert!(demo.path("out/previous").join(file).exists(), "{name}: {file} is kept");
        }
        let note =
            format!("note: the result of the earlier run is in {}\n", demo.path("out/previous").display());
        assert!(stderr.contains(&note), "{name}: {stderr}");
        // Failing once more moves nothing and loses nothing.
        demo.run(flags).code(i32::from(code)).stderr(contains("note: ").not());
        assert_eq!(fs::read(demo.path("out/previous/certificate.json")).unwrap(), b"PASS", "{name}");
    }
}

fn start(demo: &Demo, flags: &[&str]) -> Child {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mimir-certify-under-test"));
    command.args(demo.arguments(flags)).current_dir(super::root());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// While a run goes on, another one in its folder is refused and changes nothing; when it is killed, nothing is there that
/// could be taken for its result; the next run is not locked out.
#[test]
fn a_run_has_its_folder_to_itself_and_leaves_no_result_when_killed() {
    use std::io::{BufRead as _, BufReader};
    let demo = Demo::new();
    with_old_result(&demo);
    let flags = ["--attacks", "apgd-ce,apgd-t", "--steps", "200", "--first", "240", "--resume"];
    let mut first = start(&demo, &flags);
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("apgd-ce:")));
    let files = || {
        let names = fs::read_dir(demo.path("out")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let during = [".mimir-lock", "journal.bin", "previous"];
    assert_eq!(files(), during);
    for flags in [&flags[..], &["--epsilon", "8"], &["--onnxruntime", "/nonexistent.so"]] {
        demo.run(flags).code(2);
        assert_eq!(files(), during, "{flags:?}");
    }
    demo.run(&[]).code(2).stderr(contains("another run is using it"));
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(files(), during);
    fs::remove_file(demo.path("out/journal.bin")).unwrap();
    demo.run(&[]).success();
    assert_eq!(files(), ["certificate.json", "previous", "report.html", "report.json"]);
}

fn verify(demo: &Demo) -> Assert {
    certify().arg("verify").arg(demo.path("out")).arg(demo.path("model.onnx")).assert()
}

#[test]
fn a_certificate_is_verified_without_images_or_attacks() {
    let demo = Demo::new();
    demo.run(&["--save-adversarial"]).success();
    let passed = starts_with("PASS").and(contains("SHA-256 of adversarial.npz")).and(contains("not signed"));
    verify(&demo).success().stdout(passed);
    // The ONNX file may have another name, and the certificate be named itself.
    fs::rename(demo.path("model.onnx"), demo.path("renamed.onnx")).unwrap();
    let certificate = demo.path("out/certificate.json");
    let renamed = || certify().arg("verify").arg(&certificate).arg(demo.path("renamed.onnx")).assert();
    renamed().success();
    let replay = certify().arg("replay").arg(demo.path("out")).arg(demo.path("renamed.onnx")).assert();
    replay.success();

    let text = fs::read_to_string(&certificate).unwrap();
    let broken = format!("\"broken\": {}", demo.report().counts.broken);
    for (from, to, code, expected) in [
        (broken.as_str(), "\"broken\": 0", 10, "contradicts itself"),
        ("\"opset\": ", "\"opset\": 1", 10, "opset"),
        ("\"schema_version\": 4", "\"schema_version\": 3", 4, "Evaluate the model again"),
        ("\"seed\": 0", "\"sead\": 0", 4, "unknown field `sead`"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&certificate, text.replacen(from, to, 1)).unwrap();
        let assert = renamed().code(code);
        let output = assert.get_output();
        let said = [output.stdout.clone(), output.stderr.clone()].concat();
        assert!(String::from_utf8(said).unwrap().contains(expected), "{from}: {expected}");
    }
    fs::write(&certificate, text).unwrap();
    fs::write(demo.path("out/adversarial.npz"), b"other").unwrap();
    renamed().code(10).stdout(contains("adversarial.npz: SHA-256 is"));
    fs::remove_file(demo.path("out/adversarial.npz")).unwrap();
    renamed().success().stdout(contains("not checked").and(contains("adversarial.npz: ")));
    models::scaled(&demo.path("renamed.onnx"), 2.0);
    renamed().code(10).stdout(starts_with("FAIL").and(contains("renamed.onnx: SHA-256 is")));
    fs::write(demo.path("renamed.onnx"), b"GIF89a").unwrap();
    renamed().code(3);
    fs::remove_file(&certificate).unwrap();
    renamed().code(4).stderr(contains("certificate.json"));
}
