//! Engines and devices: which one runs, what the other says, and what is said where one is missing.

use std::mem::discriminant;
use std::path::PathBuf;

use assert_cmd::Command;
use mimir_runtime::report::{Report, Warning};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};

use super::{Demo, certify, models};

/// The program in a folder without a checkout around it, as `cargo install` leaves it: no ONNX Runtime is found, unless
/// the system's loader knows one.
fn installed(demo: &Demo) -> Command {
    let program: PathBuf = demo.path("bin/mimir-certify");
    std::fs::create_dir_all(demo.path("bin")).unwrap();
    // By a process of its own: while this one has a program open for writing, what another test starts has it open too, and
    // the system does not run a program that is being written.
    let source = env!("CARGO_BIN_EXE_mimir-certify-under-test");
    let copied = std::process::Command::new("cp").arg(source).arg(&program).status().unwrap();
    assert!(copied.success());
    let mut command = Command::new(program);
    command.env_remove("MIMIR_ORT_DYLIB").env_remove("ORT_DYLIB_PATH").env_remove("LD_LIBRARY_PATH");
    command.current_dir(demo.folder.path());
    command
}

fn has_warning(report: &Report, wanted: fn(&Warning) -> bool) -> bool {
    report.warnings.iter().any(|notice| wanted(&notice.warning))
}

#[test]
fn rten_gives_the_verdicts_of_onnx_runtime() {
    let demo = Demo::new();
    let attacks = ["--attacks", "apgd-ce,apgd-dlr,apgd-t,fab-t,square", "--steps", "5", "--queries", "30"];
    let run = |engine: &str| {
        let line = format!(
            "engine             {}",
            if engine == "ort" { "onnxruntime 1." } else { "rten 0.27.0 on cpu" }
        );
        demo.run(&[&attacks[..], &["--engine", engine]].concat()).success().stdout(contains(line));
        demo.report()
    };
    let (ort, rten) = (run("ort"), run("rten"));
    assert_eq!((rten.execution.engine.as_str(), rten.execution.engine_version.as_str()), ("rten", "0.27.0"));
    assert!(!has_warning(&rten, |warning| matches!(warning, Warning::NoOnnxRuntime { .. })));
    assert!(ort.counts.broken > 0 && ort.counts.still_robust > 0, "{:?}", ort.counts);
    for (ort, rten) in ort.outcomes.iter().zip(&rten.outcomes) {
        assert_eq!(discriminant(&ort.verdict), discriminant(&rten.verdict), "{ort:?} {rten:?}");
        assert_eq!(ort.clean_prediction, rten.clean_prediction);
    }
    assert_eq!(demo.certificate().execution, rten.execution);
}

#[test]
fn results_of_rten_do_not_depend_on_workers_threads_or_batch() {
    let demo = Demo::new();
    let run = |flags: &[&str]| {
        demo.run(&[&["--engine", "rten"], flags].concat()).success();
        demo.report().outcomes
    };
    let alone = run(&["--workers", "1", "--threads", "1", "--batch", "16"]);
    let most = std::thread::available_parallelism().map_or(1, usize::from).min(2).to_string();
    for other in [
        ["--workers", "1", "--threads", &most, "--batch", "5"],
        ["--workers", &most, "--threads", "1", "--batch", "2"],
    ] {
        assert_eq!(run(&other), alone, "{other:?}");
    }
}

#[test]
fn without_onnx_runtime_rten_serves_and_says_so() {
    let demo = Demo::new();
    let mut run = installed(&demo);
    let said = contains("warning: rten ran the model").and(contains("make setup"));
    run.args(demo.arguments(&[]))
        .assert()
        .success()
        .stdout(starts_with("DONE").and(contains("rten 0.27.0")).and(said));
    let report = demo.report();
    assert_eq!(report.execution.engine, "rten");
    assert!(has_warning(&report, |warning| matches!(warning, Warning::NoOnnxRuntime { .. })));
}

#[test]
fn an_engine_that_was_asked_for_and_is_missing_is_70() {
    let demo = Demo::new();
    let cases: [(&[&str], &str); 4] = [
        (&["--engine", "ort"], "make setup"),
        (&["--onnxruntime", "/nonexistent/libonnxruntime.so"], "/nonexistent/libonnxruntime.so"),
        (&["--cross-check"], "--cross-check: no engine other than rten is available"),
        (&["--device", "cuda:0"], "make setup"),
    ];
    for (flags, expected) in cases {
        installed(&demo).args(demo.arguments(flags)).assert().code(70).stderr(contains(expected)).stdout("");
    }
    certify().args(demo.arguments(&["--engine", "tract"])).assert().code(2).stderr(contains("ort, rten"));
    let usage = contains("rten runs on the CPU only");
    certify()
        .args(demo.arguments(&["--engine", "rten", "--device", "cuda:0"]))
        .assert()
        .code(2)
        .stderr(usage);
}

/// `make setup` fetches the build for processors.
#[test]
fn a_device_that_is_absent_is_70_and_names_what_to_install() {
    let demo = Demo::new();
    for (device, provider) in
        [("cuda:0", "CUDAExecutionProvider"), ("tensorrt:0", "TensorrtExecutionProvider")]
    {
        let named = contains(provider).and(contains("onnxruntime-gpu")).and(contains("--device cpu"));
        demo.run(&["--device", device]).code(70).stderr(named.and(contains(device))).stdout("");
    }
}

#[test]
fn a_cross_check_counts_what_the_other_engine_confirms() {
    for (engine, other) in [("ort", "rten"), ("rten", "onnxruntime")] {
        let demo = Demo::new();
        let flags = ["--engine", engine, "--cross-check", "--attacks", "apgd-ce,apgd-dlr", "--steps", "5"];
        demo.run(&flags).success().stdout(contains("cross-check").and(contains(other)));
        let report = demo.report();
        let checked = report.cross_check.clone().unwrap();
        assert_eq!(checked.engine, other);
        assert!(checked.counterexamples > 0);
        assert_eq!(checked.counterexamples, report.counts.broken);
        // The demo's counterexamples are far from the decision compared to the rounding of two engines.
        assert_eq!((checked.confirmed, checked.disagreements.len()), (checked.counterexamples, 0));
        let of_attacks: Vec<(usize, usize)> = report
            .attacks
            .iter()
            .map(|attack| attack.broken)
            .zip(checked.attacks.iter().map(|attack| attack.confirmed))
            .collect();
        assert!(of_attacks.iter().all(|(broken, confirmed)| broken == confirmed), "{of_attacks:?}");
        assert_eq!(demo.certificate().cross_check, Some(checked));
    }
}

#[test]
fn counterexamples_are_replayed_on_the_engine_of_the_certificate_or_another() {
    let demo = Demo::new();
    demo.run(&["--engine", "rten", "--save-adversarial"]).success();
    let replay = |flags: &[&str]| {
        let folder = demo.path("out").display().to_string();
        let model = demo.path("model.onnx").display().to_string();
        certify().args(["replay", &folder, &model]).args(flags).assert().success()
    };
    replay(&[]).stdout(contains("engine        rten 0.27.0 on cpu"));
    replay(&["--engine", "ort"]).stdout(contains("engine        onnxruntime 1."));
}

#[test]
fn a_node_that_rten_cannot_run_is_3_and_names_the_way_to_onnx_runtime() {
    let demo = Demo::new();
    models::with_sign(&demo.path("model.onnx"));
    let named = contains("Sign").and(contains("make setup")).and(contains("MIMIR_ORT_DYLIB"));
    demo.run(&["--engine", "rten", "--attacks", "noise"]).code(3).stderr(named).stdout("");
    let checked =
        contains("--cross-check:").and(contains("Sign")).and(contains("omit --engine rten or --cross-check"));
    demo.run(&["--cross-check", "--attacks", "noise"]).code(3).stderr(checked).stdout("");
}
