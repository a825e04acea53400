//! Nodes and their attributes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::body;
use super::frames::Frames;
use super::proto::{AttributeProto, GraphProto, NodeProto, attribute_type};
use super::tensor::{TensorReader, refuse_nan};
use super::versions::is_default_domain;
use crate::error::{Error, Location, Result};
use crate::graph::{Attribute, Attributes, Node, ValueId};
use crate::operators::signature;
use crate::tensor::Tensor;

/// Where an error about this node happened: its name, or its first output where it has none.
pub(super) fn location(proto: &NodeProto) -> Location {
    Location::Node { name: base_name(proto).to_owned(), op_type: proto.op_type().to_owned() }
}

fn base_name(proto: &NodeProto) -> &str {
    let first_output = proto.output.iter().find(|output| !output.is_empty()).map(String::as_str);
    if proto.name().is_empty() { first_output.unwrap_or_default() } else { proto.name() }
}

/// A node of the innermost graph under a unique name, and its bodies, which are still to be read.
///
/// # Errors
/// Names the node, for attributes that we do not support and for nodes without operator or outputs.
pub(super) fn convert<'p>(
    proto: &'p NodeProto,
    frames: &mut Frames,
    tensors: &mut TensorReader<'_>,
) -> Result<(Node, Bodies<'p>)> {
    let name = frames.names.fresh(base_name(proto));
    let inputs: Vec<Option<ValueId>> =
        proto.input.iter().map(|name| frames.find_or_define(name)).collect::<Result<_>>()?;
    let outputs: Vec<Option<ValueId>> =
        proto.output.iter().map(|name| frames.find_or_define(name)).collect::<Result<_>>()?;
    let (attributes, bodies) = attributes(proto, tensors).map_err(|error| error.at(location(proto)))?;
    if proto.op_type().is_empty() {
        return Err(Error::format("has no operator type").at(location(proto)));
    }
    if outputs.iter().all(Option::is_none) {
        return Err(Error::format("has no outputs").at(location(proto)));
    }
    let op_type = match proto.domain() {
        domain if is_default_domain(domain) => proto.op_type().to_owned(),
        domain => format!("{domain}::{}", proto.op_type()),
    };
    let node = Node { name, op_type, inputs, outputs, attributes };
    let names: Vec<&str> = bodies.iter().map(|(name, _)| *name).collect();
    signature::check(&node, &names, frames.graph().opset).map_err(|error| error.at(location(proto)))?;
    Ok((node, bodies))
}

/// Names and bodies of a node's attributes that are graphs.
pub(super) type Bodies<'p> = Vec<(&'p str, &'p GraphProto)>;

fn attributes<'p>(proto: &'p NodeProto, tensors: &mut TensorReader<'_>) -> Result<(Attributes, Bodies<'p>)> {
    let (mut attributes, mut bodies) = (BTreeMap::new(), Bodies::new());
    for attribute in &proto.attribute {
        let name = attribute.name();
        let is_new = match &attribute.g {
            Some(body) if attribute.r#type() == attribute_type::GRAPH => {
                if !matches!(proto.op_type(), "If" | "Loop") {
                    return Err(body::refuse(proto.op_type(), name));
                }
                bodies.push((name, body));
                bodies.iter().filter(|(other, _)| *other == name).count() == 1
                    && !attributes.contains_key(name)
            }
            _ => attributes.insert(name.to_owned(), value(attribute, tensors)?).is_none(),
        };
        if !is_new {
            return Err(Error::format(format!("has the attribute `{name}` twice")));
        }
    }
    Ok((Attributes(attributes), bodies))
}

fn value(proto: &AttributeProto, tensors: &mut TensorReader<'_>) -> Result<Attribute> {
    let name = proto.name();
    if !proto.ref_attr_name().is_empty() {
        return Err(Error::format(format!(
            "attribute `{name}` refers to an attribute of a function, but the node is not in a function"
        )));
    }
    match proto.r#type() {
        attribute_type::FLOAT => Ok(Attribute::Float(proto.f())),
        attribute_type::INT => Ok(Attribute::Int(proto.i())),
        attribute_type::STRING => text(name, proto.s.as_ref().unwrap_or(&Bytes::new())).map(Attribute::Text),
        attribute_type::TENSOR => match &proto.t {
            Some(tensor) => tensors.read(tensor).map(Attribute::Tensor),
            None => Err(Error::format(format!("attribute `{name}` is a tensor without content"))),
        },
        attribute_type::FLOATS => Ok(Attribute::Floats(proto.floats.clone())),
        attribute_type::INTS => Ok(Attribute::Ints(proto.ints.clone())),
        attribute_type::STRINGS => {
            proto.strings.iter().map(|bytes| text(name, bytes)).collect::<Result<_>>().map(Attribute::Texts)
        }
        attribute_type::GRAPH | attribute_type::GRAPHS => {
            Err(Error::format(format!("attribute `{name}` is not one graph with content")))
        }
        other => Err(Error::unsupported(format!(
            "attribute `{name}` has type number {other}; supported are FLOAT, INT, STRING, TENSOR, lists of the \
             first \
             three, and GRAPH"
        ))),
    }
}

fn text(name: &str, bytes: &Bytes) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::format(format!("attribute `{name}` is not UTF-8")))
}

/// Whether the node is a Constant.
pub(super) fn is_constant(proto: &NodeProto) -> bool {
    proto.op_type() == "Constant"
}

/// Output name and value of a `Constant` node.
///
/// # Errors
/// Without a location: the caller knows the node.
pub(super) fn constant<'p>(
    proto: &'p NodeProto,
    tensors: &mut TensorReader<'_>,
) -> Result<(&'p str, Tensor)> {
    let (attributes, _) = attributes(proto, tensors)?;
    let [output] = proto.output.as_slice() else {
        return Err(Error::format(format!("has {} outputs, wanted one", proto.output.len())));
    };
    let mut attributes = attributes.0.into_iter();
    let (Some((name, value)), None) = (attributes.next(), attributes.next()) else {
        return Err(Error::format(format!("has {} attributes, wanted one", proto.attribute.len())));
    };
    let tensor = match (name.as_str(), value) {
        ("value", Attribute::Tensor(tensor)) => tensor,
        ("value_int", Attribute::Int(value)) => Tensor::from_i64(&[], &[value]),
        ("value_ints", Attribute::Ints(values)) => Tensor::vector_i64(&values),
        ("value_float", Attribute::Float(value)) => Tensor::scalar_f32(value),
        ("value_floats", Attribute::Floats(values)) => Tensor::from_f32(&[values.len()], &values),
        _ => {
            return Err(Error::unsupported(format!(
                "attribute `{name}`; supported are value, value_int, value_ints, value_float and value_floats"
            )));
        }
    };
    refuse_nan(&tensor)?;
    Ok((output, tensor))
}
