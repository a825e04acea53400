//! The types of a graph: values, nodes, attributes, and bodies inside attributes.
//!
//! They stand in one file because they contain each other: a graph has nodes, a node attributes, and an attribute may
//! hold a graph. What is done with them is in files of its own: `values`, `nodes`, `attribute`, `order`.

use std::collections::{BTreeMap, HashMap};

use super::dim::Shape;
use crate::error::{Error, Location, Result};
use crate::tensor::{DataType, Tensor};

/// Names one value of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) u32);

/// Names one node of a graph: its position in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl ValueId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl NodeId {
    /// Position in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Element type and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorType {
    /// Element type.
    pub dtype: DataType,
    /// Dimensions.
    pub shape: Shape,
}

/// A tensor that flows through the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Unique name.
    pub name: String,
    /// Type, once shape inference has found it (inputs have it from the file).
    pub tensor_type: Option<TensorType>,
}

/// One operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Unique name; the reader derives it from the first output where the file has none.
    pub name: String,
    /// Operator of the default ONNX domain, e.g. `Conv`; of another domain with its name in front, e.g.
    /// `com.microsoft::QLinearAdd`.
    pub op_type: String,
    /// Inputs; `None` where an optional one is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Outputs; `None` where an optional one is left out.
    pub outputs: Vec<Option<ValueId>>,
    /// Attributes.
    pub attributes: Attributes,
}

impl Node {
    /// Input number `index`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when the node does not have it.
    pub fn input(&self, index: usize) -> Result<ValueId> {
        self.optional_input(index)
            .ok_or_else(|| Error::format(format!("input {index} is missing")).at_node(self))
    }

    /// Input number `index`, where the node has it.
    pub fn optional_input(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    /// Output number `index`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when the node does not have it.
    pub fn output(&self, index: usize) -> Result<ValueId> {
        self.optional_output(index)
            .ok_or_else(|| Error::format(format!("output {index} is missing")).at_node(self))
    }

    /// Output number `index`, where the node has it.
    pub fn optional_output(&self, index: usize) -> Option<ValueId> {
        self.outputs.get(index).copied().flatten()
    }
}

impl Error {
    /// Names the node, unless a location is known already: the innermost location wins.
    #[must_use]
    pub fn at_node(self, node: &Node) -> Self {
        self.at(Location::Node { name: node.name.clone(), op_type: node.op_type.clone() })
    }
}

/// The value of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// `INT`
    Int(i64),
    /// `FLOAT`
    Float(f32),
    /// `STRING`, UTF-8
    Text(String),
    /// `TENSOR`
    Tensor(Tensor),
    /// `INTS`
    Ints(Vec<i64>),
    /// `FLOATS`
    Floats(Vec<f32>),
    /// `STRINGS`, UTF-8
    Texts(Vec<String>),
    /// `GRAPH`: a branch of an If, or the body of a Loop
    Graph(Box<Subgraph>),
}

/// The attributes of a node, ordered by name so that dumps and files are canonical.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes(pub BTreeMap<String, Attribute>);

/// A graph inside a node. It is closed: every value that it uses from the enclosing graph is an input of it.
///
/// ONNX lets a body name any value of the enclosing graphs. Here such values are *captures*: the last inputs of the
/// node, and in the same order the last inputs of each of its bodies. A pass that renames, sorts or removes values of
/// the outer graph therefore need not look into bodies. The writer turns captures into names again.
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

/// The model: see the [module documentation](super).
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Name of the graph.
    pub name: String,
    /// Opset of the default ONNX domain.
    pub opset: u32,
    pub(super) values: Vec<Value>,
    pub(super) nodes: Vec<Node>,
    pub(super) constants: BTreeMap<ValueId, Tensor>,
    pub(super) inputs: Vec<ValueId>,
    pub(super) outputs: Vec<ValueId>,
    pub(super) names: HashMap<String, ValueId>,
    pub(super) counters: Counters,
}

/// The number that a fresh name begins to look for a free one at, by the name without a number: without it, a hundred
/// thousand values of one name would be tried one after the other for each. Says nothing of what the graph computes.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters(pub(super) HashMap<String, usize>);

impl PartialEq for Counters {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
