//! Compiles the programs of `tests/c` against the library, and runs them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};

use crate::fixtures;
use crate::library::{self, root};

/// Compiles a program once, with warnings as errors.
pub(crate) fn compile(compiler: &str, standard: &str, source: &Path) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    // Held while it is compiled: nobody runs a program that is being written.
    static COMPILED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    let program = folder.path().join(source.file_stem().unwrap());
    let mut compiled = COMPILED.lock().unwrap();
    if !compiled.insert(program.clone()) {
        return program;
    }
    let library = library::folder();
    let output = Command::new(compiler)
        .args(words("MIMIR_C_FLAGS"))
        .args([standard, "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", "-pthread", "-I"])
        .arg(root().join("include"))
        .arg(source)
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(library)
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .args(["-lmimir_runtime", "-lm"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
    program
}

/// The words of a variable: how scripts/sanitize has these programs compiled and run otherwise.
fn words(variable: &str) -> Vec<String> {
    let text = std::env::var(variable).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn run_c(name: &str, arguments: &[&Path]) -> Output {
    let program = compile("gcc", "-std=c11", &root().join(format!("ffi/tests/c/{name}.c")));
    run(&program, arguments)
}

/// The ONNX Runtime of this checkout, unless a variable names another.
pub(crate) fn onnx_runtime() -> PathBuf {
    let engine = mimir_runtime::session::Engine::load(None).unwrap();
    engine.library_path().unwrap().unwrap()
}

pub(crate) fn run(program: &Path, arguments: &[impl AsRef<OsStr>]) -> Output {
    let mut runner = words("MIMIR_C_RUNNER").into_iter();
    let mut command = match runner.next() {
        Some(tool) => Command::new(tool),
        None => Command::new(program),
    };
    if command.get_program() != program {
        command.args(runner).arg(program);
    }
    let output = command.args(arguments).env("MIMIR_ORT_DYLIB", onnx_runtime()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{out}{err}", program.display(), output.status);
    output
}

/// A library writes to no stream of its program.
fn assert_silent(output: &Output) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn null_is_an_error_everywhere() {
    assert_silent(&run_c("nulls", &[fixtures::plain()]));
}

#[test]
fn wrong_sizes_values_and_orders_are_errors() {
    assert_silent(&run_c("arguments", &[fixtures::plain()]));
}

#[test]
fn a_model_that_meets_its_policy_answers() {
    let policy = fixtures::policy(
        "policy.toml",
        "version = 1\n[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"4/255\"\nattacks = [{ attack = \"fgsm\" }]\n\
         min_images = 8\n",
    );
    let stricter = fixtures::policy(
        "stricter.toml",
        "version = 1\n[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"8/255\"\nmin_preset = \"standard\"\n\
         min_images = 1000\nmin_attacked_accuracy = 0.99\n",
    );
    assert_silent(&run_c("serve", &[fixtures::certified(), &policy, &stricter]));
}

#[test]
fn sixteen_threads_get_the_bits_of_one() {
    assert_silent(&run_c("threads", &[fixtures::plain()]));
}

#[test]
fn asynchronous_calls_call_back_once() {
    assert_silent(&run_c("async", &[fixtures::plain()]));
}

#[test]
fn deadlines_and_cancellation_end_calls() {
    assert_silent(&run_c("limits", &[fixtures::slow()]));
}

#[test]
fn images_in_memory_are_attacked() {
    let images = root().join("examples/demo/images.npz");
    assert_silent(&run_c("attack", &[fixtures::plain(), &images]));
}

/// As `mimir-certify` does, and there is no way to accept it.
#[test]
fn a_file_whose_searched_graphs_differ_is_not_attacked() {
    let fixture = |name: &str| root().join("tests/fixtures").join(name);
    let images = format!("npz:{}", fixture("ort_layernorm_keepdims0.npz").display());
    let model = fixture("ort_layernorm_keepdims0.onnx");
    assert_silent(&run_c("same_function", &[&model, Path::new(&images), Path::new("16")]));
}

#[test]
fn the_classes_of_cplusplus_do_what_the_functions_do() {
    let source = root().join("ffi/tests/c/classes.cpp");
    let program = compile("g++", "-std=c++17", &source);
    let images = root().join("examples/demo/images.npz");
    assert_silent(&run(&program, &[fixtures::certified(), &images]));
}
