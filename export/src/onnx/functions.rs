//! Inlines model-local functions.
//!
//! Eighteen functions that call each other twice make a file of one kilobyte and a graph of 262 144 nodes, so every step is
//! paid from a budget: nodes and calls alike, and the bytes of the nodes that come out.

use std::collections::HashMap;

use prost::Message;

use super::limits::{Allowance, Limits, exceeded};
use super::names::Names;
use super::node;
use super::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto};
use super::scope::Scope;
use super::versions::{default_opset, is_default_domain};
use crate::error::{Error, Result};

/// The nodes of the graph, all of the default domain.
///
/// # Errors
/// Names the node that calls a function of another opset, itself, too deeply, or an operator that is neither ONNX's nor
/// a function of the model.
pub(super) fn inline(
    graph: &GraphProto,
    functions: &[FunctionProto],
    opset: u32,
    limits: &Limits,
) -> Result<Vec<NodeProto>> {
    let mut inliner = Inliner {
        functions: by_key(functions)?,
        opset: i64::from(opset),
        nesting: limits.nesting,
        nodes: Allowance::new(limits.nodes as u64, "nodes after inlining functions", "nodes"),
        bytes: Allowance::new(
            limits.attribute_bytes,
            "bytes of nodes after inlining functions",
            "attribute_bytes",
        ),
        names: value_names(graph),
        active: Vec::new(),
        inlined: Vec::new(),
    };
    for node in &graph.node {
        inliner.expand(node.clone())?;
    }
    Ok(inliner.inlined)
}

/// Domain, name and overload.
type Key<'m> = (&'m str, &'m str, &'m str);

fn key_of(function: &FunctionProto) -> Key<'_> {
    (function.domain(), function.name(), function.overload())
}

fn by_key(functions: &[FunctionProto]) -> Result<HashMap<Key<'_>, &FunctionProto>> {
    let mut by_key = HashMap::new();
    for function in functions {
        let key @ (domain, name, _) = key_of(function);
        if is_default_domain(domain) {
            return Err(Error::unsupported(format!(
                "function `{name}` replaces an operator of ONNX's own domain: give it a domain of its own"
            )));
        }
        if by_key.insert(key, function).is_some() {
            return Err(Error::format(format!("function `{domain}::{name}` is defined twice")));
        }
    }
    Ok(by_key)
}

fn value_names(graph: &GraphProto) -> Names {
    let mut names = Names::default();
    graph.input.iter().for_each(|input| names.take(input.name()));
    graph.output.iter().for_each(|output| names.take(output.name()));
    graph.initializer.iter().for_each(|tensor| names.take(tensor.name()));
    graph
        .node
        .iter()
        .flat_map(|node| node.input.iter().chain(&node.output))
        .for_each(|name| names.take(name));
    names
}

struct Inliner<'m> {
    functions: HashMap<Key<'m>, &'m FunctionProto>,
    opset: i64,
    nesting: usize,
    nodes: Allowance,
    bytes: Allowance,
    names: Names,
    /// The functions being expanded, outermost first.
    active: Vec<Key<'m>>,
    inlined: Vec<NodeProto>,
}

impl<'m> Inliner<'m> {
    fn expand(&mut self, node: NodeProto) -> Result<()> {
        let at_node = |error: Error| error.at(node::place(&node));
        self.nodes.spend(1).map_err(at_node)?;
        self.bytes.spend(bytes_of(&node)).map_err(at_node)?;
        if is_default_domain(node.domain()) {
            self.inlined.push(node);
            return Ok(());
        }
        let function = self.function(&node).map_err(at_node)?;
        let mut scope = Scope::new(function, &node, &mut self.names).map_err(at_node)?;
        self.active.push(key_of(function));
        for inner in &function.node {
            let inner = scope.node(inner, &mut self.names);
            self.expand(inner)?;
        }
        for identity in scope.identities() {
            self.expand(identity)?;
        }
        self.active.pop();
        Ok(())
    }

    fn function(&self, node: &NodeProto) -> Result<&'m FunctionProto> {
        let key = (node.domain(), node.op_type(), node.overload());
        let function = *self.functions.get(&key).ok_or_else(|| unknown_domain(node))?;
        if self.active.contains(&key_of(function)) {
            return Err(Error::format(
                "the function that it calls contains this call: functions must not recurse",
            ));
        }
        if self.active.len() >= self.nesting {
            return Err(exceeded("function calls inside each other", self.nesting, "nesting"));
        }
        match default_opset(&function.opset_import)? {
            Some(version) if version != self.opset => Err(Error::unsupported(format!(
                "the function that it calls is written in opset {version}, the model in {}: export with one opset",
                self.opset
            ))),
            _ => Ok(function),
        }
    }
}

fn unknown_domain(node: &NodeProto) -> Error {
    Error::unsupported(format!(
        "is of domain `{}`; known are ONNX's own domain and functions that the model defines: export without fused or \
         custom operators",
        node.domain()
    ))
}

/// What a node costs besides raw tensor bytes, which are shared and not copied.
fn bytes_of(node: &NodeProto) -> usize {
    let raw = |attribute: &AttributeProto| {
        attribute.t.as_ref().and_then(|tensor| tensor.raw_data.as_ref()).map_or(0, bytes::Bytes::len)
    };
    node.encoded_len() - node.attribute.iter().map(raw).sum::<usize>()
}
