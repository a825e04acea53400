//! Small models, made on the spot by changing the demo's.

use std::path::Path;

use mimir_export::Tensor;
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

/// Multiplies the logits.
pub(super) fn scaled(path: &Path, factor: f32) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "scaled");
        let factor = builder.scalar(factor);
        let scaled = builder.op("Mul", &[logits, factor]).unwrap();
        graph.set_outputs(vec![scaled]);
    });
}

/// Adds noise to the logits, which hardly changes what they say.
pub(super) fn with_noise(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "noisy");
        let noise = builder.op_with("RandomNormalLike", &[logits], [("scale", 0.01_f32.into())]).unwrap();
        let noisy = builder.op("Add", &[logits, noise]).unwrap();
        graph.set_outputs(vec![noisy]);
    });
}

/// Sums the logits to the score of one class, `[N, 1]`.
pub(super) fn with_one_class(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "sum");
        let axis = builder.ints(&[1]);
        let sum = builder.op("ReduceSum", &[logits, axis]).unwrap();
        graph.set_outputs(vec![sum]);
    });
}

/// Keeps the logits of the first classes.
pub(super) fn with_first_classes(path: &Path, classes: u8) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "first");
        let [start, end, axis] = [0, i64::from(classes), 1].map(|value| builder.ints(&[value]));
        let first = builder.op("Slice", &[logits, start, end, axis]).unwrap();
        graph.set_outputs(vec![first]);
    });
}

/// Always says the first class.
pub(super) fn with_constant_logits(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "constant");
        let zero = builder.scalar(0.0);
        let zeros = builder.op("Mul", &[logits, zero]).unwrap();
        let first = builder.constant(Tensor::from_f32(&[1, 6], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
        let constant = builder.op("Add", &[zeros, first]).unwrap();
        graph.set_outputs(vec![constant]);
    });
}

/// NaN for an image whose every value is `black`, as the model sees it, and the same logits for all others.
pub(super) fn with_nan_for_black(path: &Path, black: f32) {
    change(path, |graph| {
        let (images, logits) = (graph.inputs()[0], graph.outputs()[0]);
        let mut builder = Builder::new(graph, "nan");
        let axes = builder.ints(&[1, 2, 3]);
        let keepdims = [("keepdims", 0_i64.into())];
        let black = builder.scalar(black);
        let above = builder.op("Sub", &[images, black]).unwrap();
        let sum = builder.op_with("ReduceSum", &[above, axes], keepdims).unwrap();
        let logarithm = builder.op("Log", &[sum]).unwrap();
        let zero = builder.scalar(0.0);
        let nothing = builder.op("Mul", &[logarithm, zero]).unwrap();
        let axis = builder.ints(&[1]);
        let column = builder.op("Unsqueeze", &[nothing, axis]).unwrap();
        let sum = builder.op("Add", &[logits, column]).unwrap();
        graph.set_outputs(vec![sum]);
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

/// Adds the signs of the logits to them: Sign is an operator that not every engine computes as ONNX says.
pub(super) fn with_sign(path: &Path) {
    change(path, |graph| {
        let logits = graph.outputs()[0];
        let mut builder = Builder::new(graph, "signed");
        let sign = builder.op("Sign", &[logits]).unwrap();
        let signed = builder.op("Add", &[logits, sign]).unwrap();
        graph.set_outputs(vec![signed]);
    });
}
