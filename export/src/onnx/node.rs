//! Nodes and their attributes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::names::Names;
use super::proto::{AttributeProto, NodeProto, attribute_type};
use super::tensor::{TensorReader, refuse_nan};
use crate::error::{Error, Place, Result};
use crate::graph::{Attribute, Attributes, Node, ValueId};
use crate::tensor::Tensor;

/// Where an error about this node happened: its name, or its first output where it has none.
pub(super) fn place(proto: &NodeProto) -> Place {
    Place::Node { name: base_name(proto).to_owned(), op_type: proto.op_type().to_owned() }
}

fn base_name(proto: &NodeProto) -> &str {
    let first_output = proto.output.iter().find(|output| !output.is_empty()).map(String::as_str);
    if proto.name().is_empty() { first_output.unwrap_or_default() } else { proto.name() }
}

/// A node of the graph under a unique name.
///
/// # Errors
/// Names the node, for attributes that we do not support and for nodes without operator or outputs.
pub(super) fn convert(
    proto: &NodeProto,
    inputs: Vec<Option<ValueId>>,
    outputs: Vec<Option<ValueId>>,
    names: &mut Names,
    tensors: &mut TensorReader<'_>,
) -> Result<Node> {
    let attributes = attributes(proto, tensors).map_err(|error| error.at(place(proto)))?;
    if proto.op_type().is_empty() {
        return Err(Error::format("has no operator type").at(place(proto)));
    }
    if outputs.iter().all(Option::is_none) {
        return Err(Error::format("has no outputs").at(place(proto)));
    }
    Ok(Node {
        name: names.fresh(base_name(proto)),
        op_type: proto.op_type().to_owned(),
        inputs,
        outputs,
        attributes,
    })
}

fn attributes(proto: &NodeProto, tensors: &mut TensorReader<'_>) -> Result<Attributes> {
    let mut attributes = BTreeMap::new();
    for attribute in &proto.attribute {
        let value = value(attribute, tensors)?;
        if attributes.insert(attribute.name().to_owned(), value).is_some() {
            return Err(Error::format(format!("has the attribute `{}` twice", attribute.name())));
        }
    }
    Ok(Attributes(attributes))
}

fn value(proto: &AttributeProto, tensors: &mut TensorReader<'_>) -> Result<Attribute> {
    let name = proto.name();
    if !proto.ref_attr_name().is_empty() {
        return Err(Error::format(format!(
            "attribute `{name}` refers to a function's, outside of a function"
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
        attribute_type::GRAPH | attribute_type::GRAPHS => Err(Error::unsupported(format!(
            "attribute `{name}` is a subgraph, and control flow (If, Loop, Scan) is not supported: export with a fixed \
             path, or fold the condition with a simplifier"
        ))),
        other => Err(Error::unsupported(format!(
            "attribute `{name}` has type number {other}; known are FLOAT, INT, STRING, TENSOR and lists of the first \
             three"
        ))),
    }
}

fn text(name: &str, bytes: &Bytes) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::format(format!("attribute `{name}` is not UTF-8")))
}

/// Whether the node only states a value.
pub(super) fn is_constant(proto: &NodeProto) -> bool {
    proto.op_type() == "Constant"
}

/// Output name and value of a `Constant` node.
///
/// # Errors
/// Without a place: the caller knows the node.
pub(super) fn constant<'p>(
    proto: &'p NodeProto,
    tensors: &mut TensorReader<'_>,
) -> Result<(&'p str, Tensor)> {
    let attributes = attributes(proto, tensors)?;
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
                "attribute `{name}`; known are value, value_int, value_ints, value_float and value_floats"
            )));
        }
    };
    refuse_nan(&tensor)?;
    Ok((output, tensor))
}
