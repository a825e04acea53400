//! The storages of a tensor inside the file: raw bytes, or one of five typed lists.

use bytes::Bytes;

use super::proto::TensorProto;
use crate::error::{Error, Result};
use crate::tensor::DataType;

/// Name and fill of each storage.
fn storages(proto: &TensorProto) -> [(&'static str, bool); 7] {
    [
        ("raw_data", proto.raw_data.as_ref().is_some_and(|raw| !raw.is_empty())),
        ("float_data", !proto.float_data.is_empty()),
        ("int32_data", !proto.int32_data.is_empty()),
        ("string_data", !proto.string_data.is_empty()),
        ("int64_data", !proto.int64_data.is_empty()),
        ("double_data", !proto.double_data.is_empty()),
        ("uint64_data", !proto.uint64_data.is_empty()),
    ]
}

/// Whether any storage inside the file is used.
pub(super) fn is_filled(proto: &TensorProto) -> bool {
    storages(proto).iter().any(|(_, filled)| *filled)
}

/// The elements as little-endian bytes. Their number is for the caller to compare with the dimensions.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format) for two storages, one that is not the type's, or a value that the
/// type cannot hold.
pub(super) fn inline(proto: &TensorProto, dtype: DataType) -> Result<Bytes> {
    let used: Vec<&str> =
        storages(proto).iter().filter(|(_, filled)| *filled).map(|(name, _)| *name).collect();
    match used.as_slice() {
        [] => Ok(Bytes::new()),
        ["raw_data"] => Ok(proto.raw_data.clone().unwrap_or_default()),
        [storage] if *storage == typed_storage(dtype) => typed(proto, dtype),
        [storage] => Err(Error::format(format!("is {dtype}, but its data is in `{storage}`"))),
        _ => Err(Error::format(format!("has data in several places: {}", used.join(", ")))),
    }
}

/// The elements of any type but strings as little-endian bytes.
///
/// # Errors
/// As [`inline`].
pub(super) fn inline_any(proto: &TensorProto) -> Result<Bytes> {
    if let Ok(dtype) = DataType::from_onnx(proto.data_type()) {
        return inline(proto, dtype);
    }
    let used: Vec<&str> =
        storages(proto).iter().filter(|(_, filled)| *filled).map(|(name, _)| *name).collect();
    match used.as_slice() {
        [] => Ok(Bytes::new()),
        ["raw_data"] => Ok(proto.raw_data.clone().unwrap_or_default()),
        // Packed integers and small floats, by their bits.
        ["int32_data"] => narrow(&proto.int32_data, DataType::Uint8, u8::to_le_bytes),
        // Complex numbers, real and imaginary parts in turn.
        ["float_data"] => Ok(bytes(&proto.float_data, f32::to_le_bytes)),
        ["double_data"] => Ok(bytes(&proto.double_data, f64::to_le_bytes)),
        _ => Err(Error::format(format!("has data that is not of its type: {}", used.join(", ")))),
    }
}

/// Strings, each with its length before it as a little-endian `u64`.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format) when there are not `elements`, or other data too.
pub(super) fn strings(proto: &TensorProto, elements: usize) -> Result<Bytes> {
    let others = storages(proto).into_iter().any(|(name, filled)| filled && name != "string_data");
    if others || proto.string_data.len() != elements {
        let found = proto.string_data.len();
        return Err(Error::format(format!("holds {found} strings, but its dimensions need {elements}")));
    }
    let mut bytes = Vec::new();
    for text in &proto.string_data {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text);
    }
    Ok(bytes.into())
}

fn typed_storage(dtype: DataType) -> &'static str {
    match dtype {
        DataType::Float32 => "float_data",
        DataType::Float64 => "double_data",
        DataType::Int64 => "int64_data",
        DataType::Uint32 | DataType::Uint64 => "uint64_data",
        _ => "int32_data",
    }
}

fn typed(proto: &TensorProto, dtype: DataType) -> Result<Bytes> {
    let small = &proto.int32_data;
    match dtype {
        DataType::Float32 => Ok(bytes(&proto.float_data, f32::to_le_bytes)),
        DataType::Float64 => Ok(bytes(&proto.double_data, f64::to_le_bytes)),
        DataType::Int64 => Ok(bytes(&proto.int64_data, i64::to_le_bytes)),
        DataType::Uint64 => Ok(bytes(&proto.uint64_data, u64::to_le_bytes)),
        DataType::Uint32 => narrow(&proto.uint64_data, dtype, u32::to_le_bytes),
        DataType::Int32 => Ok(bytes(small, i32::to_le_bytes)),
        DataType::Int16 => narrow(small, dtype, i16::to_le_bytes),
        DataType::Int8 => narrow(small, dtype, i8::to_le_bytes),
        // Halves are stored by their bits.
        DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => narrow(small, dtype, u16::to_le_bytes),
        DataType::Uint8 | DataType::Bool => narrow(small, dtype, u8::to_le_bytes),
    }
}

fn bytes<T: Copy, const SIZE: usize>(values: &[T], to_le_bytes: fn(T) -> [u8; SIZE]) -> Bytes {
    values.iter().flat_map(|value| to_le_bytes(*value)).collect()
}

fn narrow<Wide, Narrow, const SIZE: usize>(
    values: &[Wide],
    dtype: DataType,
    to_le_bytes: fn(Narrow) -> [u8; SIZE],
) -> Result<Bytes>
where
    Wide: Copy + std::fmt::Display,
    Narrow: TryFrom<Wide>,
{
    let mut bytes = Vec::with_capacity(values.len().saturating_mul(SIZE));
    for value in values {
        let narrow = Narrow::try_from(*value)
            .map_err(|_| Error::format(format!("is {dtype}, but holds the value {value}")))?;
        bytes.extend_from_slice(&to_le_bytes(narrow));
    }
    Ok(bytes.into())
}
