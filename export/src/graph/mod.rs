//! A graph of tensor operators: values, nodes in topological order, constants, inputs, outputs.
//!
//! A [`Graph`] is what the reader makes of an ONNX file and what the writer turns back into one. It keeps the
//! operators in the opset of the file ([`Graph::opset`]); [`upgrade`](crate::upgrade) brings a copy to the one
//! opset that shape inference and the gradient rules know. Values and nodes have newtype ids that stay valid
//! while nodes are added. A [`Builder`] adds nodes so that code reads like the formula.

mod attribute;
mod builder;
mod dim;
mod dump;
mod order;
mod subgraph;

use std::collections::{BTreeMap, HashMap, HashSet};

pub use attribute::{Attribute, Attributes};
pub use builder::Builder;
pub use dim::{Dim, Shape, normalise_axis};
pub use subgraph::Subgraph;

use crate::error::{Error, Result};
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

/// The model: see the [module documentation](self).
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Name of the graph.
    pub name: String,
    /// Opset of the default ONNX domain.
    pub opset: u32,
    values: Vec<Value>,
    nodes: Vec<Node>,
    constants: BTreeMap<ValueId, Tensor>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    names: HashMap<String, ValueId>,
}

impl Graph {
    /// A graph without content.
    pub fn new(name: impl Into<String>, opset: u32) -> Self {
        Self {
            name: name.into(),
            opset,
            values: Vec::new(),
            nodes: Vec::new(),
            constants: BTreeMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            names: HashMap::new(),
        }
    }

    /// Adds a value of exactly that name.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when the name is taken (a graph is in single-assignment form).
    pub fn add_value(&mut self, name: &str, tensor_type: Option<TensorType>) -> Result<ValueId> {
        if self.names.contains_key(name) {
            return Err(Error::format("is defined twice").at_tensor(name));
        }
        let id = ValueId(self.values.len() as u32);
        self.names.insert(name.to_owned(), id);
        self.values.push(Value { name: name.to_owned(), tensor_type });
        Ok(id)
    }

    /// Adds a value under `base`, or `base_2`, `base_3`, … where that name is taken.
    pub fn add_fresh_value(&mut self, base: &str, tensor_type: Option<TensorType>) -> ValueId {
        let name = std::iter::once(base.to_owned())
            .chain((2_usize..).map(|count| format!("{base}_{count}")))
            .find(|name| !self.names.contains_key(name))
            .expect("the sequence of names has no end");
        self.add_value(&name, tensor_type).expect("the name is free")
    }

    /// Adds a constant (an ONNX initialiser) and its value, under a fresh name.
    pub fn add_constant(&mut self, base: &str, tensor: Tensor) -> ValueId {
        let id = self.add_fresh_value(base, None);
        self.set_constant(id, tensor);
        id
    }

    /// Makes an existing value a constant.
    pub fn set_constant(&mut self, id: ValueId, tensor: Tensor) {
        self.values[id.index()].tensor_type =
            Some(TensorType { dtype: tensor.dtype(), shape: Shape::fixed(tensor.dims()) });
        self.constants.insert(id, tensor);
    }

    /// Declares an input of the graph.
    pub fn add_input(&mut self, id: ValueId) {
        self.inputs.push(id);
    }

    /// Declares an output of the graph.
    pub fn add_output(&mut self, id: ValueId) {
        self.outputs.push(id);
    }

    /// Replaces the inputs.
    pub fn set_inputs(&mut self, inputs: Vec<ValueId>) {
        self.inputs = inputs;
    }

    /// Replaces the outputs.
    pub fn set_outputs(&mut self, outputs: Vec<ValueId>) {
        self.outputs = outputs;
    }

    /// Appends a node. Its inputs must come earlier: see [`Graph::sort`] for graphs in file order.
    pub fn push_node(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId((self.nodes.len() - 1) as u32)
    }

    /// Replaces all nodes, for passes that rewrite the graph.
    pub fn set_nodes(&mut self, nodes: Vec<Node>) {
        self.nodes = nodes;
    }

    /// The nodes, in topological order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// One node, mutably.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// The value of that id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The ids of all values, in the order they were added.
    pub fn value_ids(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.values.len() as u32).map(ValueId)
    }

    /// The value of that name.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.names.get(name).copied()
    }

    /// Gives a value another name.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when the name is taken.
    pub fn rename(&mut self, id: ValueId, name: &str) -> Result<()> {
        if self.names.get(name).is_some_and(|taken| *taken != id) {
            return Err(Error::format("the name is taken").at_tensor(name));
        }
        let old = std::mem::replace(&mut self.values[id.index()].name, name.to_owned());
        self.names.remove(&old);
        self.names.insert(name.to_owned(), id);
        Ok(())
    }

    /// Records the type of a value.
    pub fn set_type(&mut self, id: ValueId, tensor_type: TensorType) {
        self.values[id.index()].tensor_type = Some(tensor_type);
    }

    /// Forgets every type that does not come from an input or a constant, before inference is run again.
    pub fn clear_types(&mut self) {
        let inputs: HashSet<ValueId> = self.inputs.iter().copied().collect();
        for id in self.value_ids() {
            if !inputs.contains(&id) && !self.constants.contains_key(&id) {
                self.values[id.index()].tensor_type = None;
            }
        }
    }

    /// The type of a value.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape), naming the tensor, when inference has not found it.
    pub fn tensor_type(&self, id: ValueId) -> Result<&TensorType> {
        let value = self.value(id);
        value
            .tensor_type
            .as_ref()
            .ok_or_else(|| Error::shape("its shape could not be determined").at_tensor(&value.name))
    }

    /// The shape of a value.
    ///
    /// # Errors
    /// As [`Graph::tensor_type`].
    pub fn shape(&self, id: ValueId) -> Result<&Shape> {
        self.tensor_type(id).map(|tensor_type| &tensor_type.shape)
    }

    /// The constant of that id.
    pub fn constant(&self, id: ValueId) -> Option<&Tensor> {
        self.constants.get(&id)
    }

    /// All constants, by id.
    pub fn constants(&self) -> impl Iterator<Item = (ValueId, &Tensor)> {
        self.constants.iter().map(|(id, tensor)| (*id, tensor))
    }

    /// Inputs in declaration order; constants are never among them.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// Outputs in declaration order.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// The node that produces each value; inputs and constants have none.
    pub fn producers(&self) -> HashMap<ValueId, NodeId> {
        let mut producers = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for output in node.outputs.iter().flatten() {
                producers.insert(*output, NodeId(index as u32));
            }
        }
        producers
    }

    /// Replaces every use of `old` (by nodes and as an output of the graph) with `new`.
    pub fn replace_uses(&mut self, old: ValueId, new: ValueId) {
        let nodes = self.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().flatten());
        for used in nodes.chain(self.outputs.iter_mut()) {
            if *used == old {
                *used = new;
            }
        }
    }

    /// Removes nodes and constants that no output needs. Ids of what remains stay valid; values are kept.
    pub fn prune(&mut self) {
        let mut needed = vec![false; self.values.len()];
        for output in &self.outputs {
            needed[output.index()] = true;
        }
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().flatten().any(|output| needed[output.index()]) {
                node.inputs.iter().flatten().for_each(|input| needed[input.index()] = true);
            }
        }
        self.nodes.retain(|node| node.outputs.iter().flatten().any(|output| needed[output.index()]));
        self.constants.retain(|id, _| needed[id.index()]);
    }
}
