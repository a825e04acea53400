//! The values of a graph: names, types, constants, inputs and outputs.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::dim::Shape;
use super::structure::{Counters, Graph, TensorType, Value, ValueId};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

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
            counters: Counters::default(),
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
        let name = if self.names.contains_key(base) { self.numbered(base) } else { base.to_owned() };
        self.add_value(&name, tensor_type).expect("the name is free")
    }

    fn numbered(&mut self, base: &str) -> String {
        let first = self.counters.0.get(base).copied().unwrap_or(2);
        let (count, name) = (first..)
            .map(|count| (count, format!("{base}_{count}")))
            .find(|(_, name)| !self.names.contains_key(name))
            .expect("the sequence of names has no end");
        self.counters.0.insert(base.to_owned(), count + 1);
        name
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
}
