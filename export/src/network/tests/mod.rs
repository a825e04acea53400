//! Tests over all families: timm's numbers, snapshots, and files that do not fit.

mod files;
mod snapshots;
mod timm;

use std::collections::BTreeMap;
use std::io::Cursor;

use mimir_bundle::architecture::{Architecture, Family, Pooling};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{Checkpoint, Network};
use crate::error::Result;

/// A small network of each family.
fn small(family: Family) -> Network {
    let (image_size, patch_size) = if family == Family::VitConvStem { (32, 16) } else { (8, 4) };
    let depth = if family == Family::Convit { 3 } else { 1 };
    let architecture = Architecture { family, width: 8, depth, heads: 2, image_size, patch_size };
    let pooling = match family {
        Family::Vit | Family::VitConvStem => Pooling::Mean,
        Family::Convit | Family::Cait => Pooling::ClassToken,
    };
    Network::new(architecture, pooling, 3)
}

const FAMILIES: [Family; 4] = [Family::Vit, Family::VitConvStem, Family::Convit, Family::Cait];

/// A file of tensors by name, and the header where there is one.
fn file(tensors: &[(String, Dtype, Vec<usize>)], header: Option<&str>) -> Vec<u8> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, dtype, dims)| vec![0; dims.iter().product::<usize>() * dtype.bitsize() / 8])
        .collect();
    let views = tensors.iter().zip(&data).map(|((name, dtype, dims), data)| {
        (name.clone(), TensorView::new(*dtype, dims.clone(), data).unwrap())
    });
    let metadata = header.map(|header| [("mimir".to_owned(), header.to_owned())].into());
    safetensors::serialize(views, metadata).unwrap()
}

fn read(bytes: Vec<u8>) -> Result<Checkpoint> {
    let length = bytes.len() as u64;
    Checkpoint::from_reader("test.safetensors", Cursor::new(bytes), length)
}

/// The tensors of a network in float32.
fn tensors_of(network: &Network) -> Vec<(String, Dtype, Vec<usize>)> {
    network.parameters().into_iter().map(|(name, dims)| (name, Dtype::F32, dims)).collect()
}

/// The tensors by name, to change some of them.
fn by_name(network: &Network) -> BTreeMap<String, (Dtype, Vec<usize>)> {
    tensors_of(network).into_iter().map(|(name, dtype, dims)| (name, (dtype, dims))).collect()
}

fn listed(tensors: BTreeMap<String, (Dtype, Vec<usize>)>) -> Vec<(String, Dtype, Vec<usize>)> {
    tensors.into_iter().map(|(name, (dtype, dims))| (name, dtype, dims)).collect()
}
