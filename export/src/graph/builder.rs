//! Adds nodes so that a rule reads like its formula.

use super::structure::{Attribute, Attributes, Graph, Node, NodeId, ValueId};
use crate::error::Result;
use crate::tensor::{DataType, Tensor};

/// Finds the types of a node's outputs from the types of its inputs.
pub(crate) type Infer = fn(&mut Graph, NodeId) -> Result<()>;

/// Appends nodes to a graph that is in topological order and whose values have types.
///
/// Every node gets a name under a prefix, and its outputs get their types from shape inference at once, so that a
/// rule which emits something ill-typed fails where it is written.
pub struct Builder<'g> {
    graph: &'g mut Graph,
    prefix: String,
    infer: Infer,
}

impl<'g> Builder<'g> {
    /// A builder whose names start with `prefix`.
    ///
    /// It is handed the inference that it calls: the gradient rules are written with builders, and inference stands
    /// above the table that names those rules. Everything above inference calls [`Builder::new`].
    pub(crate) fn with_inference(graph: &'g mut Graph, prefix: impl Into<String>, infer: Infer) -> Self {
        Self { graph, prefix: prefix.into(), infer }
    }

    /// The graph so far.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// Names of nodes added from here on start with `prefix`.
    pub fn set_prefix(&mut self, prefix: impl Into<String>) {
        self.prefix = prefix.into();
    }

    /// Adds a node with one output and no attributes.
    ///
    /// # Errors
    /// When shape inference refuses the node.
    pub fn op(&mut self, op_type: &str, inputs: &[ValueId]) -> Result<ValueId> {
        self.op_with(op_type, inputs, [])
    }

    /// Adds a node with one output.
    ///
    /// # Errors
    /// When shape inference refuses the node.
    pub fn op_with<const COUNT: usize>(
        &mut self,
        op_type: &str,
        inputs: &[ValueId],
        attributes: [(&str, Attribute); COUNT],
    ) -> Result<ValueId> {
        let inputs = inputs.iter().copied().map(Some).collect();
        Ok(self.node(op_type, inputs, Attributes::from_pairs(attributes), 1)?[0])
    }

    /// Adds a node with any inputs and `outputs` outputs.
    ///
    /// # Errors
    /// When shape inference refuses the node.
    pub fn node(
        &mut self,
        op_type: &str,
        inputs: Vec<Option<ValueId>>,
        attributes: Attributes,
        outputs: usize,
    ) -> Result<Vec<ValueId>> {
        let base = format!("{}/{op_type}", self.prefix);
        let ids: Vec<ValueId> = (0..outputs).map(|_| self.graph.add_fresh_value(&base, None)).collect();
        let name = self.graph.value(ids[0]).name.clone();
        let outputs = ids.iter().copied().map(Some).collect();
        let id =
            self.graph.push_node(Node { name, op_type: op_type.to_owned(), inputs, outputs, attributes });
        (self.infer)(self.graph, id)?;
        Ok(ids)
    }

    /// Adds a constant.
    pub fn constant(&mut self, tensor: Tensor) -> ValueId {
        let base = format!("{}/constant", self.prefix);
        self.graph.add_constant(&base, tensor)
    }

    /// Adds a constant under that name, or a name made from it where it is taken.
    pub fn named_constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.graph.add_constant(name, tensor)
    }

    /// Adds a `float` scalar.
    pub fn scalar(&mut self, value: f32) -> ValueId {
        self.constant(Tensor::scalar_f32(value))
    }

    /// Adds an `int64` vector, as Reshape, Slice, ReduceSum and their like take it.
    pub fn ints(&mut self, values: &[i64]) -> ValueId {
        self.constant(Tensor::vector_i64(values))
    }

    /// `Cast` to that type.
    ///
    /// # Errors
    /// When shape inference refuses the node.
    pub fn cast(&mut self, value: ValueId, to: DataType) -> Result<ValueId> {
        self.op_with("Cast", &[value], [("to", Attribute::Int(to as i64))])
    }
}
