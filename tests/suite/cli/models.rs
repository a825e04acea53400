//! Small models, made on the spot by changing the demo's.

use std::path::Path;

use mimir_export::graph::{Builder, Graph};
use mimir_export::onnx::{Limits, read_model, write_model};
use mimir_export::shape::infer;

/// Puts a softmax behind the logits.
pub(super) fn with_softmax(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let probabilities = Builder::new(graph, "softmax").op("Softmax", &[logits]).unwrap();
        graph.set_outputs(vec![probabilities]);
    });
}

/// Multiplies the logits by NaN: a weight that training left behind.
pub(super) fn with_nan(path: &Path) {
    scaled(path, f32::NAN);
}

/// Multiplies the logits by infinity, which no reader can refuse: attention masks hold it.
pub(super) fn with_infinite_logits(path: &Path) {
    scaled(path, f32::INFINITY);
}

fn scaled(path: &Path, factor: f32) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "scaled");
        let factor = builder.scalar(factor);
        let scaled = builder.op("Mul", &[logits, factor]).unwrap();
        graph.set_outputs(vec![scaled]);
    });
}

/// Sums the logits to one number an image, `[N]`.
pub(super) fn with_one_number_an_image(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "sum");
        let axis = builder.ints(&[1]);
        let sum = builder.op_with("ReduceSum", &[logits, axis], [("keepdims", 0_i64.into())]).unwrap();
        graph.set_outputs(vec![sum]);
    });
}

fn change(path: &Path, change: impl FnOnce(&mut Graph)) {
    let mut graph = read_model(path, &Limits::default()).unwrap().graph;
    infer(&mut graph).unwrap();
    change(&mut graph);
    std::fs::write(path, write_model(&graph).unwrap()).unwrap();
}
