//! Writes a graph as a self-contained file.

use prost::Message;

use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};
use super::versions::ir_version_for;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Attribute, Dim, Graph, Node, Shape, TensorType, ValueId};
use crate::tensor::Tensor;

/// The most that protobuf, and so one ONNX file, can hold.
const MAX_BYTES: usize = (1 << 31) - 1;

/// The bytes of an ONNX file. Equal graphs give equal bytes.
///
/// # Errors
/// [`ErrorKind::Limit`] when the file would exceed 2 GiB.
pub fn write_model(graph: &Graph) -> Result<Vec<u8>> {
    let model = ModelProto {
        ir_version: Some(ir_version_for(graph.opset)),
        producer_name: Some("mimir".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(graph_proto(graph)),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(i64::from(graph.opset)),
        }],
        ..ModelProto::default()
    };
    let bytes = model.encoded_len();
    if bytes > MAX_BYTES {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "the graph needs {bytes} bytes, and one ONNX file holds at most {MAX_BYTES}: use a smaller model"
            ),
        ));
    }
    Ok(model.encode_to_vec())
}

fn graph_proto(graph: &Graph) -> GraphProto {
    let name = |id: ValueId| graph.value(id).name.clone();
    GraphProto {
        node: graph.nodes().iter().map(|node| node_proto(graph, node)).collect(),
        name: Some(graph.name.clone()),
        initializer: graph.constants().map(|(id, tensor)| tensor_proto(Some(name(id)), tensor)).collect(),
        input: graph.inputs().iter().map(|id| value_info(graph, *id)).collect(),
        output: graph.outputs().iter().map(|id| value_info(graph, *id)).collect(),
        ..GraphProto::default()
    }
}

fn node_proto(graph: &Graph, node: &Node) -> NodeProto {
    let names = |ids: &[Option<ValueId>]| {
        ids.iter().map(|id| id.map_or_else(String::new, |id| graph.value(id).name.clone())).collect()
    };
    NodeProto {
        input: names(&node.inputs),
        output: names(&node.outputs),
        name: Some(node.name.clone()),
        op_type: Some(node.op_type.clone()),
        attribute: node.attributes.0.iter().map(|(name, value)| attribute_proto(name, value)).collect(),
        ..NodeProto::default()
    }
}

fn attribute_proto(name: &str, value: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
    proto.r#type = Some(match value {
        Attribute::Int(value) => {
            proto.i = Some(*value);
            attribute_type::INT
        }
        Attribute::Float(value) => {
            proto.f = Some(*value);
            attribute_type::FLOAT
        }
        Attribute::Text(value) => {
            proto.s = Some(value.clone().into());
            attribute_type::STRING
        }
        Attribute::Tensor(value) => {
            proto.t = Some(Box::new(tensor_proto(None, value)));
            attribute_type::TENSOR
        }
        Attribute::Ints(values) => {
            proto.ints = values.clone();
            attribute_type::INTS
        }
        Attribute::Floats(values) => {
            proto.floats = values.clone();
            attribute_type::FLOATS
        }
        Attribute::Texts(values) => {
            proto.strings = values.iter().map(|value| value.clone().into()).collect();
            attribute_type::STRINGS
        }
    });
    proto
}

fn tensor_proto(name: Option<String>, tensor: &Tensor) -> TensorProto {
    TensorProto {
        dims: tensor.dims().iter().map(|dim| *dim as i64).collect(),
        data_type: Some(tensor.dtype() as i32),
        name,
        raw_data: Some(tensor.data().clone()),
        ..TensorProto::default()
    }
}

fn value_info(graph: &Graph, id: ValueId) -> ValueInfoProto {
    let value = graph.value(id);
    ValueInfoProto {
        name: Some(value.name.clone()),
        r#type: value.tensor_type.as_ref().map(type_proto),
        ..ValueInfoProto::default()
    }
}

fn type_proto(TensorType { dtype, shape }: &TensorType) -> TypeProto {
    let tensor_type = TensorTypeProto { elem_type: Some(*dtype as i32), shape: Some(shape_proto(shape)) };
    TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }
}

fn shape_proto(shape: &Shape) -> TensorShapeProto {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => DimensionProto { dim_value: Some(*size as i64), ..DimensionProto::default() },
        Dim::Batch(_) => DimensionProto { dim_param: Some(dim.to_string()), ..DimensionProto::default() },
    };
    TensorShapeProto { dim: shape.0.iter().map(dim).collect() }
}
