//! Bodies of If and Loop: graphs that may name any value of the graphs around them.

use std::collections::{HashMap, HashSet};

use super::build;
use super::names::Names;
use super::proto::{GraphProto, TensorProto};
use super::tensor::TensorReader;
use crate::error::{Error, Result};
use crate::graph::{Graph, Shape, Subgraph, TensorType, ValueId};
use crate::tensor::DataType;

/// The graphs that enclose the node that is being read, outermost first.
#[derive(Debug)]
pub(super) struct Frames {
    frames: Vec<Frame>,
    /// Names of nodes, in all graphs.
    pub(super) names: Names,
}

#[derive(Debug)]
struct Frame {
    graph: Graph,
    /// Pairs of a value of the enclosing graph and the value that stands for it here, in the order of their first use.
    captures: Vec<(ValueId, ValueId)>,
    captured: HashMap<ValueId, ValueId>,
}

impl Frame {
    fn new(graph: Graph) -> Self {
        Self { graph, captures: Vec::new(), captured: HashMap::new() }
    }
}

/// A body, and the values of the enclosing graph that it captures.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) subgraph: Subgraph,
    pub(super) outer: Vec<ValueId>,
}

impl Body {
    /// Gives the iteration number and the condition of a Loop their types, without which ONNX Runtime refuses the body.
    pub(super) fn type_leading(&mut self) {
        let leading = self.subgraph.parameters().to_vec();
        for (id, dtype) in leading.into_iter().zip([DataType::Int64, DataType::Bool]) {
            self.subgraph.graph.set_type(id, TensorType { dtype, shape: Shape::default() });
        }
    }
}

impl Frames {
    /// The model's own graph.
    pub(super) fn new(graph: Graph) -> Self {
        Self { frames: vec![Frame::new(graph)], names: Names::default() }
    }

    /// The innermost graph.
    pub(super) fn graph(&mut self) -> &mut Graph {
        &mut self.frames.last_mut().expect("the outermost stays").graph
    }

    /// The outermost graph, when all has been read.
    pub(super) fn into_graph(mut self) -> Graph {
        self.frames.swap_remove(0).graph
    }

    /// The value of that name as the innermost graph sees it; `None` for the empty name, an input that is left out.
    ///
    /// A name that nothing defines becomes a value too: [`Graph::sort`] then names the node that needs it.
    pub(super) fn find_or_define(&mut self, name: &str) -> Result<Option<ValueId>> {
        if name.is_empty() { Ok(None) } else { self.resolve(name, self.frames.len() - 1).map(Some) }
    }

    fn resolve(&mut self, name: &str, level: usize) -> Result<ValueId> {
        if let Some(id) = self.frames[level].graph.find(name) {
            return Ok(id);
        }
        if level == 0 {
            return self.frames[0].graph.add_value(name, None);
        }
        let outer = self.resolve(name, level - 1)?;
        let frame = &mut self.frames[level];
        if let Some(inner) = frame.captured.get(&outer) {
            return Ok(*inner);
        }
        let inner = frame.graph.add_value(name, None)?;
        frame.captures.push((outer, inner));
        frame.captured.insert(outer, inner);
        Ok(inner)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// As for the model's own graph; types that a body declares are ignored, as those of all intermediate values are.
    pub(super) fn body(&mut self, proto: &GraphProto, tensors: &mut TensorReader<'_>) -> Result<Body> {
        let opset = self.graph().opset;
        let mut graph = Graph::new(proto.name(), opset);
        let initialisers: HashSet<&str> = proto.initializer.iter().map(TensorProto::name).collect();
        for input in proto.input.iter().filter(|input| !initialisers.contains(input.name())) {
            let id = graph.add_value(build::require_name(input.name(), "an input")?, None)?;
            graph.add_input(id);
        }
        build::define(&mut graph, proto, &proto.node, tensors)?;
        self.frames.push(Frame::new(graph));
        build::link(self, &proto.node, tensors)?;
        build::add_outputs(self, proto)?;
        let Frame { mut graph, captures, .. } = self.frames.pop().expect("it was pushed above");
        captures.iter().for_each(|(_, inner)| graph.add_input(*inner));
        graph.sort()?;
        let outer: Vec<ValueId> = captures.into_iter().map(|(outer, _)| outer).collect();
        Ok(Body { subgraph: Subgraph { graph, captures: outer.len() }, outer })
    }
}

/// Gives the bodies of one node the same captures, in the same order, and returns those.
pub(super) fn share_captures(bodies: &mut [Body]) -> Vec<ValueId> {
    let mut seen = HashSet::new();
    let all = bodies.iter().flat_map(|body| body.outer.iter().copied());
    let shared: Vec<ValueId> = all.filter(|id| seen.insert(*id)).collect();
    for Body { subgraph, outer } in bodies {
        let parameters = subgraph.parameters().len();
        let own: HashMap<ValueId, ValueId> =
            outer.iter().copied().zip(subgraph.captured().iter().copied()).collect();
        let mut inputs = subgraph.graph.inputs()[..parameters].to_vec();
        for id in &shared {
            let inner = own.get(id).copied();
            inputs.push(inner.unwrap_or_else(|| subgraph.graph.add_fresh_value("unused", None)));
        }
        subgraph.graph.set_inputs(inputs);
        subgraph.captures = shared.len();
    }
    shared
}

/// The error for a subgraph in an operator that is not supported.
pub(super) fn refuse(op_type: &str, attribute: &str) -> Error {
    Error::unsupported(match op_type {
        "Scan" => {
            "a Scan is not supported: export the model with the loop unrolled (in PyTorch, a plain loop in \
                   Python under `torch.onnx.export` is)"
                .to_owned()
        }
        "SequenceMap" => {
            "sequences of tensors are not supported: export the model with tensors of a fixed number \
                          instead of lists"
                .to_owned()
        }
        _ => format!(
            "attribute `{attribute}` is a subgraph, which only If and Loop may have: export without custom control flow"
        ),
    })
}
