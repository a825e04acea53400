//! From a file to its listing.

use std::path::Path;

use bytes::Bytes;
use mimir_bundle::bundle::{Bundle, FileKind};
use prost::Message;

use super::collect::{Collector, import};
use super::digests;
use super::document::Listing;
use crate::error::{Error, ErrorKind, Result};
use crate::onnx::external::Place;
use crate::onnx::limits::{Limits, exceeded};
use crate::onnx::proto::ModelProto;
use crate::onnx::read::{folder_of, read_file};
use crate::onnx::tensor::TensorReader;
use crate::onnx::wire;

/// Reads what stands in an ONNX file and in the external data beside it.
///
/// # Errors
/// Names the file, the tensor or the node, as [`read_model`](crate::onnx::read_model) does, but refuses only what is
/// not well-formed, over a cap, or outside the model's folder.
pub fn read_listing(path: &Path, limits: &Limits) -> Result<Listing> {
    let listing =
        read_file(path, limits).and_then(|bytes| read_listing_bytes(bytes, Some(folder_of(path)), limits));
    listing.map_err(|error| error.at_file(path))
}

/// The listing of a model in memory; `folder` is where external data may lie, if anywhere.
///
/// # Errors
/// As [`read_listing`]; a model with external data needs a folder.
pub fn read_listing_bytes(bytes: Bytes, folder: Option<&Path>, limits: &Limits) -> Result<Listing> {
    read(bytes, folder.map_or(Place::Nowhere, Place::Folder), limits)
}

/// The listing of a graph of a bundle, from the bytes that were checked when the bundle was opened. External data is in
/// files of the bundle, whatever else there is.
///
/// # Errors
/// As [`read_bundled`](crate::onnx::read_bundled).
pub fn read_listing_bundled(bundle: &Bundle, name: &str, limits: &Limits) -> Result<Listing> {
    let graph = bundle.file(name).filter(|_| FileKind::of(name) == Ok(FileKind::Graph));
    let graph =
        graph.ok_or_else(|| Error::new(ErrorKind::Io, format!("the bundle has no graph `{name}`")))?;
    let listing = read(graph.bytes().clone(), Place::Bundle(bundle), limits);
    listing.map_err(|error| error.at_file(Path::new(name)))
}

fn read(bytes: Bytes, place: Place<'_>, limits: &Limits) -> Result<Listing> {
    if bytes.len() as u64 > limits.file_bytes {
        return Err(exceeded("bytes", limits.file_bytes, "file_bytes"));
    }
    wire::check(&bytes, limits)?;
    let model = ModelProto::decode(bytes).map_err(wire::not_onnx)?;
    list(&model, &mut TensorReader::new(place, &model, limits))
}

/// The listing of a graph that we made.
///
/// # Errors
/// When a tensor is not well-formed, which none of ours is.
pub(super) fn list_own(model: &ModelProto) -> Result<Listing> {
    list(model, &mut TensorReader::new(Place::Nowhere, model, &Limits::default()))
}

/// Checks that a model can be listed: each of its tensors is well-formed, wherever its bytes are. Nothing is digested.
///
/// # Errors
/// Names the tensor or the node.
pub(in crate::onnx) fn check_listed(model: &ModelProto, tensors: &mut TensorReader<'_>) -> Result<()> {
    collect(model, tensors).map(drop)
}

fn list(model: &ModelProto, tensors: &mut TensorReader<'_>) -> Result<Listing> {
    let mut listing = collect(model, tensors)?;
    digests::fill(&mut listing);
    Ok(listing)
}

fn collect(model: &ModelProto, tensors: &mut TensorReader<'_>) -> Result<Listing> {
    let graph = model.graph.as_ref().ok_or_else(|| Error::format("has no graph: not an ONNX model"))?;
    let mut collector = Collector { tensors };
    let metadata =
        model.metadata_props.iter().map(|entry| (entry.key().to_owned(), entry.value().to_owned()));
    Ok(Listing {
        format: Listing::FORMAT,
        version: Listing::VERSION,
        ir_version: model.ir_version(),
        producer: format!("{} {}", model.producer_name(), model.producer_version()).trim().to_owned(),
        opsets: model.opset_import.iter().map(import).collect(),
        metadata: metadata.collect(),
        graph: collector.graph(graph)?,
        functions: model
            .functions
            .iter()
            .map(|function| collector.function(function))
            .collect::<Result<_>>()?,
        training: model.training_info.len(),
    })
}
