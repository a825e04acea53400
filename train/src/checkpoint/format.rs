//! Tensors to a safetensors file and back.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{SafeTensors, TensorView};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::atomic::write_atomically;
use super::error::CheckpointError;

/// Writes float32 and bfloat16 tensors. The same tensors give the same bytes.
pub(super) fn save(
    path: &Path,
    tensors: Vec<(String, Tensor)>,
    metadata: &Value,
) -> Result<(), CheckpointError> {
    let failed = |source| CheckpointError::write(path, source);
    write_atomically(path, failed, |sink| write(sink, tensors, metadata).map_err(failed))
}

fn write(sink: &mut dyn Write, mut tensors: Vec<(String, Tensor)>, metadata: &Value) -> io::Result<()> {
    // Larger types first, so that each tensor starts at a multiple of its size.
    tensors.sort_by(|(a, x), (b, y)| element_size(y).cmp(&element_size(x)).then_with(|| a.cmp(b)));
    let mut header = serde_json::to_vec(&Header { tensors: &tensors, metadata })?;
    header.resize(header.len().next_multiple_of(8), b' ');
    sink.write_all(&(header.len() as u64).to_le_bytes())?;
    sink.write_all(&header)?;
    let mut bytes = Vec::new();
    for (_, tensor) in &tensors {
        copy_out(tensor, &mut bytes)?;
        sink.write_all(&bytes)?;
    }
    Ok(())
}

/// The JSON in front of the data. The crate's own has no fixed order of metadata.
struct Header<'a> {
    tensors: &'a [(String, Tensor)],
    /// Of the whole file; null leaves it out.
    metadata: &'a Value,
}

impl Header<'_> {
    fn file_metadata(&self) -> Value {
        match self.metadata {
            Value::Null => json!({ "format": "pt" }),
            metadata => json!({ "format": "pt", "mimir": metadata.to_string() }),
        }
    }
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.tensors.len()))?;
        map.serialize_entry("__metadata__", &self.file_metadata())?;
        let mut start = 0;
        for (name, tensor) in self.tensors {
            let end = start + element_size(tensor) * tensor.numel();
            let dtype = if tensor.kind() == Kind::BFloat16 { "BF16" } else { "F32" };
            let place = json!({ "dtype": dtype, "shape": tensor.size(), "data_offsets": [start, end] });
            map.serialize_entry(name, &place)?;
            start = end;
        }
        map.end()
    }
}

fn element_size(tensor: &Tensor) -> usize {
    tensor.kind().elt_size_in_bytes()
}

fn copy_out(tensor: &Tensor, bytes: &mut Vec<u8>) -> io::Result<()> {
    let tensor = tensor.to_device(Device::Cpu).contiguous();
    bytes.resize(element_size(&tensor) * tensor.numel(), 0);
    tensor.f_copy_data_u8(bytes, tensor.numel()).map_err(io::Error::other)
}

/// The most bytes of a file of tensors.
const MOST_BYTES: u64 = 1 << 36;

/// A file in memory.
pub(super) struct SafetensorsFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl SafetensorsFile {
    /// The whole file, whose header has been checked.
    pub(super) fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes =
            mimir_files::read(path, MOST_BYTES).map_err(|source| CheckpointError::read(path, source))?;
        let contents = Self { path: path.to_owned(), bytes };
        contents.tensors()?;
        Ok(contents)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn tensors(&self) -> Result<SafeTensors<'_>, CheckpointError> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| self.broken(&error.to_string()))
    }

    /// The metadata under `mimir`; null where there is none.
    pub(super) fn metadata(&self) -> Result<Value, CheckpointError> {
        let (_, header) =
            SafeTensors::read_metadata(&self.bytes).map_err(|error| self.broken(&error.to_string()))?;
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get("mimir"));
        text.map_or(Ok(Value::Null), |text| {
            serde_json::from_str(text).map_err(|error| self.broken(&format!("metadata `mimir`: {error}")))
        })
    }

    pub(super) fn broken(&self, found: &str) -> CheckpointError {
        CheckpointError::format(&self.path, found, "a whole safetensors file")
    }
}

/// The tensor of a view, on the CPU, in its own type. Types that no network here has are refused before.
pub(super) fn tensor(view: &TensorView<'_>) -> Option<Tensor> {
    let kind = match view.dtype() {
        Dtype::F32 => Kind::Float,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F16 => Kind::Half,
        _ => return None,
    };
    let shape: Vec<i64> = view.shape().iter().map(|&length| length as i64).collect();
    Tensor::f_from_data_size(view.data(), &shape, kind).ok()
}
