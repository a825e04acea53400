//! The header is C11 and C++17, and says what the Rust functions are.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::library::root;

/// Compiles a text, with warnings as errors.
fn compile(compiler: &str, standard: &str, folder: &Path, name: &str, text: &str) -> Result<(), String> {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    let output = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only", "-I"])
        .arg(root().join("include"))
        .arg(&file)
        .output()
        .unwrap();
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn it_compiles_alone_and_twice_as_c_and_as_cplusplus() {
    let folder = tempfile::tempdir().unwrap();
    let twice = "#include \"mimir.h\"\n#include \"mimir.h\"\n";
    let sizes = "#include <assert.h>\nstatic_assert(sizeof(mimir_prediction) == 16, \"\");\n\
        static_assert(sizeof(mimir_interval) == 32, \"\");\n\
        static_assert(offsetof(mimir_prediction, margin) == 12, \"\");\n";
    let text = format!("{twice}{sizes}");
    for (compiler, standard, name) in [
        ("gcc", "-std=c11", "twice.c"),
        ("g++", "-std=c++17", "twice.cpp"),
        ("g++", "-std=c++20", "twice.cpp"),
    ] {
        compile(compiler, standard, folder.path(), name, &text).unwrap();
    }
    let classes = "#include \"mimir.hpp\"\n#include \"mimir.hpp\"\n";
    for standard in ["-std=c++17", "-std=c++20"] {
        compile("g++", standard, folder.path(), "classes.cpp", classes).unwrap();
    }
}
