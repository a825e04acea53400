//! Builds a [`Graph`] from the messages of a file.

use std::collections::HashSet;

use super::body::{self, Body};
use super::frames::Frames;
use super::node::{self, Bodies};
use super::proto::{GraphProto, NodeProto, TensorProto};
use super::tensor::TensorReader;
use super::types::{BatchSymbols, known_type};
use super::{names_read::names_read, proto::ValueInfoProto};
use crate::error::{Error, Result};
use crate::graph::{Attribute, Graph, Node, OpenInput, Subgraph, ValueId};

/// Builds the graph from its declaration and the nodes that inlining left; and the inputs whose types have dimensions
/// that the file leaves open.
///
/// Every name is defined before any node is linked, because a file may list nodes in any order.
pub(super) fn graph(
    proto: &GraphProto,
    nodes: &[NodeProto],
    opset: u32,
    tensors: &mut TensorReader<'_>,
) -> Result<(Graph, Vec<OpenInput>)> {
    let mut graph = Graph::new(proto.name(), opset);
    let open = add_inputs(&mut graph, proto, nodes)?;
    define(&mut graph, proto, nodes, tensors)?;
    let mut frames = Frames::new(graph);
    link(&mut frames, nodes, tensors)?;
    add_outputs(&mut frames, proto)?;
    let mut graph = frames.into_graph();
    graph.sort()?;
    Ok((graph, open))
}

/// Inputs that are not initialisers: before IR version 4 every initialiser had to be an input too, and later an
/// initialiser may be the default of one. An input that nothing reads need not be one that we know.
fn add_inputs(graph: &mut Graph, proto: &GraphProto, nodes: &[NodeProto]) -> Result<Vec<OpenInput>> {
    let initialisers: HashSet<&str> = proto.initializer.iter().map(TensorProto::name).collect();
    let inputs: Vec<_> = proto.input.iter().filter(|input| !initialisers.contains(input.name())).collect();
    let symbols = BatchSymbols::new(&inputs);
    let mut open = Vec::new();
    for input in &inputs {
        let name = require_name(input.name(), "an input")?;
        let declared = match symbols.input_type(input) {
            Ok(declared) => declared,
            Err(_) if inputs.len() > 1 && !is_read(input, proto, nodes) => continue,
            Err(error) => return Err(error.at_tensor(name)),
        };
        let known = known_type(&declared);
        let is_open = known.is_none();
        let id = graph.add_value(name, known)?;
        graph.add_input(id);
        open.extend(is_open.then_some(OpenInput { input: id, declared }));
    }
    Ok(open)
}

fn is_read(input: &ValueInfoProto, proto: &GraphProto, nodes: &[NodeProto]) -> bool {
    let returned = proto.output.iter().any(|output| output.name() == input.name());
    returned || nodes.iter().any(|node| names_read(node).any(|name| name == input.name()))
}

/// Defines what the graph itself computes or holds, its inputs aside.
fn define(
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

/// Links the nodes of the innermost graph, and of the bodies in them.
fn link(frames: &mut Frames, nodes: &[NodeProto], tensors: &mut TensorReader<'_>) -> Result<()> {
    for proto in nodes.iter().filter(|node| !node::is_constant(node)) {
        let (mut node, bodies) = node::convert(proto, frames, tensors)?;
        if !bodies.is_empty() {
            add_bodies(proto.op_type(), &mut node, bodies, frames, tensors)
                .map_err(|error| error.at(node::location(proto)))?;
        }
        frames.graph().push_node(node);
    }
    Ok(())
}

/// Reads the bodies of an If or a Loop into its attributes. The captured values become its last inputs.
fn add_bodies(
    op_type: &str,
    node: &mut Node,
    protos: Bodies<'_>,
    frames: &mut Frames,
    tensors: &mut TensorReader<'_>,
) -> Result<()> {
    let wanted: &[&str] = if op_type == "If" { &["then_branch", "else_branch"] } else { &["body"] };
    if let Some((other, _)) = protos.iter().find(|(name, _)| !wanted.contains(name)) {
        return Err(body::refuse("", other));
    }
    // Captures come after the trip count and the condition of a Loop, both of which may be left out.
    let leading = if op_type == "Loop" { 2 } else { 1 };
    node.inputs.resize(node.inputs.len().max(leading), None);
    let mut bodies =
        protos.iter().map(|(_, proto)| read_body(proto, frames, tensors)).collect::<Result<Vec<_>>>()?;
    bodies.iter_mut().filter(|_| op_type == "Loop").for_each(Body::type_leading);
    let captured = body::share_captures(&mut bodies);
    for ((name, _), body) in protos.into_iter().zip(bodies) {
        node.attributes.0.insert(name.to_owned(), Attribute::Graph(Box::new(body.subgraph)));
    }
    node.inputs.extend(captured.into_iter().map(Some));
    Ok(())
}

/// Reads a body.
///
/// # Errors
/// As for the model's own graph; types that a body declares are ignored, as those of all intermediate values are.
fn read_body(proto: &GraphProto, frames: &mut Frames, tensors: &mut TensorReader<'_>) -> Result<Body> {
    let mut graph = Graph::new(proto.name(), frames.graph().opset);
    let initialisers: HashSet<&str> = proto.initializer.iter().map(TensorProto::name).collect();
    for input in proto.input.iter().filter(|input| !initialisers.contains(input.name())) {
        let id = graph.add_value(require_name(input.name(), "an input")?, None)?;
        graph.add_input(id);
    }
    define(&mut graph, proto, &proto.node, tensors)?;
    frames.enter(graph);
    link(frames, &proto.node, tensors)?;
    add_outputs(frames, proto)?;
    let (mut graph, captures) = frames.leave();
    captures.iter().for_each(|(_, inner)| graph.add_input(*inner));
    graph.sort()?;
    let outer: Vec<ValueId> = captures.into_iter().map(|(outer, _)| outer).collect();
    Ok(Body { subgraph: Subgraph { graph, captures: outer.len() }, outer })
}

/// Declares the outputs of the innermost graph.
fn add_outputs(frames: &mut Frames, proto: &GraphProto) -> Result<()> {
    if proto.output.is_empty() {
        return Err(Error::format("its graph has no outputs: not an ONNX model, or it is truncated"));
    }
    for output in &proto.output {
        if let Some(id) = frames.find_or_define(require_name(output.name(), "an output")?)? {
            frames.graph().add_output(id);
        }
    }
    Ok(())
}

/// Refuses an empty name.
fn require_name<'n>(name: &'n str, what: &str) -> Result<&'n str> {
    if name.is_empty() { Err(Error::format(format!("{what} of the graph has no name"))) } else { Ok(name) }
}
