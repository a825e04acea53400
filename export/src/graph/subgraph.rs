//! The body of an If or a Loop.

use super::{Graph, ValueId};

/// A graph inside a node. It is closed: every value that it uses from the enclosing graph is an input of it.
///
/// ONNX lets a body name any value of the enclosing graphs. Here such values are *captures*: the last inputs of the
/// node, and in the same order the last inputs of each of its bodies. A pass that renames, sorts or removes values of the
/// outer graph therefore need not look into bodies. The writer turns captures into names again.
#[derive(Debug, Clone, PartialEq)]
pub struct Subgraph {
    /// The body.
    pub graph: Graph,
    /// How many of its last inputs are captures.
    pub captures: usize,
}

impl Subgraph {
    /// The inputs that the operator defines: none of an If; iteration number, condition and carried values of a Loop.
    pub fn parameters(&self) -> &[ValueId] {
        let inputs = self.graph.inputs();
        &inputs[..inputs.len().saturating_sub(self.captures)]
    }

    /// The inputs that are captures.
    pub fn captured(&self) -> &[ValueId] {
        &self.graph.inputs()[self.parameters().len()..]
    }
}
