//! `mimir-train convert` by its exit codes and files.

use std::path::{Path, PathBuf};

use predicates::str::contains;

use crate::experiment_folder::{ExperimentFolder, stderr_of};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pth").join(name)
}

#[test]
fn a_checkpoint_is_converted_or_nothing_is_written() {
    let experiment = ExperimentFolder::new();
    let convert = |name: &str, more: &[&str]| {
        let mut command = experiment.command(&["convert"]);
        command.arg(fixture(name)).arg("out.safetensors").args(more);
        command
    };
    let written = experiment.path("out.safetensors");
    for (name, code, wanted) in [
        ("unknown.pth", 1, "3 unknown keys; nothing written (--allow leaves them out)"),
        ("ema.pth", 1, "no tensor of a known name; nothing written"),
        ("command.pth", 2, "posix.system"),
        ("no_such_file.pth", 2, "no_such_file.pth"),
    ] {
        let error = stderr_of(&mut convert(name, &[]), code);
        assert!(error.contains(wanted), "{error}");
        assert!(!written.exists(), "{name}");
    }
    assert!(!Path::new("/tmp/mimir-was-here").exists(), "the pickle was run");
    convert("unknown.pth", &["--allow"]).assert().success().stdout(contains("5 tensors, 20 elements"));
    std::fs::remove_file(&written).unwrap();
    convert("ema.pth", &["--take", "model_ema"])
        .assert()
        .success()
        .stdout(contains("model: beside the weights"));
    assert!(written.is_file());
}
