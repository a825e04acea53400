//! `mimir-export show` and `diff` from the outside.

use std::path::Path;

use mimir_export::Tensor;
use mimir_export::graph::Graph;
use mimir_export::onnx::{Limits, read_model, write_model};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};

use super::{Demo, export, root};

fn json(arguments: &[&str], code: i32) -> serde_json::Value {
    let output = export().args(arguments).assert().code(code).get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

/// The demo's model as Mimir writes it, and with one weight changed.
fn pair(demo: &Demo) -> [String; 2] {
    let mut graph = read_model(&demo.path("model.onnx"), &Limits::default()).unwrap().graph;
    let write = |name: &str, graph: &Graph| {
        std::fs::write(demo.path(name), write_model(graph).unwrap()).unwrap();
        demo.path(name).display().to_string()
    };
    let before = write("before.onnx", &graph);
    let (id, tensor) =
        graph.constants().find(|(_, tensor)| tensor.to_f32().is_some_and(|values| values.len() > 8)).unwrap();
    let (dims, mut values) = (tensor.dims().to_vec(), tensor.to_f32().unwrap());
    values[3] += 0.5;
    graph.set_constant(id, Tensor::from_f32(&dims, &values));
    [before, write("after.onnx", &graph)]
}

#[test]
fn show_prints_the_canonical_text_or_json() {
    let demo = Demo::new();
    let model = demo.path("model.onnx").display().to_string();
    let first = export().args(["show", &model]).assert().success();
    first.stdout(starts_with("graph (opset ").and(contains("\noutput %")));
    let document = json(&["show", &model, "--json"], 0);
    assert_eq!((&document["format"], &document["version"]), (&"mimir-listing".into(), &"1.0".into()));
    let opset = format!("graph (opset {})", document["opsets"][""]);
    export().args(["show", &model]).assert().stdout(starts_with(opset));
}

#[test]
fn diff_says_equal_or_different_by_its_exit_code() {
    let demo = Demo::new();
    let [model, other] = pair(&demo);
    export().args(["diff", &model, &model]).assert().code(0).stdout(starts_with("equal\n"));
    let found = export().args(["diff", &model, &other]).assert().code(1);
    found.stdout(starts_with("different\n").and(contains("largest difference 5.000e-1")));
    export().args(["diff", &model, &other, "--tolerance", "0.5"]).assert().code(0);
    let document = json(&["diff", &model, &other, "--json"], 1);
    assert_eq!((&document["format"], &document["equal"]), (&"mimir-difference".into(), &false.into()));
    let weight = &document["weights"]["changed"][0];
    assert_eq!((&weight["elements"]["different"], &weight["elements"]["largest"]), (&1.into(), &0.5.into()));
}

#[test]
fn what_cannot_be_shown_is_an_error_that_names_the_file() {
    let demo = Demo::new();
    let model = demo.path("model.onnx");
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(demo.path("cut.onnx"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(demo.path("empty.onnx"), "").unwrap();
    for name in ["cut.onnx", "empty.onnx", "missing.onnx"] {
        let path = demo.path(name).display().to_string();
        let shown = export().args(["show", &path]).assert().code(2);
        shown.stdout("").stderr(starts_with(format!("error: {path}: ")));
        let model = model.display().to_string();
        export().args(["diff", &model, &path]).assert().code(2).stderr(contains(name));
    }
}

/// docs/snapshots.md, "insta": the text of a file as a snapshot of this repository.
#[test]
fn a_snapshot_of_a_model_holds() {
    let model = root().join("tests/fixtures/tiny/vit_opset20.onnx");
    let output = export().arg("show").arg(&model).assert().success().get_output().stdout.clone();
    insta::with_settings!({ snapshot_path => snapshots(), prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("vit_opset20.onnx", String::from_utf8(output).unwrap());
    });
}

fn snapshots() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/cli/snapshots")
}
