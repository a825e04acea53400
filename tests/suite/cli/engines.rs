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

/// A library of these lines of C.
fn library(demo: &Demo, name: &str, lines: &str) -> PathBuf {
    let (source, library) = (demo.path(&format!("{name}.c")), demo.path(&format!("{name}.so")));
    std::fs::write(&source, lines).unwrap();
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    assert!(compiler.status().unwrap().success());
    library
}

/// What is named as ONNX Runtime and is none: an error, whatever it is.
#[test]
fn a_library_that_is_no_onnx_runtime_is_70_and_named() {
    let demo = Demo::new();
    let api = |get_api: &str, version: &str| {
        format!(
            "static const void *api(unsigned version) {{ return {get_api}; }}\n\
             static const char *version(void) {{ return {version}; }}\n\
             static const struct {{ const void *(*api)(unsigned); const char *(*version)(void); }} base = {{ api, version }};\n\
             const void *OrtGetApiBase(void) {{ return &base; }}\n"
        )
    };
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(demo.path(name), bytes).unwrap();
        demo.path(name)
    };
    let sound = std::fs::read(library(&demo, "sound", "int nothing;\n")).unwrap();
    let cases = [
        (file("empty.so", b""), "no shared library"),
        (file("text.so", b"not a library\n"), "no shared library"),
        (file("short.so", &sound[..sound.len() / 4]), "is cut off after"),
        (demo.folder.path().to_owned(), "a folder"),
        (library(&demo, "foreign", "int nothing;\n"), "OrtGetApiBase"),
        (
            library(&demo, "null", "void *OrtGetApiBase(void) { return 0; }\n"),
            "what OrtGetApiBase returns is null",
        ),
        (
            library(&demo, "zeros", "static long base[2]; void *OrtGetApiBase(void) { return base; }\n"),
            "is null",
        ),
        (library(&demo, "unversioned", &api("0", "0")), "its version is null"),
        (library(&demo, "hollow", &api("0", "\"1.32.0\"")), "the interface of version"),
        (library(&demo, "old", &api("0", "\"1.14.0\"")), "is too old"),
    ];
    for (path, expected) in cases {
        let path = path.display().to_string();
        let named = contains(expected).and(contains(path.clone()));
        demo.run(&["--onnxruntime", &path]).code(70).stderr(named).stdout("");
    }
}

/// A library that ends the process while it is loaded, or when it is asked or started, ends that of a trial.
#[test]
fn a_library_that_crashes_is_70_and_named() {
    let demo = Demo::new();
    let at_loading = |statement: &str| {
        format!(
            "#include <stdlib.h>\n#include <unistd.h>\n\
             __attribute__((constructor)) static void begin(void) {{ {statement}; }}\nint nothing;\n"
        )
    };
    let when_used = |entry: &str, version: &str| {
        format!(
            "#include <stdlib.h>\n\
             static const void *api(unsigned version) {{ static long table[512] = {{ 16 }}; return table; }}\n\
             static const char *version(void) {{ return {version}; }}\n\
             static const struct {{ const void *(*api)(unsigned); const char *(*version)(void); }} base = {{ api, version }};\n\
             const void *OrtGetApiBase(void) {{ {entry}; }}\n"
        )
    };
    let sound = "return &base";
    let cases = [
        ("abort", at_loading("abort()"), "signal: 6"),
        ("segfault", at_loading("*(volatile int *)0 = 1"), "signal: 11"),
        ("leave", at_loading("_exit(0)"), "exit status: 0"),
        ("entry", when_used("abort()", "0"), "signal: 6"),
        ("garbage", when_used("return (void *)16", "0"), "signal: 11"),
        ("text", when_used(sound, "(const char *)16"), "signal: 11"),
        ("table", when_used(sound, "\"1.32.0\""), "signal: 11"),
    ];
    for (name, lines, how) in cases {
        let path = library(&demo, name, &lines).display().to_string();
        let named = contains(how).and(contains(path.clone())).and(contains("install it again"));
        demo.run(&["--onnxruntime", &path]).code(70).stderr(named).stdout("");
    }
}

/// One that crashes where nobody asked for it by name gives way to rten, and the report says why.
#[test]
fn a_library_that_crashes_where_it_was_found_gives_way_to_rten() {
    let demo = Demo::new();
    let lines = "#include <stdlib.h>\n__attribute__((constructor)) static void begin(void) { abort(); }\n";
    let mut program = installed(&demo);
    std::fs::copy(library(&demo, "abort", lines), demo.path("bin/libonnxruntime.so.1.32.0")).unwrap();
    let said = contains("warning: rten ran the model").and(contains("install it again"));
    program.args(demo.arguments(&["--attacks", "fgsm"])).assert().success().stdout(said);
    assert_eq!(demo.report().execution.engine, "rten");
}

/// A run under a limit of the shell.
fn limited(demo: &Demo, limit: &str, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("bash");
    command.arg("-c").arg(format!("ulimit {limit}; exec \"$@\"")).arg("bash");
    command.arg(env!("CARGO_BIN_EXE_mimir-certify-under-test")).current_dir(super::root());
    let output = command.args(demo.arguments(flags)).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Too few file descriptors are named as such, whatever wants one more, and rten does not quietly take ONNX Runtime's place.
#[test]
fn too_few_file_descriptors_are_named() {
    let mut failed = 0;
    for count in 4..12 {
        let demo = Demo::new();
        let (code, said) = limited(&demo, &format!("-n {count}"), &[]);
        if code == Some(0) {
            assert_eq!(demo.report().execution.engine, "onnxruntime", "{count}: {said}");
            break;
        }
        failed += 1;
        assert!(said.contains("Too many open files"), "{count} descriptors: {said}");
        assert!(
            code.is_some_and(|code| [2, 3, 4, 70, 74].contains(&code)),
            "{count} descriptors: {code:?} {said}"
        );
    }
    assert!((1..8).contains(&failed), "{failed} limits were too low");
}

/// Too little address space for the engine's library.
#[test]
fn too_little_memory_for_the_engine_is_named() {
    let demo = Demo::new();
    let (code, said) = limited(&demo, "-v 60000", &[]);
    assert_eq!(code, Some(70), "{said}");
    assert!(said.contains("memory") || said.contains("failed to map segment"), "{said}");
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
