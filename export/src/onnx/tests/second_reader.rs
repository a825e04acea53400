//! `onnx-protobuf` reads what we wrote, and finds in it the graph that we meant.
//!
//! It shares no code with our reader. It sees our own bytes only: the `protobuf` release that it pins can be killed by
//! a file (RUSTSEC-2024-0437).

use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_shape_proto::dimension::Value as DimValue;
use onnx_protobuf::type_proto::Value as TypeValue;
use onnx_protobuf::{AttributeProto, Message, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use proptest::prelude::*;

use super::generated;
use crate::graph::{Attribute, Attributes, Dim, Graph, Node, Shape, TensorType, ValueId};
use crate::onnx::write_model;
use crate::tensor::{DataType, Tensor};

fn graph_of(model: &ModelProto) -> Graph {
    let [opset] = model.opset_import.as_slice() else { panic!("{:?}", model.opset_import) };
    assert_eq!(opset.domain, "");
    let mut graph = Graph::new(&model.graph.name, opset.version.try_into().unwrap());
    for input in &model.graph.input {
        let id = graph.add_value(&input.name, Some(type_of(input))).unwrap();
        graph.add_input(id);
    }
    for tensor in &model.graph.initializer {
        let id = graph.add_value(&tensor.name, None).unwrap();
        graph.set_constant(id, tensor_of(tensor));
    }
    for node in &model.graph.node {
        for name in &node.output {
            graph.add_value(name, None).unwrap();
        }
        let node = node_of(&graph, node);
        graph.push_node(node);
    }
    for output in &model.graph.output {
        let id = graph.find(&output.name).unwrap();
        graph.add_output(id);
    }
    graph
}

fn node_of(graph: &Graph, node: &NodeProto) -> Node {
    assert_eq!(node.domain, "");
    let ids =
        |names: &[String]| -> Vec<Option<ValueId>> { names.iter().map(|name| graph.find(name)).collect() };
    let attributes = node.attribute.iter().map(|attribute| (attribute.name.clone(), attribute_of(attribute)));
    Node {
        name: node.name.clone(),
        op_type: node.op_type.clone(),
        inputs: ids(&node.input),
        outputs: ids(&node.output),
        attributes: Attributes(attributes.collect()),
    }
}

fn attribute_of(attribute: &AttributeProto) -> Attribute {
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    match attribute.type_.enum_value().unwrap() {
        AttributeType::INT => Attribute::Int(attribute.i),
        AttributeType::FLOAT => Attribute::Float(attribute.f),
        AttributeType::STRING => Attribute::Text(text(&attribute.s)),
        AttributeType::TENSOR => Attribute::Tensor(tensor_of(&attribute.t)),
        AttributeType::INTS => Attribute::Ints(attribute.ints.clone()),
        AttributeType::FLOATS => Attribute::Floats(attribute.floats.clone()),
        AttributeType::STRINGS => Attribute::Texts(attribute.strings.iter().map(text).collect()),
        other => panic!("we never write {other:?}"),
    }
}

fn tensor_of(tensor: &TensorProto) -> Tensor {
    let dims = tensor.dims.iter().map(|dim| usize::try_from(*dim).unwrap()).collect();
    Tensor::new(DataType::from_onnx(tensor.data_type).unwrap(), dims, tensor.raw_data.clone().into()).unwrap()
}

fn type_of(info: &ValueInfoProto) -> TensorType {
    let Some(TypeValue::TensorType(tensor)) = &info.type_.value else { panic!("{info:?}") };
    let dim = |value: &Option<DimValue>| match value {
        Some(DimValue::DimValue(size)) => Dim::Fixed(usize::try_from(*size).unwrap()),
        Some(DimValue::DimParam(name)) if name == "N" => Dim::N,
        other => panic!("{other:?}"),
    };
    let shape = Shape(tensor.shape.dim.iter().map(|proto| dim(&proto.value)).collect());
    TensorType { dtype: DataType::from_onnx(tensor.elem_type).unwrap(), shape }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn another_reader_finds_the_same_graph(graph in generated::graph()) {
        let bytes = write_model(&graph).unwrap();
        let model = ModelProto::parse_from_bytes(&bytes).unwrap();
        prop_assert_eq!(graph_of(&model), graph);
        prop_assert_eq!(model.producer_name, "mimir");
        prop_assert_eq!(model.producer_version, env!("CARGO_PKG_VERSION"));
        prop_assert!((4..=14).contains(&model.ir_version));
    }
}
