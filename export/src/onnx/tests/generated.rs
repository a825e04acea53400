//! Generated graphs for the round trips.

use bytes::Bytes;
use proptest::prelude::*;

use crate::graph::{Attribute, Attributes, Dim, Graph, Node, Shape, TensorType};
use crate::tensor::{DataType, Tensor};

fn dims() -> impl Strategy<Value = Shape> {
    let rest =
        prop::collection::vec(prop_oneof![4 => (1_usize..5).prop_map(Dim::Fixed), 1 => Just(Dim::N)], 0..4);
    (rest, any::<bool>()).prop_map(|(rest, batched)| {
        // The reader knows a symbol by the first dimension of an input.
        let first = if batched { Dim::N } else { Dim::Fixed(1) };
        let fixed = |dim: Dim| if batched { dim } else { Dim::Fixed(dim.fixed().unwrap_or(1)) };
        Shape(std::iter::once(first).chain(rest.into_iter().map(fixed)).collect())
    })
}

fn tensor() -> impl Strategy<Value = Tensor> {
    let float = prop::collection::vec(-1e30_f32..1e30, 0..6)
        .prop_map(|values| Tensor::from_f32(&[values.len()], &values));
    let int = prop::collection::vec(any::<i64>(), 0..6).prop_map(|values| Tensor::vector_i64(&values));
    let half = any::<i16>().prop_map(|value| {
        Tensor::new(DataType::Int16, vec![1, 1], Bytes::copy_from_slice(&value.to_le_bytes())).unwrap()
    });
    prop_oneof![float, int, half]
}

fn value() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        any::<i64>().prop_map(Attribute::Int),
        (-1e30_f32..1e30).prop_map(Attribute::Float),
        ".{0,8}".prop_map(Attribute::Text),
        tensor().prop_map(Attribute::Tensor),
        prop::collection::vec(any::<i64>(), 0..4).prop_map(Attribute::Ints),
        prop::collection::vec(-1e30_f32..1e30, 0..4).prop_map(Attribute::Floats),
        prop::collection::vec(".{0,8}", 0..4).prop_map(Attribute::Texts),
    ]
}

/// What one node is made from: operator, which earlier values it reads, how many outputs, attributes.
type NodeSeed = (String, Vec<Option<prop::sample::Index>>, usize, Vec<(String, Attribute)>);

fn node_seed() -> impl Strategy<Value = NodeSeed> {
    let inputs = prop::collection::vec(prop::option::weighted(0.8, any::<prop::sample::Index>()), 0..4);
    let attributes = prop::collection::vec(("[a-z_]{1,6}", value()), 0..3);
    ("[A-Z][a-z]{1,8}Op", inputs, 1_usize..4, attributes)
}

/// A graph of operators that need not exist.
pub(super) fn graph() -> impl Strategy<Value = Graph> {
    let inputs = prop::collection::vec(dims(), 1..4);
    let constants = prop::collection::vec(tensor(), 0..4);
    let nodes = prop::collection::vec(node_seed(), 0..8);
    (7_u32..=28, inputs, constants, nodes)
        .prop_map(|(opset, inputs, constants, nodes)| build(opset, inputs, constants, nodes))
}

/// A graph whose values are numbered as the reader numbers them: inputs, constants, outputs of nodes.
fn build(opset: u32, inputs: Vec<Shape>, constants: Vec<Tensor>, nodes: Vec<NodeSeed>) -> Graph {
    let mut graph = Graph::new("generated", opset);
    for (index, shape) in inputs.into_iter().enumerate() {
        let tensor_type = TensorType { dtype: DataType::Float32, shape };
        let id = graph.add_value(&format!("input {index}"), Some(tensor_type)).unwrap();
        graph.add_input(id);
    }
    for tensor in constants {
        graph.add_constant("weight/µ", tensor);
    }
    for (index, (op_type, inputs, outputs, attributes)) in nodes.into_iter().enumerate() {
        let known: Vec<_> = graph.value_ids().collect();
        let inputs = inputs.iter().map(|choice| choice.as_ref().map(|choice| *choice.get(&known))).collect();
        let outputs = (0..outputs).map(|_| Some(graph.add_fresh_value("v", None))).collect();
        let attributes = Attributes(attributes.into_iter().collect());
        let name = format!("node {index}");
        graph.push_node(Node { name, op_type, inputs, outputs, attributes });
    }
    let last = graph.value_ids().last().unwrap();
    graph.add_output(last);
    graph
}
