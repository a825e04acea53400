//! The document: types of what `mimir-export show --json` prints.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;

/// What stands in an ONNX file. `Display` is its canonical text.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Listing {
    /// `mimir-listing`.
    pub format: &'static str,
    /// Version of this document: the first number changes when a field changes its meaning or is removed.
    pub version: &'static str,
    /// Version of the ONNX format that the file states.
    pub ir_version: i64,
    /// Name and version of the program that wrote the file, as it states them; may be empty.
    pub producer: String,
    /// Operator sets by domain; ONNX's own has the empty name.
    pub opsets: BTreeMap<String, i64>,
    /// The model's metadata (`metadata_props`).
    pub metadata: BTreeMap<String, String>,
    /// The graph.
    pub graph: GraphListing,
    /// Functions that the model defines.
    pub functions: Vec<FunctionListing>,
    /// How many descriptions of further training (`training_info`) the file has; they are not shown.
    pub training: usize,
}

/// A graph, or a body inside a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct GraphListing {
    /// Its name, which has no effect.
    pub name: String,
    /// Inputs in order, those with a default (a constant of the same name) included.
    pub inputs: Vec<ValueListing>,
    /// Initialisers in the order of the file.
    pub constants: Vec<TensorListing>,
    /// Nodes in the order of the file.
    pub nodes: Vec<NodeListing>,
    /// Outputs in order.
    pub outputs: Vec<ValueListing>,
}

/// A function that the model defines.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FunctionListing {
    /// `domain::name`, and `domain::name:overload` where it has an overload.
    pub name: String,
    /// Operator sets that its nodes are written in.
    pub opsets: BTreeMap<String, i64>,
    /// Names of attributes without a default, then of those with one: a call gives their values.
    pub attributes: Vec<String>,
    /// Defaults of attributes.
    pub defaults: BTreeMap<String, AttributeListing>,
    /// Inputs, nodes and outputs; a function has no constants of its own.
    pub body: GraphListing,
}

/// A value by name, with its type where the file states it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct ValueListing {
    /// Name; empty where an optional output is left out.
    pub name: String,
    /// Element type and dimensions, `f32[N, 10]`; `?` is a dimension without number and name.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub value_type: Option<String>,
}

/// One operator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct NodeListing {
    /// Name; may be empty.
    pub name: String,
    /// Operator, `Gemm`; of another domain with its name in front, `com.microsoft::QGemm`.
    pub operator: String,
    /// Names of inputs; empty where an optional one is left out.
    pub inputs: Vec<String>,
    /// Outputs.
    pub outputs: Vec<ValueListing>,
    /// Attributes by name.
    pub attributes: BTreeMap<String, AttributeListing>,
}

/// The value of one attribute.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributeListing {
    /// `INT`
    Int(i64),
    /// `FLOAT`, as text: JSON has no infinities.
    Float(String),
    /// `STRING`; bytes that are not UTF-8 are shown as `\xNN`.
    Text(String),
    /// `TENSOR`
    Tensor(Box<TensorListing>),
    /// `GRAPH`: a body
    Graph(Box<GraphListing>),
    /// `INTS`
    Ints(Vec<i64>),
    /// `FLOATS`, as text
    Floats(Vec<String>),
    /// `STRINGS`
    Texts(Vec<String>),
    /// `TENSORS`
    Tensors(Vec<TensorListing>),
    /// `GRAPHS`
    Graphs(Vec<GraphListing>),
    /// `TYPE_PROTO`, `TYPE_PROTOS`
    Types(Vec<String>),
    /// Inside a function: the attribute of that name of its call.
    Reference(String),
}

/// A constant tensor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct TensorListing {
    /// Name; empty in attributes.
    pub name: String,
    /// Element type, `f32`; those that a [`Graph`](crate::graph::Graph) cannot hold have ONNX's name, `int4`.
    pub element: String,
    /// Dimensions, outermost first.
    pub dims: Vec<usize>,
    /// Whether it is stored as non-zero elements and their places; the digest is of both, in that order.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sparse: bool,
    /// Length of its elements in bytes.
    pub bytes: usize,
    /// SHA-256 of its elements (little-endian, row-major, packed types as ONNX packs them), in lowercase hexadecimal.
    /// Strings enter as a little-endian `u64` length and their bytes.
    pub sha256: String,
    /// The elements as text, where there are at most eight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
    /// The file beside the model that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// ONNX's number of the element type.
    #[serde(skip)]
    pub(crate) number: i32,
    /// The elements.
    #[serde(skip)]
    pub(crate) data: Bytes,
}

impl Listing {
    /// The name of the format.
    pub const FORMAT: &'static str = "mimir-listing";
    /// Its version.
    pub const VERSION: &'static str = "1.0";
}
