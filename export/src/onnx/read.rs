//! Reads a model file.

use std::path::Path;

use bytes::Bytes;
use mimir_bundle::bundle::{Bundle, FileKind};
use mimir_bundle::digest::FileDigest;
use mimir_bundle::one_line;
use prost::Message;

use super::external::Place;
use super::limits::{Limits, exceeded};
use super::proto::ModelProto;
use super::tensor::TensorReader;
use super::{build, functions, non_tensor_outputs, versions, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, OpenInput};

/// What was read from a model file.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// The graph in topological order, in the opset of the file, without functions.
    pub graph: Graph,
    /// Inputs with dimensions that the file leaves open, such as height and width: their values have no type yet.
    pub open_inputs: Vec<OpenInput>,
    /// Version of the file format.
    pub ir_version: i64,
    /// Name and version of the program that wrote the file, as it states them; may be empty.
    pub producer: String,
    /// The ONNX file, then each file with external data in the order of its first use: digests of the bytes that the
    /// graph was made of. The first has an empty name where the model was read from memory.
    pub files: Vec<FileDigest>,
}

/// Reads a model and the external data beside it.
///
/// # Errors
/// Names the file, the tensor or the node. [`ErrorKind::Io`] when a file cannot be read, [`ErrorKind::Format`] when
/// it is not a well-formed model, [`ErrorKind::Limit`] over a cap, [`ErrorKind::Unsupported`] and
/// [`ErrorKind::Shape`] for what we do not support.
pub fn read_model(path: &Path, limits: &Limits) -> Result<ModelFile> {
    let mut file = read_file(path, limits)
        .and_then(|bytes| read_model_bytes(bytes, Some(folder_of(path)), limits))
        .map_err(|error| error.at_file(path))?;
    file.files[0].name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(file)
}

/// Reads a model from memory; `folder` is where external data may lie, if anywhere.
///
/// # Errors
/// As [`read_model`]; a model with external data needs a folder.
pub fn read_model_bytes(bytes: Bytes, folder: Option<&Path>, limits: &Limits) -> Result<ModelFile> {
    let itself = |bytes: &Bytes| FileDigest::new("", bytes);
    read(bytes, itself, folder.map_or(Place::Nowhere, Place::Folder), limits)
}

/// Reads a graph of a bundle, `model.onnx` or a gradient graph, from the bytes that were checked when the bundle was
/// opened. Its external data is in files of the bundle, whatever else there is.
///
/// # Errors
/// As [`read_model`], and when the bundle has no such graph, or a byte of external data is of two tensors.
pub fn read_bundled(bundle: &Bundle, name: &str, limits: &Limits) -> Result<ModelFile> {
    let graph = bundle.file(name).filter(|_| FileKind::of(name) == Ok(FileKind::Graph));
    let graph =
        graph.ok_or_else(|| Error::new(ErrorKind::Io, format!("the bundle has no graph `{name}`")))?;
    let digest = |_: &Bytes| graph.digest().clone();
    read(graph.bytes().clone(), digest, Place::Bundle(bundle), limits)
        .map_err(|error| error.at_file(Path::new(name)))
}

fn read(
    bytes: Bytes,
    digest: impl Fn(&Bytes) -> FileDigest,
    place: Place<'_>,
    limits: &Limits,
) -> Result<ModelFile> {
    if bytes.len() as u64 > limits.file_bytes {
        return Err(exceeded("bytes", limits.file_bytes, "file_bytes"));
    }
    wire::check(&bytes, limits)?.expect_plain_names()?;
    let itself = digest(&bytes);
    let mut model = ModelProto::decode(bytes).map_err(wire::not_onnx)?;
    let opset = versions::check(&model)?;
    // Before functions are inlined: what a call copies names the same bytes.
    let mut tensors = TensorReader::new(place, &model, limits);
    let mut proto = model.graph.take().ok_or_else(|| Error::format("has no graph: not an ONNX model"))?;
    if !model.training_info.is_empty() {
        return Err(Error::unsupported("carries `training_info`: export the model for inference"));
    }
    let mut nodes = functions::inline(&proto, &model.functions, opset, limits)?;
    non_tensor_outputs::drop_non_tensor_outputs(&mut proto, &mut nodes);
    let (graph, open_inputs) = build::graph(&proto, &nodes, opset, &mut tensors)?;
    Ok(ModelFile {
        graph,
        open_inputs,
        ir_version: model.ir_version(),
        producer: one_line(format!("{} {}", model.producer_name(), model.producer_version()).trim())
            .into_owned(),
        files: std::iter::once(itself).chain(tensors.external_files()).collect(),
    })
}

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The bytes of a regular file within [`Limits::file_bytes`].
pub(crate) fn read_file(path: &Path, limits: &Limits) -> Result<Bytes> {
    let io = |error: std::io::Error| Error::new(ErrorKind::Io, format!("cannot be read: {error}"));
    let opened = mimir_files::open(path).map_err(io)?;
    if opened.metadata.len() > limits.file_bytes {
        return Err(exceeded("bytes", limits.file_bytes, "file_bytes"));
    }
    opened.read(limits.file_bytes).map(Bytes::from).map_err(io)
}
