//! Constant tensors: a type, dimensions and little-endian bytes, as ONNX stores them.

pub(crate) mod quantised;

use std::fmt;

use bytes::Bytes;

use crate::error::{Error, Result};

/// Element types that a graph may hold. The discriminants are the numbers of ONNX's `TensorProto.DataType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum DataType {
    /// `float`
    Float32 = 1,
    /// `uint8`
    Uint8 = 2,
    /// `int8`
    Int8 = 3,
    /// `uint16`
    Uint16 = 4,
    /// `int16`
    Int16 = 5,
    /// `int32`
    Int32 = 6,
    /// `int64`
    Int64 = 7,
    /// `bool`, one byte an element
    Bool = 9,
    /// `float16`
    Float16 = 10,
    /// `double`
    Float64 = 11,
    /// `uint32`
    Uint32 = 12,
    /// `uint64`
    Uint64 = 13,
    /// `bfloat16`
    Bfloat16 = 16,
}

impl DataType {
    /// The type of that ONNX number.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for strings, complex numbers and packed types.
    pub fn from_onnx(number: i32) -> Result<Self> {
        use DataType::*;
        const ALL: [DataType; 13] = [
            Float32, Uint8, Int8, Uint16, Int16, Int32, Int64, Bool, Float16, Float64, Uint32, Uint64,
            Bfloat16,
        ];
        ALL.into_iter().find(|known| *known as i32 == number).ok_or_else(|| unsupported_type(number))
    }

    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Self::Uint8 | Self::Int8 | Self::Bool => 1,
            Self::Uint16 | Self::Int16 | Self::Float16 | Self::Bfloat16 => 2,
            Self::Float32 | Self::Int32 | Self::Uint32 => 4,
            Self::Int64 | Self::Float64 | Self::Uint64 => 8,
        }
    }

    /// ONNX's name of the type, in the spelling of numpy: `float16`.
    pub fn long_name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Uint16 => "uint16",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Bool => "bool",
            Self::Float16 => "float16",
            Self::Float64 => "float64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Bfloat16 => "bfloat16",
        }
    }

    /// Whether gradients can flow through values of this type.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float64 | Self::Float16 | Self::Bfloat16)
    }
}

/// The error for an element type that graphs do not hold, by its name.
fn unsupported_type(number: i32) -> Error {
    const SUPPORTED: &str =
        "supported are integers of 8 to 64 bits, bool, and floating point of 16 to 64 bits";
    let Some((_, name, _)) = UNSUPPORTED.iter().find(|(known, ..)| *known == number) else {
        return Error::unsupported(format!("element type number {number}; {SUPPORTED}"));
    };
    let way_out = match *name {
        "string" | "complex64" | "complex128" | "undefined" => "",
        _ => ": quantise the model to 8 bits (int8 or uint8), or export it in float",
    };
    Error::unsupported(format!("element type {name}; {SUPPORTED}{way_out}"))
}

/// The other types of ONNX's `TensorProto.DataType`: number, name, bits of an element (0: of any length).
const UNSUPPORTED: [(i32, &str, usize); 14] = [
    (0, "undefined", 0),
    (8, "string", 0),
    (14, "complex64", 64),
    (15, "complex128", 128),
    (17, "float8e4m3fn", 8),
    (18, "float8e4m3fnuz", 8),
    (19, "float8e5m2", 8),
    (20, "float8e5m2fnuz", 8),
    (21, "uint4", 4),
    (22, "int4", 4),
    (23, "float4e2m1", 4),
    (24, "float8e8m0", 8),
    (25, "uint2", 2),
    (26, "int2", 2),
];

/// The name of any element type of ONNX: short for those that graphs hold, ONNX's for others.
pub(crate) fn element_name(number: i32) -> String {
    match DataType::from_onnx(number) {
        Ok(dtype) => dtype.to_string(),
        Err(_) => match UNSUPPORTED.iter().find(|(known, ..)| *known == number) {
            Some((_, name, _)) => (*name).to_owned(),
            None => format!("type{number}"),
        },
    }
}

/// The bits of one element of any type of ONNX; none for strings.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format) for a number that is no element type.
pub(crate) fn element_bits(number: i32) -> Result<Option<usize>> {
    if let Ok(dtype) = DataType::from_onnx(number) {
        return Ok(Some(8 * dtype.size()));
    }
    match UNSUPPORTED.iter().find(|(known, ..)| *known == number) {
        Some((_, "string", _)) => Ok(None),
        Some((_, _, bits @ 1..)) => Ok(Some(*bits)),
        _ => Err(Error::format(format!("has element type number {number}, which ONNX does not have"))),
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float32 => "f32",
            Self::Uint8 => "u8",
            Self::Int8 => "i8",
            Self::Uint16 => "u16",
            Self::Int16 => "i16",
            Self::Int32 => "i32",
            Self::Int64 => "i64",
            Self::Bool => "bool",
            Self::Float16 => "f16",
            Self::Float64 => "f64",
            Self::Uint32 => "u32",
            Self::Uint64 => "u64",
            Self::Bfloat16 => "bf16",
        })
    }
}

/// A constant. The number of bytes always equals the product of the dimensions times the element size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    dtype: DataType,
    dims: Vec<usize>,
    data: Bytes,
}

impl Tensor {
    /// Wraps little-endian, row-major bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) when the dimensions overflow or do not account for every byte.
    pub fn new(dtype: DataType, dims: Vec<usize>, data: Bytes) -> Result<Self> {
        let wanted = checked_elements(&dims)
            .and_then(|elements| elements.checked_mul(dtype.size()))
            .ok_or_else(|| Error::format(format!("dimensions {dims:?} of {dtype} overflow")))?;
        if wanted != data.len() {
            return Err(Error::format(format!(
                "{} bytes of data, but dimensions {dims:?} of {dtype} need {wanted}",
                data.len()
            )));
        }
        Ok(Self { dtype, dims, data })
    }

    /// The same elements with other dimensions; nothing is copied.
    ///
    /// # Errors
    /// When the dimensions have another number of elements.
    pub fn reshaped(self, dims: Vec<usize>) -> Result<Self> {
        Self::new(self.dtype, dims, self.data)
    }

    /// A `float` tensor; `values` must fill `dims`.
    ///
    /// # Panics
    /// When it does not: this constructor is for tensors that we compute, not for foreign data.
    pub fn from_f32(dims: &[usize], values: &[f32]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        Self::new(DataType::Float32, dims.to_vec(), data.into()).expect("values fill the dimensions")
    }

    /// An `int64` tensor; `values` must fill `dims`.
    ///
    /// # Panics
    /// When it does not.
    pub fn from_i64(dims: &[usize], values: &[i64]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        Self::new(DataType::Int64, dims.to_vec(), data.into()).expect("values fill the dimensions")
    }

    /// A `double` tensor; `values` must fill `dims`.
    ///
    /// # Panics
    /// When it does not.
    pub fn from_f64(dims: &[usize], values: &[f64]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        Self::new(DataType::Float64, dims.to_vec(), data.into()).expect("values fill the dimensions")
    }

    /// A `double` scalar, `[]`.
    pub fn scalar_f64(value: f64) -> Self {
        Self::from_f64(&[], &[value])
    }

    /// A `float` scalar, `[]`.
    pub fn scalar_f32(value: f32) -> Self {
        Self::from_f32(&[], &[value])
    }

    /// An `int64` vector, `[values.len()]`.
    pub fn vector_i64(values: &[i64]) -> Self {
        Self::from_i64(&[values.len()], values)
    }

    /// Element type.
    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    /// Dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Little-endian, row-major bytes.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.data.len() / self.dtype.size()
    }

    /// The elements of a `float` tensor; `None` for any other type.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        (self.dtype == DataType::Float32).then(|| self.words(f32::from_le_bytes))
    }

    /// The elements of an `int64` tensor; `None` for any other type.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        (self.dtype == DataType::Int64).then(|| self.words(i64::from_le_bytes))
    }

    /// The same bytes under other dimensions.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn with_dims(&self, dims: Vec<usize>) -> Result<Self> {
        Self::new(self.dtype, dims, self.data.clone())
    }

    fn words<const SIZE: usize, T>(&self, from_le_bytes: fn([u8; SIZE]) -> T) -> Vec<T> {
        self.data.as_chunks::<SIZE>().0.iter().map(|word| from_le_bytes(*word)).collect()
    }
}

/// The product of the dimensions, or `None` on overflow.
pub fn checked_elements(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_must_fill_the_dimensions() {
        let error = Tensor::new(DataType::Float32, vec![2, 3], Bytes::from_static(&[0; 20])).unwrap_err();
        assert_eq!(error.to_string(), "20 bytes of data, but dimensions [2, 3] of f32 need 24");
    }

    #[test]
    fn overflowing_dimensions_are_an_error() {
        let error = Tensor::new(DataType::Float32, vec![usize::MAX, 3], Bytes::new()).unwrap_err();
        assert!(error.to_string().contains("overflow"), "{error}");
    }

    #[test]
    fn elements_round_trip() {
        let tensor = Tensor::from_i64(&[2], &[-1, 7]);
        assert_eq!(tensor.to_i64(), Some(vec![-1, 7]));
        assert_eq!(tensor.to_f32(), None);
        assert_eq!(tensor.elements(), 2);
    }
}
