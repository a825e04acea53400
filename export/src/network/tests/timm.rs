//! Against timm: its names and shapes, its resampled positions, and what its networks compute.
//!
//! The numbers come from `scripts/reference/network_fixtures.py`.

use std::collections::BTreeMap;
use std::path::Path;

use mimir_bundle::architecture::{Architecture, Family};
use mimir_bundle::{Normalisation, tensor_names};
use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};
use serde::Deserialize;

use super::{Checkpoint, file, read};
use crate::graph::Graph;
use crate::network::{BUILT_OPSETS, BuildOptions, Wanted, build, describe, positions};
use crate::onnx::write_model;
use crate::tensor::Tensor;

const KEYS: &str = include_str!("../fixtures/keys.json");
const POSITIONS: &str = include_str!("../fixtures/positions.json");

/// Largest difference of logits and of features to timm's, which are between -30 and 30.
const TOLERANCE: f32 = 1e-4;

#[test]
fn files_of_timm_have_exactly_the_tensors_of_their_network() {
    let keys: BTreeMap<String, BTreeMap<String, Vec<usize>>> = serde_json::from_str(KEYS).unwrap();
    assert_eq!(keys.len(), 11);
    for (name, shapes) in keys {
        // Headers only: the weights of all of them are more than a gigabyte.
        let mut checkpoint = read(file(&[], None)).unwrap();
        for (key, dims) in &shapes {
            let stored = crate::network::checkpoint::StoredTensor {
                dtype: safetensors::Dtype::F32,
                dims: dims.clone(),
                tensor: None,
            };
            checkpoint.tensors.insert(key.clone(), stored);
        }
        let inferred = describe(&checkpoint, &Wanted::default()).unwrap();
        let wanted: BTreeMap<String, Vec<usize>> = inferred.parameters().into_iter().collect();
        assert_eq!(shapes, wanted, "{name}");
        let by_name = Wanted { architecture: Some(name.clone()), ..Wanted::default() };
        assert_eq!(describe(&checkpoint, &by_name).unwrap(), inferred, "{name}");
    }
}

#[derive(Deserialize)]
struct Resampled {
    prefix: usize,
    old: usize,
    new: usize,
    table: Vec<f32>,
    resampled: Vec<f32>,
}

#[test]
fn positions_are_resampled_as_timm_does() {
    let cases: Vec<Resampled> = serde_json::from_str(POSITIONS).unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let family = if case.prefix == 1 { Family::Vit } else { Family::Cait };
        let architecture =
            Architecture { family, width: 2, depth: 1, heads: 1, image_size: case.new, patch_size: 1 };
        let table = Tensor::from_f32(&[1, case.prefix + case.old * case.old, 2], &case.table);
        let new = positions::resampled(&table, &architecture).unwrap().to_f32().unwrap();
        assert_eq!(new.len(), case.resampled.len());
        let far = new.iter().zip(&case.resampled).find(|(a, b)| (*a - *b).abs() > 2e-6);
        assert_eq!(far, None, "{} to {}", case.old, case.new);
    }
}

/// A network as timm saved it, and what timm computes with it.
struct Reference {
    checkpoint: Checkpoint,
    images: Tensor,
    logits: Vec<f32>,
    features: Vec<f32>,
}

fn reference(name: &str) -> Reference {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/network/fixtures")
        .join(format!("{name}.safetensors"));
    let mut checkpoint = Checkpoint::read(&path).unwrap();
    let mut take = |name: &str| {
        let stored = checkpoint.tensors.remove(&format!("reference.{name}")).unwrap();
        stored.tensor.unwrap()
    };
    let (images, logits, features) = (take("images"), take("logits"), take("features"));
    Reference { checkpoint, images, logits: logits.to_f32().unwrap(), features: features.to_f32().unwrap() }
}

/// The value of that name on the images.
fn computed(graph: &Graph, name: &str, images: &Tensor) -> Vec<f32> {
    let mut graph = graph.clone();
    graph.set_outputs(vec![graph.find(name).unwrap()]);
    let engine = Engine::load(None).unwrap();
    let model = write_model(&graph).unwrap();
    let mut session = RawSession::new(&engine, &model, SessionOptions::default()).unwrap();
    let pixels = images.to_f32().unwrap();
    let input = Input { name: tensor_names::IMAGES, dims: images.dims(), data: Data::F32(&pixels) };
    session.run(&[input]).unwrap().remove(0).data
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn networks_compute_what_timm_computes() {
    for name in ["vit", "vit_mean", "convit", "cait"] {
        for opset in BUILT_OPSETS {
            let Reference { checkpoint, images, logits, features } = reference(name);
            let wanted = Wanted { heads: Some(2), ..Wanted::default() };
            let network = describe(&checkpoint, &wanted).unwrap();
            let options = BuildOptions { opset, normalisation: None };
            let graph = build(checkpoint, &network, &options).unwrap();
            for (output, wanted) in [(tensor_names::LOGITS, logits), (tensor_names::FEATURES, features)] {
                let difference = largest_difference(&computed(&graph, output, &images), &wanted);
                assert!(difference < TOLERANCE, "{name}, opset {opset}: {output} differ by {difference}");
            }
        }
    }
}

#[test]
fn normalisation_inside_the_graph_undoes_itself() {
    let normalisation = Normalisation::new([0.5, 0.4, 0.3], [0.25, 0.5, 0.125]);
    let Reference { checkpoint, images, logits, .. } = reference("vit");
    let network = describe(&checkpoint, &Wanted { heads: Some(2), ..Wanted::default() }).unwrap();
    let pixels: Vec<f32> = images
        .to_f32()
        .unwrap()
        .chunks(32 * 32)
        .enumerate()
        .flat_map(|(plane, pixels)| {
            let (mean, std) = (normalisation.mean[plane % 3] as f32, normalisation.std[plane % 3] as f32);
            pixels.iter().map(move |pixel| pixel * std + mean)
        })
        .collect();
    let pixels = Tensor::from_f32(images.dims(), &pixels);
    let options = BuildOptions { normalisation: Some(normalisation), ..BuildOptions::default() };
    let graph = build(checkpoint, &network, &options).unwrap();
    let difference = largest_difference(&computed(&graph, tensor_names::LOGITS, &pixels), &logits);
    assert!(difference < TOLERANCE, "{difference}");
}

#[test]
fn images_of_another_size_get_resampled_positions() {
    let Reference { checkpoint, .. } = reference("vit");
    let wanted = Wanted { heads: Some(2), image_size: Some(48), ..Wanted::default() };
    let network = describe(&checkpoint, &wanted).unwrap();
    let graph = build(checkpoint, &network, &BuildOptions::default()).unwrap();
    let shape = |name: &str| graph.shape(graph.find(name).unwrap()).unwrap().to_string();
    assert_eq!(shape(tensor_names::IMAGES), "[N, 3, 48, 48]");
    assert_eq!(shape(tensor_names::FEATURES), "[N, 37, 16]");
}
