//! Whole preparation, on graphs that are valid.

use mimir_export::onnx::write_model;

use super::graphs::{Freedom, composed};
use super::onnx;

/// Composes a graph, writes it, reads it as a foreign file, and makes every graph of it.
pub(crate) fn run(bytes: &[u8]) {
    let Some(graph) = composed(bytes, Freedom::Anything) else { return };
    let file = write_model(&graph).expect("a composed graph can be written");
    let read = onnx::model(&file).expect("a composed graph can be read");
    let _ = onnx::every_graph(read);
}
