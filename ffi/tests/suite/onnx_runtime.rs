//! Where ONNX Runtime is found: beside the library, by a variable, or not at all.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures;
use crate::library;
use crate::programs::{compile, onnx_runtime};

fn program() -> PathBuf {
    compile("gcc", "-std=c11", &library::root().join("ffi/tests/c/engine.c"))
}

/// An installation of its own, with ONNX Runtime in it or without.
fn installed(onnx_runtime_in: Option<&str>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("libmimir_runtime.so.{}", library::abi_version());
    fs::copy(library::folder().join(&name), folder.path().join(&name)).unwrap();
    if let Some(place) = onnx_runtime_in {
        let place = folder.path().join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(onnx_runtime(), place).unwrap();
    }
    folder
}

fn run(folder: &Path, wanted: &OsStr, variable: Option<&Path>) {
    let mut command = Command::new(program());
    command.arg(fixtures::plain()).arg(wanted).env("LD_LIBRARY_PATH", folder);
    command.env_remove("MIMIR_ORT_DYLIB").env_remove("ORT_DYLIB_PATH");
    if let Some(variable) = variable {
        command.env("MIMIR_ORT_DYLIB", variable);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn one_beside_the_library_is_taken_before_a_variable() {
    for name in ["libonnxruntime.so.1", "mimir/libonnxruntime.so.1"] {
        let folder = installed(Some(name));
        let place = folder.path().canonicalize().unwrap().join(name);
        run(folder.path(), place.as_os_str(), None);
        run(folder.path(), place.as_os_str(), Some(Path::new("/nonexistent/libonnxruntime.so")));
    }
}

#[test]
fn a_variable_names_one() {
    let (folder, library) = (installed(None), onnx_runtime());
    run(folder.path(), library.as_os_str(), Some(&library));
}

#[test]
fn without_one_there_is_an_error_or_rten_where_that_is_allowed() {
    let folder = installed(None);
    run(folder.path(), OsStr::new("absent"), None);
    run(folder.path(), OsStr::new("absent"), Some(Path::new("/nonexistent/libonnxruntime.so")));
    run(folder.path(), OsStr::new("rten"), None);
}
