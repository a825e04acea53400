//! The reader of ONNX files, and what is made of what it read.

use bytes::Bytes;
use mimir_bundle::Loss;
use mimir_export::graph::Graph;
use mimir_export::onnx::{Limits, ModelFile, read_model_bytes, write_model};
use mimir_export::simplify::simplify;
use mimir_export::upgrade::upgrade;
use mimir_export::{ImageClassifier, InputSpec, shape};

/// Small enough that no input takes a second.
pub(crate) const LIMITS: Limits = Limits {
    file_bytes: 1 << 22,
    fields: 100_000,
    nodes: 2_000,
    nesting: 32,
    tensor_bytes: 1 << 26,
    attribute_bytes: 1 << 22,
};

/// Reads a file. What was read can be written, and read again to the same graph.
pub(crate) fn read(bytes: &[u8]) {
    let Some(file) = model(bytes) else { return };
    file.graph.check_order().expect("nodes stand in order");
    let Ok(written) = write_model(&file.graph) else { return };
    let again = read_model_bytes(written.into(), None, &Limits::default());
    let again = again.expect("what was written can be read").graph;
    assert_eq!(again.nodes().len(), file.graph.nodes().len());
}

/// Upgrades, infers and simplifies the graph of a file.
pub(crate) fn shapes(bytes: &[u8]) {
    let Some(ModelFile { graph, .. }) = model(bytes) else { return };
    let mut typed = graph.clone();
    let _ = shape::infer(&mut typed);
    let Ok(mut upgraded) = upgrade(&graph) else { return };
    if shape::infer(&mut upgraded).is_ok() && simplify(&mut upgraded).is_ok() {
        sound(&upgraded);
    }
}

/// Reads a file as a classifier, and makes every graph of it.
pub(crate) fn prepare(bytes: &[u8]) {
    if let Some(file) = model(bytes) {
        every_graph(file);
    }
}

/// Makes every graph of a model. What is made can be read again.
pub(crate) fn every_graph(file: ModelFile) -> Option<ImageClassifier> {
    let classifier = ImageClassifier::new(file, &InputSpec::default()).ok()?;
    let classes = classifier.manifest().classes;
    let _ = classifier.memory(2);
    let _ = classifier.units_graph();
    let losses = Loss::ALL.iter().filter(|loss| loss.min_classes() <= classes);
    let gradients = losses.map(|loss| classifier.gradient_onnx(*loss));
    let others = [classifier.original_onnx(), classifier.forward_onnx(), classifier.margin_onnx()];
    for made in others.into_iter().chain(gradients).flatten() {
        let graph = read_model_bytes(made.into(), None, &Limits::default());
        sound(&graph.expect("a graph that we made can be read").graph);
    }
    Some(classifier)
}

fn sound(graph: &Graph) {
    graph.check_order().expect("nodes stand in order");
    for output in graph.outputs() {
        assert!(graph.find(&graph.value(*output).name).is_some());
    }
}

/// What a file holds, within the limits.
pub(crate) fn model(bytes: &[u8]) -> Option<ModelFile> {
    read_model_bytes(Bytes::copy_from_slice(bytes), None, &LIMITS).ok()
}
