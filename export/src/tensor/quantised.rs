//! The integer types that tensors are quantised to.

use super::{DataType, Tensor};
use crate::error::{Error, Result};

/// Least and greatest code of a type that tensors are quantised to.
pub(crate) fn range(dtype: DataType) -> Option<(i64, i64)> {
    Some(match dtype {
        DataType::Uint8 => (0, 255),
        DataType::Int8 => (-128, 127),
        DataType::Uint16 => (0, 65535),
        DataType::Int16 => (-32768, 32767),
        _ => return None,
    })
}

/// The error for another type.
pub(crate) fn unknown_codes(dtype: DataType) -> Error {
    Error::unsupported(format!("quantises to {dtype}; supported are 8- and 16-bit integers"))
}

/// The elements of an integer tensor.
///
/// # Errors
/// For other types than those that tensors are quantised to, and `int32`, which biases are.
pub(crate) fn integers(tensor: &Tensor) -> Result<Vec<i64>> {
    let data = tensor.data();
    Ok(match tensor.dtype() {
        DataType::Uint8 => data.iter().map(|byte| i64::from(*byte)).collect(),
        DataType::Int8 => data.iter().map(|byte| i64::from(*byte as i8)).collect(),
        DataType::Uint16 => data.as_chunks().0.iter().map(|word| u16::from_le_bytes(*word).into()).collect(),
        DataType::Int16 => data.as_chunks().0.iter().map(|word| i16::from_le_bytes(*word).into()).collect(),
        DataType::Int32 => data.as_chunks().0.iter().map(|word| i32::from_le_bytes(*word).into()).collect(),
        other => return Err(unknown_codes(other)),
    })
}
