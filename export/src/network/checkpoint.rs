//! A safetensors file in memory.
//!
//! The file is read once, front to back: what is digested is what is used, and each tensor gets memory of its own, so
//! that a builder can hand it on or drop it without a second copy of the file. Nothing in it is trusted: sizes are
//! compared with the length of the file before memory is allocated.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use mimir_bundle::checkpoint::CheckpointHeader;
use mimir_bundle::digest::{FileDigest, RunningDigest};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::header;
use super::to_float32::to_float32;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{DataType, Tensor};

/// Named tensors, and what the file says of itself.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// What `mimir-train` wrote about the network; none in files of other programs.
    pub header: Option<CheckpointHeader>,
    /// Name, length and SHA-256 of the file.
    pub digest: FileDigest,
    /// The tensors by name.
    pub(super) tensors: BTreeMap<String, StoredTensor>,
}

/// A tensor of a file.
#[derive(Debug, Clone)]
pub(super) struct StoredTensor {
    /// Its type in the file.
    pub(super) dtype: Dtype,
    /// Its dimensions.
    pub(super) dims: Vec<usize>,
    /// Its values in float32; none where the type is not one of weights.
    pub(super) tensor: Option<Tensor>,
}

impl Checkpoint {
    /// Reads the file at `path`. float16 and bfloat16 become float32.
    ///
    /// # Errors
    /// Names the file: it cannot be read, is not a whole safetensors file, has a name twice, a header that is not
    /// understood, or numbers that are not finite.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let failed = |error: io::Error| Error::new(ErrorKind::Io, error.to_string());
        let read = || {
            let opened = mimir_files::open(path).map_err(failed)?;
            Self::from_reader(&name, opened.file, opened.metadata.len())
        };
        read().map_err(|error| error.at_file(path))
    }

    /// Reads exactly `length` bytes; `name` is what the digest calls them.
    ///
    /// # Errors
    /// As [`Checkpoint::read`], without the path.
    pub fn from_reader(name: &str, reader: impl Read, length: u64) -> Result<Self> {
        let mut source = Source { reader, digest: RunningDigest::default(), left: length };
        let size = source.bytes(8)?;
        let size = u64::from_le_bytes(size.try_into().unwrap_or_default());
        let text = source.bytes(header::checked_length(size, source.left)?)?;
        let (metadata, says) = header::parse(&text)?;
        let data = metadata.data_len() as u64;
        if data != source.left {
            return Err(Error::format(format!(
                "{} bytes of tensors, but the header needs {data}: the file is cut off, or not a safetensors file",
                source.left
            )));
        }
        let tensors = source.tensors(&metadata)?;
        Ok(Self { header: says, digest: source.digest.finish(name), tensors })
    }

    /// The dimensions of a tensor.
    pub(super) fn dims(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.dims.as_slice())
    }
}

/// The file, and what has been read of it.
struct Source<R> {
    reader: R,
    digest: RunningDigest,
    left: u64,
}

impl<R: Read> Source<R> {
    /// The next bytes. Their number must have been compared with the length of the file, or be small.
    fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        if count as u64 > self.left {
            return Err(Error::format(format!(
                "{} bytes where {count} are wanted: the file is cut off, or not a safetensors file",
                self.left
            )));
        }
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).map_err(|error| {
            Error::new(ErrorKind::Io, format!("{count} bytes could not be read: {error}"))
        })?;
        self.digest.update(&bytes);
        self.left -= count as u64;
        Ok(bytes)
    }

    /// The tensors in the order in which they lie in the file, which leave no gap.
    fn tensors(&mut self, metadata: &Metadata) -> Result<BTreeMap<String, StoredTensor>> {
        let mut tensors = BTreeMap::new();
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else { continue };
            let bytes = self.bytes(info.data_offsets.1 - info.data_offsets.0)?;
            let tensor = stored(info, bytes).map_err(|error| error.at_tensor(&name))?;
            tensors.insert(name, tensor);
        }
        Ok(tensors)
    }
}

fn stored(info: &TensorInfo, bytes: Vec<u8>) -> Result<StoredTensor> {
    let TensorInfo { dtype, shape: dims, .. } = info.clone();
    let Some(bytes) = to_float32(dtype, bytes)? else {
        return Ok(StoredTensor { dtype, dims, tensor: None });
    };
    let tensor = Tensor::new(DataType::Float32, dims.clone(), Bytes::from(bytes))?;
    Ok(StoredTensor { dtype, dims, tensor: Some(tensor) })
}
