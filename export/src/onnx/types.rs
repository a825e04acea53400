//! Types of inputs, and which of their dimensions is the batch.

use std::collections::BTreeSet;

use super::proto::{DimensionProto, TypeProto, ValueInfoProto};
use crate::error::{Error, Result};
use crate::graph::{DeclaredDim, Dim, InputType, Shape, TensorType};
use crate::tensor::DataType;

/// Names by which exporters say that a size is not known: they may stand at several sizes, and name none of them.
const PLACEHOLDERS: [&str; 6] = ["?", "*", "none", "unk", "unknown", "dynamic"];

fn is_placeholder(name: &str) -> bool {
    PLACEHOLDERS.iter().any(|placeholder| name.eq_ignore_ascii_case(placeholder))
}

/// The names that inputs give to their first dimension.
///
/// In a classifier that dimension is the batch, whatever its name; elsewhere only a dimension of the same name is.
#[derive(Debug)]
pub(super) struct BatchSymbols<'m>(BTreeSet<&'m str>);

impl<'m> BatchSymbols<'m> {
    /// The names used by these inputs.
    pub(super) fn new(inputs: &[&'m ValueInfoProto]) -> Self {
        let first = |input: &&'m ValueInfoProto| dims(input.r#type.as_ref()?)?.first()?.dim_param.as_deref();
        let names = inputs.iter().filter_map(first).filter(|name| !is_placeholder(name));
        Self(names.filter_map(parse_symbol).map(|(_, symbol)| symbol).collect())
    }

    /// The type of an input, with the dimensions that its file leaves open.
    ///
    /// # Errors
    /// Without a location, for anything but a dense tensor.
    pub(super) fn input_type(&self, input: &ValueInfoProto) -> Result<InputType> {
        let proto = input.r#type.as_ref().ok_or_else(|| Error::shape("this input declares no type"))?;
        let dtype = element_type(proto)?;
        let Some(dims) = dims(proto) else { return Ok(InputType { dtype, dims: None }) };
        let dims = dims.iter().enumerate().map(|(axis, dim)| self.dim(axis, dim)).collect::<Result<_>>()?;
        Ok(InputType { dtype, dims: Some(dims) })
    }

    fn dim(&self, axis: usize, dim: &DimensionProto) -> Result<DeclaredDim> {
        Ok(match (dim.dim_value, dim.dim_param.as_deref()) {
            (Some(_), Some(_)) => {
                return Err(Error::format(format!("dimension {axis} is both a number and a name")));
            }
            (None, Some(name)) => self.symbol(axis, name),
            (Some(size @ 1..), None) => DeclaredDim::Known(Dim::Fixed(size as usize)),
            // Zero, negative or absent: not known before run time.
            (_, None) if axis == 0 => DeclaredDim::Known(Dim::N),
            (_, None) => DeclaredDim::Open(String::new()),
        })
    }

    fn symbol(&self, axis: usize, name: &str) -> DeclaredDim {
        match parse_symbol(name) {
            Some((multiple, symbol)) if self.0.contains(symbol) => DeclaredDim::Known(Dim::Batch(multiple)),
            _ if axis == 0 => DeclaredDim::Known(Dim::N),
            _ if is_placeholder(name) => DeclaredDim::Open(String::new()),
            _ => DeclaredDim::Open(name.to_owned()),
        }
    }
}

/// The type, where all of it is known.
pub(super) fn known_type(declared: &InputType) -> Option<TensorType> {
    let known = |dim: &DeclaredDim| match dim {
        DeclaredDim::Known(dim) => Some(*dim),
        DeclaredDim::Open(_) => None,
    };
    let shape = declared.dims.as_ref()?.iter().map(known).collect::<Option<_>>()?;
    Some(TensorType { dtype: declared.dtype, shape: Shape(shape) })
}

/// `name` as a multiple of a symbol: `N` is `(1, N)`, and `2N`, as the writer puts it, is `(2, N)`.
fn parse_symbol(name: &str) -> Option<(usize, &str)> {
    let symbol = name.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let digits = &name[..name.len() - symbol.len()];
    match digits {
        _ if symbol.is_empty() => None,
        "" => Some((1, symbol)),
        _ => digits.parse().ok().filter(|multiple| *multiple > 0).map(|multiple| (multiple, symbol)),
    }
}

fn element_type(proto: &TypeProto) -> Result<DataType> {
    let other = [
        ("sequence", proto.sequence_type.is_some()),
        ("map", proto.map_type.is_some()),
        ("opaque", proto.opaque_type.is_some()),
        ("sparse tensor", proto.sparse_tensor_type.is_some()),
        ("optional", proto.optional_type.is_some()),
    ];
    if let Some((found, _)) = other.iter().find(|(_, present)| *present) {
        return Err(Error::unsupported(format!("this input has the type {found}; wanted a tensor")));
    }
    let tensor = proto.tensor_type.as_ref().ok_or_else(|| Error::shape("this input declares no type"))?;
    DataType::from_onnx(tensor.elem_type())
}

fn dims(proto: &TypeProto) -> Option<&[DimensionProto]> {
    Some(&proto.tensor_type.as_ref()?.shape.as_ref()?.dim)
}
