//! The programs from the outside: what they print, write and return.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use mimir_bundle::certificate::Certificate;
use mimir_runtime::report::{FailureReport, Report, ReportFile, Warning};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};
use tempfile::TempDir;

mod bad_input;
mod bundle;
mod bundles;
mod classify;
mod compare;
mod diagnosis;
mod engines;
mod export;
mod features;
mod formats;
mod gate;
mod hard_models;
mod images;
mod inputs;
mod interruption;
mod journal;
mod misleading_gradients;
mod models;
mod names;
mod outputs;
mod page;
mod pixels;
mod records;
mod replay;
mod rounding;
mod same_function;
mod self_test;
mod show;
mod signing;
mod silent_units;
mod surrogate;
mod terminal;
mod untrusted;

/// The program that attacks models.
fn certify() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimir-certify-under-test"));
    // Whoever runs the tests in a pipeline has a summary of their own.
    command.current_dir(root()).env_remove("GITHUB_STEP_SUMMARY");
    command
}

/// The program that exports and shows models.
fn export() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimir-export-under-test"));
    command.current_dir(root());
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A folder, and in it a copy of the demo's model, without the settings that stand beside the original.
struct Demo {
    folder: TempDir,
}

impl Demo {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(root().join("examples/demo/model.onnx"), folder.path().join("model.onnx")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A run on few images with few steps, its report in `out`. A flag of `flags` beats one of these.
    fn run(&self, flags: &[&str]) -> Assert {
        certify().args(self.arguments(flags)).assert()
    }

    fn arguments(&self, flags: &[&str]) -> Vec<String> {
        let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
        let report = self.path("out").display().to_string();
        let usual = [
            ("--data", images.as_str()),
            ("--first", "24"),
            ("--mean", "0.5,0.5,0.5"),
            ("--std", "0.25,0.25,0.25"),
            ("--epsilon", "8/255"),
            ("--attacks", "apgd-ce"),
            ("--steps", "10"),
            ("--report", report.as_str()),
        ];
        // Not every attack has steps.
        let speaks_of_steps = flags.contains(&"--attacks");
        let is_wanted = |flag: &str| !(flags.contains(&flag) || flag == "--steps" && speaks_of_steps);
        let mut arguments = vec![self.path("model.onnx").display().to_string()];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        for (flag, value) in usual.into_iter().filter(|(flag, _)| is_wanted(flag)) {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
        arguments
    }

    /// The report as text, without the moments and durations in it.
    fn timeless_report(&self) -> String {
        let text = std::fs::read_to_string(self.path("out/report.json")).unwrap();
        let is_time = |line: &&str| {
            ["\"created_at\":", "\"seconds\":", "\"model_seconds\":"].iter().any(|field| line.contains(field))
        };
        text.lines().filter(|line| !is_time(line)).collect::<Vec<_>>().join("\n")
    }

    fn report(&self) -> Report {
        serde_json::from_str(&std::fs::read_to_string(self.path("out/report.json")).unwrap()).unwrap()
    }

    /// The report of a run that failed.
    fn failure(&self) -> FailureReport {
        let text = std::fs::read_to_string(self.path("out/report.json")).unwrap();
        match ReportFile::from_json(&text).unwrap() {
            ReportFile::Failed(failure) => failure,
            ReportFile::Finished(report) => panic!("a result: {report}"),
        }
    }

    fn certificate(&self) -> Certificate {
        Certificate::from_json(&std::fs::read_to_string(self.path("out/certificate.json")).unwrap()).unwrap()
    }
}

#[test]
fn the_program_of_a_checkout_finds_onnx_runtime_without_a_variable() {
    let demo = Demo::new();
    let program = demo.path("checkout/target/release/mimir-certify");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_mimir-certify-under-test"), &program).unwrap();
    std::os::unix::fs::symlink(root().join(".mimir"), demo.path("checkout/.mimir")).unwrap();
    let images = format!("npz:{}", root().join("examples/demo/images.npz").display());
    let mut command = Command::new(program);
    command.current_dir(demo.folder.path()).env_remove("MIMIR_ORT_DYLIB").env_remove("ORT_DYLIB_PATH");
    command.arg("model.onnx").args(["--data", &images, "--first", "8", "--epsilon", "1/255"]);
    command.args(["--attacks", "apgd-ce", "--steps", "1"]);
    command.assert().success().stdout(starts_with("DONE"));
}

#[test]
fn a_run_prints_a_summary_and_writes_report_and_certificate() {
    let demo = Demo::new();
    let summary = contains("upper bound").and(contains("never a proof")).and(contains("95 % interval"));
    let written = contains("out: report.json, certificate.json");
    demo.run(&[]).success().stdout(starts_with("DONE  attacked accuracy").and(summary).and(written));
    let (report, certificate) = (demo.report(), demo.certificate());
    assert_eq!((report.images, report.outcomes.len(), report.attacks.len()), (24, 24, 1));
    assert_eq!((report.counts, &report.data), (certificate.counts, &certificate.data));
    assert_eq!(report.attacks[0].robust_accuracy, report.attacked_accuracy);
    assert!(report.counts.broken > 0, "{:?}: 8/255 breaks some of 24 images", report.counts);
    assert!(report.attacks[0].backwards > 0 && report.attacks[0].forwards > report.attacks[0].backwards);
    let execution = &certificate.execution;
    assert_eq!((execution.engine.as_str(), execution.device.as_str()), ("onnxruntime", "cpu"));
    assert_eq!(execution.engine_version.split('.').count(), 3);
    assert_eq!(certificate.counterexamples, None);
}

#[test]
fn results_do_not_depend_on_workers_threads_or_batch() {
    let demo = Demo::new();
    let attacks = [
        "--attacks",
        "pgd,noise,fgsm,apgd-ce,apgd-dlr,apgd-t,fab,fab-t,square",
        "--steps",
        "4",
        "--queries",
        "60",
    ];
    let run = |engine: &[&str]| {
        demo.run(&[&attacks[..], engine, &["--threads", "1", "--save-adversarial"]].concat()).success();
        (demo.report(), std::fs::read(demo.path("out/adversarial.npz")).unwrap())
    };
    let (alone, counterexamples) = run(&["--workers", "1", "--batch", "32"]);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(2).to_string();
    let (together, same_counterexamples) = run(&["--workers", &workers, "--batch", "4"]);
    assert_eq!(together.outcomes, alone.outcomes);
    assert_eq!(same_counterexamples, counterexamples);
    assert_eq!(demo.certificate().execution.batch, 4);
}

#[test]
fn the_settings_file_in_the_working_folder_is_enough() {
    let demo = Demo::new();
    std::fs::copy(root().join("examples/demo/images.npz"), demo.path("images.npz")).unwrap();
    let settings = "data = \"npz:images.npz\"\nepsilon = \"1/255\"\nfirst = 8\nattacks = [\"apgd-ce\"]\nsteps = 5\n\
        report = \"out\"\n";
    std::fs::write(demo.path("mimir-certify.toml"), settings).unwrap();
    let certify = || {
        let mut command = certify();
        command.current_dir(demo.folder.path());
        command
    };
    certify().arg("model.onnx").assert().success();
    assert_eq!((demo.report().images, demo.report().threat_model.epsilon), (8, 1.0 / 255.0));
    certify().arg("run").arg("model.onnx").args(["--epsilon", "2/255"]).assert().success();
    assert_eq!(demo.report().threat_model.epsilon, 2.0 / 255.0);
    let printed = certify().arg("model.onnx").args(["--print-config", "--seed", "7"]).assert().success();
    printed.stdout(contains("seed = 7").and(contains("\nsteps = 5")).and(contains("# momentum = 0.75")));
}

#[test]
fn progress_is_plain_lines_on_standard_error_and_can_be_silenced() {
    let demo = Demo::new();
    demo.run(&[]).success().stderr(starts_with("clean: 24 images\n").and(contains("robust so far")));
    demo.run(&["--quiet"]).success().stderr("").stdout(contains("attacked accuracy"));
}

#[test]
fn a_softmax_at_the_end_is_seen_and_reported() {
    let demo = Demo::new();
    demo.run(&[]).success();
    let logits = demo.report();
    models::with_softmax(&demo.path("model.onnx"));
    demo.run(&[]).success().stdout(contains("warning: the model returns probabilities"));
    let probabilities = demo.report();
    assert_eq!(probabilities.warnings[0].warning, Warning::ProbabilityOutput);
    assert_eq!(probabilities.clean_accuracy, logits.clean_accuracy);
    // Without the logarithm cross entropy saturates, and the attack finds much less.
    assert!(
        probabilities.counts.broken >= logits.counts.broken,
        "{:?} {:?}",
        probabilities.counts,
        logits.counts
    );
}

#[test]
fn a_batch_of_one_is_opened_and_reported() {
    let demo = Demo::new();
    std::fs::copy(root().join("tests/fixtures/resnet_batch1.onnx"), demo.path("model.onnx")).unwrap();
    std::fs::copy(root().join("tests/fixtures/resnet_batch1.npz"), demo.path("images.npz")).unwrap();
    let data = format!("npz:{}", demo.path("images.npz").display());
    let run = demo.run(&["--data", &data, "--first", "2"]);
    run.success().stdout(contains("warning: the file has a fixed batch"));
    assert_eq!(demo.report().warnings[0].warning, Warning::Rebatched);
}

#[test]
fn help_shows_an_example_and_the_exit_codes() {
    certify().arg("--help").assert().success().stdout(
        contains("--epsilon 2/255").and(contains("70  internal error")).and(contains("75  interrupted")),
    );
}
