//! Constants of a file, of every element type.

use super::document::TensorListing;
use super::values;
use crate::error::{Error, Result};
use crate::onnx::external;
use crate::onnx::proto::{EXTERNAL, SparseTensorProto, TensorProto};
use crate::onnx::tensor::{TensorReader, dimension};
use crate::tensor::{DataType, checked_elements, element_name};

/// Tensors of at most this many elements show them.
const SHOWN_ELEMENTS: usize = 8;

/// A dense tensor.
///
/// # Errors
/// Without a location: the caller knows the name.
pub(super) fn dense(proto: &TensorProto, tensors: &mut TensorReader<'_>) -> Result<TensorListing> {
    let (dims, data) = tensors.read_raw(proto)?;
    let number = proto.data_type();
    let few = checked_elements(&dims).is_some_and(|elements| elements <= SHOWN_ELEMENTS);
    let shown = match DataType::from_onnx(number) {
        Ok(dtype) => few.then(|| values::elements(dtype, &data)),
        Err(_) if few && !proto.string_data.is_empty() => {
            Some(proto.string_data.iter().map(|bytes| format!("{:?}", values::bytes_text(bytes))).collect())
        }
        Err(_) => None,
    };
    let location = match proto.data_location() {
        EXTERNAL => external::location(&proto.external_data).map(str::to_owned),
        _ => None,
    };
    Ok(TensorListing {
        name: proto.name().to_owned(),
        element: element_name(number),
        dims,
        sparse: false,
        bytes: data.len(),
        sha256: String::new(),
        values: shown,
        location,
        number,
        data,
    })
}

/// A sparse tensor: the bytes of its elements, then those of their places.
///
/// # Errors
/// Names the tensor.
pub(super) fn sparse(proto: &SparseTensorProto, tensors: &mut TensorReader<'_>) -> Result<TensorListing> {
    let empty = TensorProto::default();
    let name = proto.values.as_ref().unwrap_or(&empty).name();
    let mut read = |part: &Option<TensorProto>| match part {
        Some(tensor) => dense(tensor, tensors).map_err(|error| error.at_tensor(name)),
        None => Err(Error::format("is sparse, and has no values or no indices").at_tensor(name)),
    };
    let (values, indices) = (read(&proto.values)?, read(&proto.indices)?);
    let dims = proto.dims.iter().copied().map(dimension).collect::<Result<Vec<usize>>>();
    let data = [&values.data[..], &indices.data[..]].concat();
    Ok(TensorListing {
        dims: dims.map_err(|error| error.at_tensor(name))?,
        sparse: true,
        bytes: data.len(),
        values: None,
        location: None,
        data: data.into(),
        ..values
    })
}
