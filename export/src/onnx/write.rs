//! Writes a graph as a self-contained file, or with its weights beside it.

use std::collections::{HashMap, HashSet};

use mimir_bundle::kernels::BATCH_LAST_LANES;
use mimir_bundle::{PreparedGraph, WEIGHTS_LOCATION, Weight};
use prost::Message;

use super::domains;
use super::proto::{
    AttributeProto, DimensionProto, EXTERNAL, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    attribute_type,
};
use super::shared::SharedWeights;
use super::versions::ir_version_for;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::own_operators::CONVOLUTION_BATCH_LAST;
use crate::graph::{Attribute, Dim, Graph, Node, Shape, Subgraph, TensorType, ValueId};
use crate::operators::signature;
use crate::tensor::{DataType, Tensor};

/// The most that protobuf, and so one ONNX file, can hold.
const MAX_BYTES: usize = (1 << 31) - 1;

/// Constants of fewer bytes stay in the file: they may decide shapes, and sharing them gains nothing.
pub(super) const SMALLEST_SHARED: usize = 1024;

/// The bytes of an ONNX file. Equal graphs give equal bytes.
///
/// # Errors
/// [`ErrorKind::Limit`] when the file would exceed 2 GiB; otherwise for a graph that is not in order or has a node that its
/// operator's page does not allow.
pub fn write_model(graph: &Graph) -> Result<Vec<u8>> {
    encode(graph, graph_proto(graph))
}

/// The same graph with its large weights outside the file. Weights are not copied; those that `shared` already holds
/// are shared with it.
///
/// # Errors
/// As [`write_model`].
pub fn write_prepared(graph: &Graph, shared: &mut SharedWeights) -> Result<PreparedGraph> {
    let mut proto = graph_proto(graph);
    let mut weights = Vec::new();
    for ((_, tensor), initializer) in graph.constants().zip(&mut proto.initializer) {
        if tensor.dtype() != DataType::Float32 || tensor.data().len() < SMALLEST_SHARED {
            continue;
        }
        make_external(initializer, WEIGHTS_LOCATION, 0, tensor.data().len());
        weights.push(Weight {
            name: initializer.name.clone().unwrap_or_default(),
            dims: tensor.dims().to_vec(),
            data: shared.intern(tensor.data()),
        });
    }
    Ok(PreparedGraph { model: encode(graph, proto)?.into(), weights, lanes: lanes(graph) })
}

/// Images that the kernels of a graph compute side by side.
fn lanes(graph: &Graph) -> usize {
    let has_batch_last = graph.nodes().iter().any(|node| node.op_type == CONVOLUTION_BATCH_LAST);
    if has_batch_last { BATCH_LAST_LANES } else { 1 }
}

/// Says that the data of an initialiser is elsewhere.
pub(super) fn make_external(initializer: &mut TensorProto, location: &str, offset: u64, length: usize) {
    let entry =
        |key: &str, value: String| StringStringEntryProto { key: Some(key.to_owned()), value: Some(value) };
    initializer.raw_data = None;
    initializer.data_location = Some(EXTERNAL);
    initializer.external_data = vec![
        entry("location", location.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", length.to_string()),
    ];
}

/// The whole file as a message; weights are not copied.
pub(super) fn model_proto(graph: &Graph) -> ModelProto {
    with_header(graph, graph_proto(graph))
}

fn with_header(graph: &Graph, proto: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(ir_version_for(graph.opset)),
        producer_name: Some("mimir".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(proto),
        opset_import: imports(graph),
        ..ModelProto::default()
    }
}

/// The file of a graph.
pub(super) fn encode(graph: &Graph, proto: GraphProto) -> Result<Vec<u8>> {
    check(graph)?;
    let model = with_header(graph, proto);
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

/// What leaves is in order, its inputs have types, and every node is as its operator's page has it, whatever was rewritten. An If and a Loop have
/// inputs of ours, the captures of their bodies.
fn check(graph: &Graph) -> Result<()> {
    graph.check_order()?;
    let untyped =
        graph.inputs().iter().map(|input| graph.value(*input)).find(|value| value.tensor_type.is_none());
    if let Some(value) = untyped {
        let message =
            "this input has no type, without which no file can be read again: state the shape of an image";
        return Err(Error::shape(message).at_tensor(&value.name));
    }
    let has_body =
        |node: &&Node| node.attributes.0.values().any(|attribute| matches!(attribute, Attribute::Graph(_)));
    let mut plain = graph.nodes().iter().filter(|node| !has_body(node));
    plain.try_for_each(|node| signature::check(node, &[], graph.opset).map_err(|error| error.at_node(node)))
}

/// The operator sets that the graph needs. Those of other domains have one version.
fn imports(graph: &Graph) -> Vec<OperatorSetIdProto> {
    let import = |domain: &str, version| OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(i64::from(version)),
    };
    let mut imports = vec![import("", graph.opset)];
    imports.extend(domains::used_by(graph).into_iter().map(|domain| import(domain, 1)));
    imports
}

/// The graph as a message; weights are not copied.
pub(super) fn graph_proto(graph: &Graph) -> GraphProto {
    let names: Vec<String> = graph.value_ids().map(|id| graph.value(id).name.clone()).collect();
    let mut taken = names.iter().cloned().collect();
    Writer { graph, names, taken: &mut taken }.graph_proto(graph.inputs())
}

/// Writes one graph, or the body of a node.
struct Writer<'g> {
    graph: &'g Graph,
    /// What each value is called in the file.
    names: Vec<String>,
    /// The names of all graphs that have been written: a body must not use one again.
    taken: &'g mut HashSet<String>,
}

impl Writer<'_> {
    fn graph_proto(&mut self, inputs: &[ValueId]) -> GraphProto {
        let graph = self.graph;
        GraphProto {
            node: graph.nodes().iter().map(|node| self.node_proto(node)).collect(),
            name: Some(graph.name.clone()),
            initializer: graph
                .constants()
                .map(|(id, tensor)| tensor_proto(Some(self.name(id)), tensor))
                .collect(),
            input: inputs.iter().map(|id| self.value_info(*id)).collect(),
            output: graph.outputs().iter().map(|id| self.value_info(*id)).collect(),
            value_info: self.inner_values().map(|id| self.value_info(id)).collect(),
            ..GraphProto::default()
        }
    }

    /// Results of nodes whose types we know. ONNX Runtime keeps its own layout of images only between nodes that it
    /// knows to have one batch, and its inference gives each Reshape and Expand another.
    fn inner_values(&self) -> impl Iterator<Item = ValueId> {
        let graph = self.graph;
        let typed = |id: &ValueId| graph.value(*id).tensor_type.is_some() && !graph.outputs().contains(id);
        graph.nodes().iter().flat_map(|node| node.outputs.iter().flatten().copied()).filter(typed)
    }

    fn name(&self, id: ValueId) -> String {
        self.names[id.index()].clone()
    }

    fn node_proto(&mut self, node: &Node) -> NodeProto {
        let names = |ids: &[Option<ValueId>]| -> Vec<String> {
            ids.iter().map(|id| id.map_or_else(String::new, |id| self.name(id))).collect()
        };
        let mut input = names(&node.inputs);
        let output = names(&node.outputs);
        let captures = captures(node);
        let captured = input.split_off(input.len().saturating_sub(captures));
        let (domain, op_type) = domains::split(&node.op_type);
        let attributes = node.attributes.0.iter();
        NodeProto {
            input,
            output,
            name: Some(node.name.clone()),
            op_type: Some(op_type.to_owned()),
            domain: domain.map(str::to_owned),
            attribute: attributes.map(|(name, value)| self.attribute_proto(name, value, &captured)).collect(),
            ..NodeProto::default()
        }
    }

    /// A body; `captured` are the names in the enclosing graph of the values that it captures.
    fn body_proto(&mut self, body: &Subgraph, captured: &[String]) -> GraphProto {
        let graph = &body.graph;
        let outer: HashMap<ValueId, &String> = body.captured().iter().copied().zip(captured).collect();
        let mut names = Vec::new();
        for id in graph.value_ids() {
            names.push(match outer.get(&id) {
                Some(name) => (*name).clone(),
                None => fresh(self.taken, &graph.value(id).name),
            });
        }
        Writer { graph, names, taken: self.taken }.graph_proto(body.parameters())
    }

    fn attribute_proto(&mut self, name: &str, value: &Attribute, captured: &[String]) -> AttributeProto {
        let Attribute::Graph(body) = value else { return attribute_proto(name, value) };
        AttributeProto {
            name: Some(name.to_owned()),
            g: Some(Box::new(self.body_proto(body, captured))),
            r#type: Some(attribute_type::GRAPH),
            ..AttributeProto::default()
        }
    }

    fn value_info(&self, id: ValueId) -> ValueInfoProto {
        ValueInfoProto {
            name: Some(self.name(id)),
            r#type: self.graph.value(id).tensor_type.as_ref().map(type_proto),
            ..ValueInfoProto::default()
        }
    }
}

/// How many of the last inputs of a node are captures of its bodies.
fn captures(node: &Node) -> usize {
    let bodies = node.attributes.0.values().filter_map(|attribute| match attribute {
        Attribute::Graph(body) => Some(body.captures),
        _ => None,
    });
    bodies.max().unwrap_or_default()
}

/// `base`, or `base_2`, `base_3`, … if that is taken.
fn fresh(taken: &mut HashSet<String>, base: &str) -> String {
    let numbered = (2_usize..).map(|count| format!("{base}_{count}"));
    let name = std::iter::once(base.to_owned()).chain(numbered).find(|name| !taken.contains(name));
    let name = name.expect("the sequence of names has no end");
    taken.insert(name.clone());
    name
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
        // Written by `Writer::attribute_proto`, which knows the captures.
        Attribute::Graph(_) => attribute_type::GRAPH,
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
