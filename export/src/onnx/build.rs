//! From the messages of a file to a [`Graph`].

use std::collections::HashSet;

use super::names::Names;
use super::node;
use super::proto::{GraphProto, NodeProto, TensorProto};
use super::tensor::TensorReader;
use super::types::BatchSymbols;
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};

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
    add_initialisers(&mut graph, proto, tensors)?;
    for node in nodes {
        define_outputs(&mut graph, node, tensors)?;
    }
    let mut names = Names::default();
    for node in nodes.iter().filter(|node| !node::is_constant(node)) {
        link(&mut graph, node, &mut names, tensors)?;
    }
    add_outputs(&mut graph, proto)?;
    graph.sort()?;
    Ok(graph)
}

/// Inputs that are not initialisers: before IR version 4 every initialiser had to be an input too, and later an
/// initialiser may be the default of one.
fn add_inputs(graph: &mut Graph, proto: &GraphProto) -> Result<()> {
    let initialisers: HashSet<&str> = proto.initializer.iter().map(TensorProto::name).collect();
    let inputs: Vec<_> = proto.input.iter().filter(|input| !initialisers.contains(input.name())).collect();
    let symbols = BatchSymbols::of(&inputs);
    for input in inputs {
        let name = named(input.name(), "an input")?;
        let tensor_type = symbols.tensor_type(input).map_err(|error| error.at_tensor(name))?;
        let id = graph.add_value(name, Some(tensor_type))?;
        graph.add_input(id);
    }
    Ok(())
}

fn add_initialisers(graph: &mut Graph, proto: &GraphProto, tensors: &mut TensorReader<'_>) -> Result<()> {
    for initialiser in &proto.initializer {
        let name = named(initialiser.name(), "an initialiser")?;
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
        let (name, tensor) = node::constant(proto, tensors).map_err(|error| error.at(node::place(proto)))?;
        let id = graph.add_value(name, None)?;
        graph.set_constant(id, tensor);
        return Ok(());
    }
    for output in proto.output.iter().filter(|output| !output.is_empty()) {
        graph.add_value(output, None)?;
    }
    Ok(())
}

fn link(
    graph: &mut Graph,
    proto: &NodeProto,
    names: &mut Names,
    tensors: &mut TensorReader<'_>,
) -> Result<()> {
    let inputs = proto.input.iter().map(|name| find_or_define(graph, name)).collect::<Result<_>>()?;
    let outputs = proto.output.iter().map(|name| find_or_define(graph, name)).collect::<Result<_>>()?;
    let node = node::convert(proto, inputs, outputs, names, tensors)?;
    graph.push_node(node);
    Ok(())
}

fn add_outputs(graph: &mut Graph, proto: &GraphProto) -> Result<()> {
    if proto.output.is_empty() {
        return Err(Error::format("its graph has no outputs: not an ONNX model, or it is cut off"));
    }
    for output in &proto.output {
        if let Some(id) = find_or_define(graph, named(output.name(), "an output")?)? {
            graph.add_output(id);
        }
    }
    Ok(())
}

/// The value of that name. A name that nothing defines becomes a value all the same: [`Graph::sort`] then says who
/// misses it.
fn find_or_define(graph: &mut Graph, name: &str) -> Result<Option<ValueId>> {
    if name.is_empty() {
        return Ok(None);
    }
    match graph.find(name) {
        Some(id) => Ok(Some(id)),
        None => graph.add_value(name, None).map(Some),
    }
}

fn named<'n>(name: &'n str, what: &str) -> Result<&'n str> {
    if name.is_empty() { Err(Error::format(format!("{what} of the graph has no name"))) } else { Ok(name) }
}
