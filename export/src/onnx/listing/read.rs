//! From a file to its listing.

use std::path::Path;

use bytes::Bytes;
use mimir_bundle::digest::FileDigest;
use prost::Message;

use super::collect::{Collector, import};
use super::digests;
use super::document::Listing;
use crate::error::{Error, Result};
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
    let bytes = read_file(path, limits);
    let listing = bytes.and_then(|bytes| read_listing_bytes(bytes, Some(folder_of(path)), limits));
    let mut listing = listing.map_err(|error| error.at_file(path))?;
    listing.files[0].name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(listing)
}

/// The listing of a model in memory; `folder` is where external data may lie, if anywhere.
///
/// # Errors
/// As [`read_listing`]; a model with external data needs a folder.
pub fn read_listing_bytes(bytes: Bytes, folder: Option<&Path>, limits: &Limits) -> Result<Listing> {
    if bytes.len() as u64 > limits.file_bytes {
        return Err(exceeded("bytes", limits.file_bytes, "file_bytes"));
    }
    wire::check(&bytes, limits)?;
    let model = ModelProto::decode(bytes.clone()).map_err(wire::not_onnx)?;
    let mut tensors = TensorReader::new(folder.map_or(Place::Nowhere, Place::Folder), limits);
    let mut listing = list(&model, &mut tensors)?;
    let mut files = vec![("", bytes)];
    files.extend(tensors.external_bytes().map(|(name, bytes)| (name, bytes.clone())));
    listing.files = digests::fill(&mut listing, &files);
    Ok(listing)
}

/// The listing of a graph that we made.
///
/// # Errors
/// When a tensor is not well-formed, which none of ours is.
pub(super) fn list_own(model: &ModelProto) -> Result<Listing> {
    let mut listing = list(model, &mut TensorReader::new(Place::Nowhere, &Limits::default()))?;
    listing.files = digests::fill(&mut listing, &[]);
    Ok(listing)
}

/// Everything but the digests.
fn list(model: &ModelProto, tensors: &mut TensorReader<'_>) -> Result<Listing> {
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
        files: Vec::<FileDigest>::new(),
    })
}
