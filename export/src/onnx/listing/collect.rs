//! From the messages of a file to the document.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::document::{
    AttributeListing, FunctionListing, GraphListing, NodeListing, TensorListing, ValueListing,
};
use super::tensors;
use super::types::type_text;
use super::values::{bytes_text, float_text};
use crate::error::{Error, Result};
use crate::onnx::node;
use crate::onnx::proto::{
    AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, ValueInfoProto, attribute_type,
};
use crate::onnx::tensor::TensorReader;
use crate::onnx::versions::is_default_domain;

/// Reads messages, with the external data that they name.
pub(super) struct Collector<'c, 'f> {
    pub(super) tensors: &'c mut TensorReader<'f>,
}

impl Collector<'_, '_> {
    /// A graph or a body.
    ///
    /// # Errors
    /// Names the tensor or the node. A name that two nodes define is an error: each may show its type only once, or a
    /// small file could ask for an endless text.
    pub(super) fn graph(&mut self, proto: &GraphProto) -> Result<GraphListing> {
        let mut types = Types::new(proto.input.iter().chain(&proto.output).chain(&proto.value_info));
        let constants = proto.initializer.iter().map(|tensor| {
            tensors::dense(tensor, self.tensors).map_err(|error| error.at_tensor(tensor.name()))
        });
        let mut constants = constants.collect::<Result<Vec<TensorListing>>>()?;
        for sparse in &proto.sparse_initializer {
            constants.push(tensors::sparse(sparse, self.tensors)?);
        }
        Ok(GraphListing {
            name: proto.name().to_owned(),
            inputs: values(&proto.input),
            constants,
            nodes: self.nodes(&proto.node, &mut types)?,
            outputs: values(&proto.output),
        })
    }

    /// A function of the model.
    ///
    /// # Errors
    /// As [`Self::graph`].
    pub(super) fn function(&mut self, proto: &FunctionProto) -> Result<FunctionListing> {
        let mut types = Types::new(proto.value_info.iter());
        let named = |name: &String| ValueListing { name: name.clone(), value_type: None };
        let defaults = self.attributes(&proto.attribute_proto)?;
        let overload =
            if proto.overload().is_empty() { String::new() } else { format!(":{}", proto.overload()) };
        let body = GraphListing {
            inputs: proto.input.iter().map(named).collect(),
            nodes: self.nodes(&proto.node, &mut types)?,
            outputs: proto.output.iter().map(named).collect(),
            ..GraphListing::default()
        };
        Ok(FunctionListing {
            name: format!("{}::{}{overload}", proto.domain(), proto.name()),
            opsets: proto.opset_import.iter().map(import).collect(),
            attributes: proto.attribute.iter().chain(defaults.keys()).cloned().collect(),
            defaults,
            body,
        })
    }

    fn nodes(&mut self, protos: &[NodeProto], types: &mut Types<'_>) -> Result<Vec<NodeListing>> {
        let at = |proto: &NodeProto, error: Error| error.at(node::location(proto));
        protos.iter().map(|proto| self.node(proto, types).map_err(|error| at(proto, error))).collect()
    }

    fn node(&mut self, proto: &NodeProto, types: &mut Types<'_>) -> Result<NodeListing> {
        let overload =
            if proto.overload().is_empty() { String::new() } else { format!(":{}", proto.overload()) };
        let domain = match proto.domain() {
            domain if is_default_domain(domain) => String::new(),
            domain => format!("{domain}::"),
        };
        let outputs = proto.output.iter().map(|name| types.define(name)).collect::<Result<_>>()?;
        Ok(NodeListing {
            name: proto.name().to_owned(),
            operator: format!("{domain}{}{overload}", proto.op_type()),
            inputs: proto.input.clone(),
            outputs,
            attributes: self.attributes(&proto.attribute)?,
        })
    }

    fn attributes(&mut self, protos: &[AttributeProto]) -> Result<BTreeMap<String, AttributeListing>> {
        let mut attributes = BTreeMap::new();
        for proto in protos {
            if attributes.insert(proto.name().to_owned(), self.attribute(proto)?).is_some() {
                return Err(Error::format(format!("has the attribute `{}` twice", proto.name())));
            }
        }
        Ok(attributes)
    }

    fn attribute(&mut self, proto: &AttributeProto) -> Result<AttributeListing> {
        if !proto.ref_attr_name().is_empty() {
            return Ok(AttributeListing::Reference(proto.ref_attr_name().to_owned()));
        }
        let missing = || Error::format(format!("attribute `{}` has no content", proto.name()));
        Ok(match proto.r#type() {
            attribute_type::FLOAT => AttributeListing::Float(float_text(proto.f())),
            attribute_type::INT => AttributeListing::Int(proto.i()),
            attribute_type::STRING => {
                AttributeListing::Text(bytes_text(proto.s.as_deref().unwrap_or_default()))
            }
            attribute_type::TENSOR => {
                let tensor = tensors::dense(proto.t.as_ref().ok_or_else(missing)?, self.tensors)?;
                AttributeListing::Tensor(Box::new(tensor))
            }
            attribute_type::GRAPH => {
                AttributeListing::Graph(Box::new(self.graph(proto.g.as_ref().ok_or_else(missing)?)?))
            }
            attribute_type::FLOATS => {
                AttributeListing::Floats(proto.floats.iter().map(|value| float_text(*value)).collect())
            }
            attribute_type::INTS => AttributeListing::Ints(proto.ints.clone()),
            attribute_type::STRINGS => {
                AttributeListing::Texts(proto.strings.iter().map(|bytes| bytes_text(bytes)).collect())
            }
            other => return self.rare_attribute(proto, other),
        })
    }

    fn rare_attribute(&mut self, proto: &AttributeProto, number: i32) -> Result<AttributeListing> {
        Ok(match number {
            attribute_type::TENSORS => AttributeListing::Tensors(
                proto
                    .tensors
                    .iter()
                    .map(|tensor| tensors::dense(tensor, self.tensors))
                    .collect::<Result<_>>()?,
            ),
            attribute_type::GRAPHS => AttributeListing::Graphs(
                proto.graphs.iter().map(|graph| self.graph(graph)).collect::<Result<_>>()?,
            ),
            attribute_type::SPARSE_TENSOR | attribute_type::SPARSE_TENSORS => {
                let all = proto.sparse_tensor.as_deref().into_iter().chain(&proto.sparse_tensors);
                AttributeListing::Tensors(
                    all.map(|tensor| tensors::sparse(tensor, self.tensors)).collect::<Result<_>>()?,
                )
            }
            attribute_type::TYPE_PROTO | attribute_type::TYPE_PROTOS => {
                let all = proto.tp.as_deref().into_iter().chain(&proto.type_protos);
                AttributeListing::Types(all.map(type_text).collect())
            }
            other => {
                return Err(Error::format(format!("attribute `{}` has type number {other}", proto.name())));
            }
        })
    }
}

fn values(protos: &[ValueInfoProto]) -> Vec<ValueListing> {
    let value = |proto: &ValueInfoProto| ValueListing {
        name: proto.name().to_owned(),
        value_type: proto.r#type.as_ref().map(type_text),
    };
    protos.iter().map(value).collect()
}

/// Domain and version; ONNX's own domain has two spellings.
pub(super) fn import(import: &OperatorSetIdProto) -> (String, i64) {
    let domain = if import.domain() == "ai.onnx" { "" } else { import.domain() };
    (domain.to_owned(), import.version())
}

/// The types that a graph states for its values.
struct Types<'p> {
    stated: HashMap<&'p str, &'p ValueInfoProto>,
    defined: HashSet<String>,
}

impl<'p> Types<'p> {
    fn new(stated: impl Iterator<Item = &'p ValueInfoProto>) -> Self {
        Self { stated: stated.map(|info| (info.name(), info)).collect(), defined: HashSet::new() }
    }

    /// A value that a node defines.
    fn define(&mut self, name: &str) -> Result<ValueListing> {
        if !name.is_empty() && !self.defined.insert(name.to_owned()) {
            return Err(Error::format("is defined twice").at_tensor(name));
        }
        let value_type = self.stated.get(name).filter(|_| !name.is_empty());
        let value_type = value_type.and_then(|info| info.r#type.as_ref()).map(type_text);
        Ok(ValueListing { name: name.to_owned(), value_type })
    }
}
