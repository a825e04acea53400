//! The canonical text of a graph, for snapshots and for people.
//!
//! One line a node, in order: `%out: f32[N, 10] = Gemm(%x, %w, %b) {transB = 1}`. Constants are listed first with
//! their type; small ones with their values, others with a checksum, so that a change of any weight shows.

use std::fmt::{self, Write as _};

use super::{Attribute, Graph, Node, TensorType, ValueId};
use crate::tensor::{DataType, Tensor};

/// Constants of at most this many elements are printed.
const SHOWN_ELEMENTS: usize = 8;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph (opset {})", self.opset)?;
        for input in self.inputs() {
            writeln!(f, "input {}", self.typed(*input))?;
        }
        for (id, tensor) in self.constants() {
            writeln!(f, "const {} = {}", self.typed(id), contents(tensor))?;
        }
        for node in self.nodes() {
            writeln!(f, "{}", self.line(node))?;
        }
        for output in self.outputs() {
            writeln!(f, "output %{}", self.value(*output).name)?;
        }
        Ok(())
    }
}

impl Graph {
    fn typed(&self, id: ValueId) -> String {
        let value = self.value(id);
        match &value.tensor_type {
            Some(TensorType { dtype, shape }) => format!("%{}: {dtype}{shape}", value.name),
            None => format!("%{}: ?", value.name),
        }
    }

    fn line(&self, node: &Node) -> String {
        let outputs: Vec<String> =
            node.outputs.iter().map(|id| id.map_or("_".to_owned(), |id| self.typed(id))).collect();
        let inputs: Vec<String> = node
            .inputs
            .iter()
            .map(|id| id.map_or("_".to_owned(), |id| format!("%{}", self.value(id).name)))
            .collect();
        let mut line = format!("{} = {}({})", outputs.join(", "), node.op_type, inputs.join(", "));
        if !node.attributes.0.is_empty() {
            let attributes: Vec<String> = node
                .attributes
                .0
                .iter()
                .map(|(name, value)| format!("{name} = {}", attribute(value)))
                .collect();
            let _ = write!(line, " {{{}}}", attributes.join(", "));
        }
        line
    }
}

fn attribute(value: &Attribute) -> String {
    match value {
        Attribute::Int(value) => value.to_string(),
        Attribute::Float(value) => format!("{value:?}"),
        Attribute::Text(value) => format!("{value:?}"),
        Attribute::Tensor(tensor) => contents(tensor),
        Attribute::Ints(values) => format!("{values:?}"),
        Attribute::Floats(values) => format!("{values:?}"),
        Attribute::Texts(values) => format!("{values:?}"),
        Attribute::Graph(body) => format!("{{\n{}}}", body.graph),
    }
}

fn contents(tensor: &Tensor) -> String {
    if tensor.elements() > SHOWN_ELEMENTS {
        return format!("{} bytes, checksum {:016x}", tensor.data().len(), checksum(tensor.data()));
    }
    match tensor.dtype() {
        DataType::Float32 => format!("{:?}", tensor.to_f32().unwrap_or_default()),
        DataType::Int64 => format!("{:?}", tensor.to_i64().unwrap_or_default()),
        _ => format!("{:?}", tensor.data().as_ref()),
    }
}

/// FNV-1a, 64 bits: enough to see that a weight changed; digests that must hold are SHA-256, elsewhere.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
