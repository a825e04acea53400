//! Constant tensors of a file, wherever their bytes are stored.

use bytes::Bytes;
use mimir_bundle::digest::FileDigest;

use super::external::{ExternalData, Place};
use super::limits::{Allowance, Limits};
use super::proto::{EXTERNAL, ModelProto, TensorProto};
use super::storage;
use crate::error::{Error, Result};
use crate::tensor::{DataType, Tensor, checked_elements, element_bits, element_name};

/// Reads tensors, and remembers the external files that they came from.
#[derive(Debug)]
pub(super) struct TensorReader<'f> {
    external: ExternalData<'f>,
    allowance: Allowance,
}

impl<'f> TensorReader<'f> {
    /// A reader of the tensors of a model whose external data may lie in that place.
    pub(super) fn new(place: Place<'f>, model: &ModelProto, limits: &Limits) -> Self {
        Self {
            external: ExternalData::new(place, model, limits),
            allowance: Allowance::new(limits.tensor_bytes, "bytes of tensors", "tensor_bytes"),
        }
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// Without a location: the caller knows the name.
    pub(super) fn read(&mut self, proto: &TensorProto) -> Result<Tensor> {
        if proto.segment.is_some() {
            return Err(Error::unsupported("is one segment of a larger tensor: store it in one piece"));
        }
        let dtype = DataType::from_onnx(proto.data_type())?;
        let dims = proto.dims.iter().copied().map(dimension).collect::<Result<Vec<usize>>>()?;
        let data = match proto.data_location() {
            0 => storage::inline(proto, dtype)?,
            EXTERNAL => self.external_data(proto, dtype, &dims)?,
            other => return Err(Error::format(format!("data location {other}; supported are 0 and 1"))),
        };
        let tensor = Tensor::new(dtype, dims, data)?;
        self.allowance.spend(tensor.data().len())?;
        refuse_nan(&tensor)?;
        refuse_invalid_bool(&tensor)?;
        Ok(tensor)
    }

    /// Dimensions and elements of a tensor of any element type, NaN included. Packed types stay packed; strings are
    /// one after another, each with its length before it.
    ///
    /// # Errors
    /// Without a location.
    pub(super) fn read_raw(&mut self, proto: &TensorProto) -> Result<(Vec<usize>, Bytes)> {
        if proto.segment.is_some() {
            return Err(Error::unsupported("is one segment of a larger tensor: store it in one piece"));
        }
        let dims = proto.dims.iter().copied().map(dimension).collect::<Result<Vec<usize>>>()?;
        let elements = checked_elements(&dims);
        let overflow = || Error::format(format!("dimensions {dims:?} overflow"));
        let data = match (element_bits(proto.data_type())?, proto.data_location()) {
            (None, 0) => storage::strings(proto, elements.ok_or_else(overflow)?)?,
            (None, _) => return Err(Error::format("holds strings in an external file")),
            (Some(bits), location) => {
                let wanted = elements.and_then(|elements| elements.checked_mul(bits)).ok_or_else(overflow)?;
                let wanted = wanted.div_ceil(8);
                let data = match location {
                    0 => storage::inline_any(proto)?,
                    EXTERNAL => self.external_bytes_of(proto, wanted)?,
                    other => {
                        return Err(Error::format(format!("data location {other}; supported are 0 and 1")));
                    }
                };
                if data.len() != wanted {
                    let found = data.len();
                    return Err(Error::format(format!(
                        "{found} bytes of data, but dimensions {dims:?} of {} need {wanted}",
                        element_name(proto.data_type())
                    )));
                }
                data
            }
        };
        self.allowance.spend(data.len())?;
        Ok((dims, data))
    }

    fn external_data(&mut self, proto: &TensorProto, dtype: DataType, dims: &[usize]) -> Result<Bytes> {
        let wanted = checked_elements(dims)
            .and_then(|elements| elements.checked_mul(dtype.size()))
            .ok_or_else(|| Error::format(format!("dimensions {dims:?} of {dtype} overflow")))?;
        self.external_bytes_of(proto, wanted)
    }

    fn external_bytes_of(&mut self, proto: &TensorProto, wanted: usize) -> Result<Bytes> {
        if storage::is_filled(proto) {
            return Err(Error::format("has data both in the file and in an external one"));
        }
        self.external.slice(&proto.external_data, wanted)
    }

    /// How many bytes of external files are in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.external.held()
    }

    /// The digests of the external files that were read, in the order of their first use.
    pub(super) fn external_files(&self) -> impl Iterator<Item = FileDigest> {
        self.external.digests()
    }
}

/// A dimension of a tensor.
pub(super) fn dimension(dim: i64) -> Result<usize> {
    usize::try_from(dim).map_err(|_| Error::format(format!("dimension {dim} is negative")))
}

/// Refuses NaN: every logit, and so every verdict, would be NaN. Infinities stay: attention masks hold them.
pub(super) fn refuse_nan(tensor: &Tensor) -> Result<()> {
    let data = tensor.data();
    let nan = match tensor.dtype() {
        DataType::Float32 => find_nan(data, |word| f32::from_le_bytes(word).is_nan()),
        DataType::Float64 => find_nan(data, |word| f64::from_le_bytes(word).is_nan()),
        DataType::Float16 => find_nan(data, |word| u16::from_le_bytes(word) & 0x7fff > 0x7c00),
        DataType::Bfloat16 => find_nan(data, |word| u16::from_le_bytes(word) & 0x7fff > 0x7f80),
        _ => None,
    };
    match nan {
        Some(index) => Err(Error::unsupported(format!(
            "holds NaN (element {index} of {}), so no verdict about the model could be trusted: repair the weights",
            tensor.elements()
        ))),
        None => Ok(()),
    }
}

/// Index of the first NaN. Whole blocks are tested without a branch, so that the compiler can use vector instructions.
fn find_nan<const SIZE: usize>(data: &[u8], is_nan: impl Fn([u8; SIZE]) -> bool) -> Option<usize> {
    const BLOCK: usize = 4096;
    let words = data.as_chunks::<SIZE>().0;
    let block =
        words.chunks(BLOCK).position(|block| block.iter().fold(false, |any, word| any | is_nan(*word)))?;
    let start = block * BLOCK;
    words[start..].iter().position(|word| is_nan(*word)).map(|index| start + index)
}

/// Kernels disagree about bytes that are neither 0 nor 1.
fn refuse_invalid_bool(tensor: &Tensor) -> Result<()> {
    if tensor.dtype() != DataType::Bool {
        return Ok(());
    }
    match tensor.data().iter().find(|byte| **byte > 1) {
        Some(byte) => Err(Error::format(format!("is bool, but holds the byte {byte}; wanted 0 or 1"))),
        None => Ok(()),
    }
}
