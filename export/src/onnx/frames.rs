//! The graphs that are being read: a body may name any value of the enclosing graphs.

use std::collections::HashMap;

use super::names::Names;
use crate::error::Result;
use crate::graph::{Graph, ValueId};

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

    /// Begins a body inside the innermost graph.
    pub(super) fn enter(&mut self, graph: Graph) {
        self.frames.push(Frame::new(graph));
    }

    /// Ends the body begun last: its graph, and for each value of the enclosing graph that it reads, the two ids of it
    /// outside and inside.
    pub(super) fn leave(&mut self) -> (Graph, Vec<(ValueId, ValueId)>) {
        let Frame { graph, captures, .. } = self.frames.pop().expect("a body was begun");
        (graph, captures)
    }
}
