//! Whole files, good and hostile. The messages are built here from the structs of `proto`, so that each hostile file
//! says in Rust what is wrong with it.
#![allow(clippy::too_many_lines, reason = "tables of cases may be long")]

mod ai_onnx_ml;
mod bodies;
mod bundled;
mod external;
mod functions;
mod generated;
mod hostile;
mod prepared;
mod protobuf;
mod round_trip;
mod second_reader;
mod tensors;

use bytes::Bytes;
use prost::Message;

use super::proto::*;
use super::{Limits, ModelFile, read_model_bytes};
use crate::error::{ErrorKind, Result};

/// A model of IR version 8, opset 17, around a graph.
fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![opset("", 17)],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn opset(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(version) }
}

/// A graph from the float input `x: [N, 4]` to the output `y`.
fn graph(node: Vec<NodeProto>) -> GraphProto {
    let (batch, four) = (named_dim("batch"), fixed_dim(4));
    GraphProto {
        node,
        name: Some("test".to_owned()),
        input: vec![input("x", vec![batch, four])],
        output: vec![ValueInfoProto { name: Some("y".to_owned()), ..ValueInfoProto::default() }],
        ..GraphProto::default()
    }
}

/// [`graph`] of one `Relu`, which all of ONNX agrees about.
fn relu_graph() -> GraphProto {
    graph(vec![node("Relu", &["x"], &["y"])])
}

/// [`graph`] that adds a weight to `x`.
fn graph_with(weight: TensorProto) -> GraphProto {
    let add = node("Add", &["x", weight.name()], &["y"]);
    GraphProto { initializer: vec![weight], ..graph(vec![add]) }
}

/// A node named like its operator, in lower case.
fn node(op_type: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto {
        input: strings(input),
        output: strings(output),
        name: Some(op_type.to_lowercase()),
        op_type: Some(op_type.to_owned()),
        ..NodeProto::default()
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn input(name: &str, dim: Vec<DimensionProto>) -> ValueInfoProto {
    let tensor_type = TensorTypeProto { elem_type: Some(1), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

fn fixed_dim(size: i64) -> DimensionProto {
    DimensionProto { dim_value: Some(size), ..DimensionProto::default() }
}

fn named_dim(name: &str) -> DimensionProto {
    DimensionProto { dim_param: Some(name.to_owned()), ..DimensionProto::default() }
}

/// The float tensor `w`.
fn weight(dims: &[i64], values: &[f32]) -> TensorProto {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(1),
        name: Some("w".to_owned()),
        raw_data: Some(raw.into()),
        ..TensorProto::default()
    }
}

fn attribute(name: &str, r#type: i32) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(r#type), ..AttributeProto::default() }
}

fn read(model: &ModelProto) -> Result<ModelFile> {
    read_under(model, &Limits::default())
}

fn read_under(model: &ModelProto, limits: &Limits) -> Result<ModelFile> {
    read_model_bytes(Bytes::from(model.encode_to_vec()), None, limits)
}

/// Asserts kind and full text, which starts with the location.
#[track_caller]
fn assert_refused(result: Result<ModelFile>, kind: ErrorKind, text: &str) {
    let error = result.expect_err(text);
    assert_eq!(error.to_string(), text);
    assert_eq!(error.kind(), kind, "{text}");
}
