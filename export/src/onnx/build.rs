//! Builds a [`Graph`] from the messages of a file.

use std::collections::HashSet;

use super::body::Frames;
use super::node;
use super::proto::{GraphProto, NodeProto, TensorProto};
use super::tensor::TensorReader;
use super::types::BatchSymbols;
use crate::error::{Error, Result};
use crate::graph::Graph;

/// Builds the graph from its declaration and the nodes that inlining left.
///
/// Every name is defined before any node is linked, because a file may list nodes in any order.
pub(super) fn graph(
    proto: &GraphProto,
    nodes: &[NodeProto],
    opset: u32,
    tensors: &mut TensorReader<'_>,
) -> Result<Graph> {
    let mut graph = Graph::new(proto.name(), opset);
    add_inputs(&mut graph, proto)?;
    define(&mut graph, proto, nodes, tensors)?;
    let mut frames = Frames::new(graph);
    link(&mut frames, nodes, tensors)?;
    add_outputs(&mut frames, proto)?;
    let mut graph = frames.into_graph();
    graph.sort()?;
    Ok(graph)
}

/// Inputs that are not initialisers: before IR version 4 every initialiser had to be an input too, and later an
/// initialiser may be the default of one.
fn add_inputs(graph: &mut Graph, proto: &GraphProto) -> Result<()> {
    let initialisers: HashSet<&str> = proto.initializer.iter().map(TensorProto::name).collect();
    let inputs: Vec<_> = proto.input.iter().filter(|input| !initialisers.contains(input.name())).collect();
    let symbols = BatchSymbols::new(&inputs);
    for input in inputs {
        let name = require_name(input.name(), "an input")?;
        let tensor_type = symbols.tensor_type(input).map_err(|error| error.at_tensor(name))?;
        let id = graph.add_value(name, Some(tensor_type))?;
        graph.add_input(id);
    }
    Ok(())
}

/// Defines what the graph itself computes or holds, its inputs aside.
pub(super) fn define(
    graph: &mut Graph,
    proto: &GraphProto,
    nodes: &[NodeProto],
    tensors: &mut TensorReader<'_>,
) -> Result<()> {
    add_initialisers(graph, proto, tensors)?;
    nodes.iter().try_for_each(|node| define_outputs(graph, node, tensors))
}

fn add_initialisers(graph: &mut Graph, proto: &GraphProto, tensors: &mut TensorReader<'_>) -> Result<()> {
    for initialiser in &proto.initializer {
        let name = require_name(initialiser.name(), "an initialiser")?;
        let tensor = tensors.read(initialiser).map_err(|error| error.at_tensor(name))?;
        let id = graph.add_value(name, None)?;
        graph.set_constant(id, tensor);
    }
    match proto.sparse_initializer.first() {
        Some(sparse) => {
            let name = sparse.values.as_ref().map(TensorProto::name).unwrap_or_default();
            Err(Error::unsupported("is sparse: store it as a dense initialiser").at_tensor(name))
        }
        None => Ok(()),
    }
}

fn define_outputs(graph: &mut Graph, proto: &NodeProto, tensors: &mut TensorReader<'_>) -> Result<()> {
    if node::is_constant(proto) {
        let (name, tensor) =
            node::constant(proto, tensors).map_err(|error| error.at(node::location(proto)))?;
        let id = graph.add_value(name, None)?;
        graph.set_constant(id, tensor);
        return Ok(());
    }
    for output in proto.output.iter().filter(|output| !output.is_empty()) {
        graph.add_value(output, None)?;
    }
    Ok(())
}

/// Links the nodes of the innermost graph.
pub(super) fn link(frames: &mut Frames, nodes: &[NodeProto], tensors: &mut TensorReader<'_>) -> Result<()> {
    for proto in nodes.iter().filter(|node| !node::is_constant(node)) {
        let node = node::convert(proto, frames, tensors)?;
        frames.graph().push_node(node);
    }
    Ok(())
}

/// Declares the outputs of the innermost graph.
pub(super) fn add_outputs(frames: &mut Frames, proto: &GraphProto) -> Result<()> {
    if proto.output.is_empty() {
        return Err(Error::format("its graph has no outputs: not an ONNX model, or it is cut off"));
    }
    for output in &proto.output {
        if let Some(id) = frames.find_or_define(require_name(output.name(), "an output")?)? {
            frames.graph().add_output(id);
        }
    }
    Ok(())
}

/// Refuses an empty name.
pub(super) fn require_name<'n>(name: &'n str, what: &str) -> Result<&'n str> {
    if name.is_empty() { Err(Error::format(format!("{what} of the graph has no name"))) } else { Ok(name) }
}
