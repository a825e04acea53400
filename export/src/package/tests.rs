use std::collections::HashMap;
use std::io::Cursor;

use bytes::Bytes;
use mimir_bundle::architecture::{Architecture, Family, Pooling};
use mimir_bundle::certificate::Tool;
use mimir_bundle::{Loss, Normalisation};
use onnx_protobuf::{Message, ModelProto};
use safetensors::tensor::TensorView;

use super::{NormalisationPlace, Package, PackageOptions, Precision, WeightPlace, package};
use crate::classifier::{ImageClassifier, InputSpec};
use crate::network::{Checkpoint, Network};
use crate::onnx::{Limits, read_model, read_model_bytes, write_model};
use crate::testing::run_file;

const SMALL: Architecture =
    Architecture { family: Family::Vit, width: 32, depth: 2, heads: 2, image_size: 8, patch_size: 4 };

/// A small network of each family.
fn all_families() -> [Architecture; 4] {
    [Family::Vit, Family::VitConvStem, Family::Convit, Family::Cait].map(|family| {
        let (image_size, patch_size) = if family == Family::VitConvStem { (32, 16) } else { (8, 4) };
        Architecture { family, depth: 3, image_size, patch_size, ..SMALL }
    })
}

/// A file with the tensors of the network, small numbers that follow no pattern.
fn checkpoint(network: &Network) -> Checkpoint {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = network
        .parameters()
        .into_iter()
        .enumerate()
        .map(|(position, (name, dims))| {
            let count: usize = dims.iter().product();
            let value = |index: usize| ((index * 37 + position * 11) % 101) as f32 / 400.0 - 0.12;
            (name, dims, (0..count).flat_map(|index| value(index).to_le_bytes()).collect())
        })
        .collect();
    let views: HashMap<&str, TensorView<'_>> = tensors
        .iter()
        .map(|(name, dims, data)| {
            (name.as_str(), TensorView::new(safetensors::Dtype::F32, dims.clone(), data).unwrap())
        })
        .collect();
    let file = safetensors::serialize(views, None).unwrap();
    Checkpoint::from_reader("test.safetensors", Cursor::new(&file), file.len() as u64).unwrap()
}

fn options() -> PackageOptions {
    PackageOptions {
        file_name: "model.onnx".into(),
        opset: 20,
        precision: Precision::Float32,
        weights: WeightPlace::BySize,
        normalisation: Some(Normalisation::new([0.5; 3], [0.25; 3])),
        normalisation_place: NormalisationPlace::Manifest,
        preprocessing: None,
        class_names: None,
        features: false,
        gradients: Vec::new(),
        tool: Tool { name: "test".into(), version: "0".into(), commit: None },
        created_at: None,
    }
}

fn packaged(architecture: Architecture, change: impl FnOnce(&mut PackageOptions)) -> Package {
    let pooling = if architecture.family == Family::Cait { Pooling::ClassToken } else { Pooling::Mean };
    let network = Network::new(architecture, pooling, 5);
    let mut options = options();
    change(&mut options);
    package(checkpoint(&network), &network, &options).unwrap()
}

fn model(package: &Package) -> &Bytes {
    &package.files[0].1
}

/// Largest difference of two models' first outputs, over the largest of the first's.
fn relative(one: &[u8], other: &[u8]) -> f32 {
    let ((_, one), (_, other)) = (run_file(one, 3).swap_remove(0), run_file(other, 3).swap_remove(0));
    let largest = one.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let difference = one.iter().zip(&other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
    assert!(largest > 0.05 && difference.is_finite(), "{one:?} {other:?}");
    difference / largest
}

#[test]
fn every_opset_and_precision_runs_and_agrees() {
    let convit = Architecture { family: Family::Convit, depth: 3, ..SMALL };
    for architecture in [SMALL, convit] {
        let reference = packaged(architecture, |_| ());
        for opset in 17..=23 {
            for (precision, bound) in [(Precision::Float32, 1e-5), (Precision::Float16, 5e-3)] {
                let other =
                    packaged(architecture, |options| (options.opset, options.precision) = (opset, precision));
                let proto = ModelProto::parse_from_bytes(model(&other)).unwrap();
                assert_eq!(proto.opset_import[0].version, i64::from(opset));
                let gelu = proto.graph.node.iter().any(|node| node.op_type == "Gelu");
                assert_eq!(gelu, opset >= 20, "opset {opset}");
                let found = relative(model(&reference), model(&other));
                assert!(found <= bound, "opset {opset}, {precision:?}: {found}");
                assert!(precision == Precision::Float32 || found > 0.0, "float16 rounds");
            }
        }
    }
}

#[test]
fn weights_beside_are_those_inside() {
    let inside = packaged(SMALL, |_| ());
    let beside = packaged(SMALL, |options| options.weights = WeightPlace::Beside);
    assert_eq!(
        beside.files.iter().map(|file| file.0.as_str()).collect::<Vec<_>>(),
        ["model.onnx", "model.onnx.data"]
    );
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in &beside.files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let read = read_model(&folder.path().join("model.onnx"), &Limits::default()).unwrap();
    assert_eq!(read.graph, read_model_bytes(model(&inside).clone(), None, &Limits::default()).unwrap().graph);
    // As another reader finds them: aligned, in the file, and no byte of two tensors.
    let proto = ModelProto::parse_from_bytes(model(&beside)).unwrap();
    let data = &beside.files[1].1;
    let mut end = 0;
    for tensor in proto.graph.initializer.iter().filter(|tensor| !tensor.external_data.is_empty()) {
        let entry = |key: &str| &tensor.external_data.iter().find(|entry| entry.key == key).unwrap().value;
        let (offset, length): (usize, usize) =
            (entry("offset").parse().unwrap(), entry("length").parse().unwrap());
        assert_eq!((entry("location").as_str(), offset % 64), ("model.onnx.data", 0));
        assert!(offset >= end && offset - end < 4096 && offset + length <= data.len());
        end = offset + length;
    }
    assert_eq!(end, data.len());
}

#[test]
fn gradient_graphs_share_the_weights_of_the_model() {
    let wanted = ["model.onnx", "gradient-cross-entropy.onnx", "gradient-margin.onnx", "model.onnx.data"];
    for architecture in all_families() {
        for opset in [17, 23] {
            let package = packaged(architecture, |options| {
                (options.opset, options.gradients) = (opset, vec![Loss::CrossEntropy, Loss::Margin]);
            });
            let names: Vec<&str> = package.files.iter().map(|file| file.0.as_str()).collect();
            assert_eq!(names, wanted);
            for (_, graph) in &package.files[1..3] {
                let proto = ModelProto::parse_from_bytes(graph).unwrap();
                let own = proto.graph.initializer.iter().filter(|tensor| tensor.external_data.is_empty());
                let large =
                    own.filter(|tensor| tensor.raw_data.len() >= 1024).map(|tensor| tensor.name.as_str());
                // The gradient of a convolution reads its kernels in another order; they are few.
                let large: Vec<&str> = large.filter(|name| !name.contains("Conv/")).collect();
                assert_eq!(large, Vec::<&str>::new(), "{architecture:?}, opset {opset}");
            }
        }
    }
    let package = packaged(SMALL, |options| options.gradients = vec![Loss::CrossEntropy, Loss::Margin]);
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in &package.files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let read = read_model(&folder.path().join(wanted[1]), &Limits::default()).unwrap();
    let names = |ids: &[_]| ids.iter().map(|id| read.graph.value(*id).name.clone()).collect::<Vec<_>>();
    assert_eq!(names(read.graph.inputs()), ["images", "labels"]);
    assert_eq!(names(read.graph.outputs()), ["logits", "loss", "images_gradient"]);
}

#[test]
fn gradient_graphs_that_share_weights_give_the_gradient() {
    for architecture in all_families() {
        let package = packaged(architecture, |_| ());
        let file = read_model_bytes(model(&package).clone(), None, &Limits::default()).unwrap();
        let normalisation = package.manifest.input.normalisation.clone();
        let classifier =
            ImageClassifier::new(file, &InputSpec { normalisation, ..InputSpec::default() }).unwrap();
        let shared = write_model(&classifier.gradient_graph_keeping_weights(Loss::Margin).unwrap()).unwrap();
        let folded = classifier.gradient_onnx(Loss::Margin).unwrap();
        let (shared, folded) = (run_file(&shared, 3), run_file(&folded, 3));
        assert!(shared.len() >= 2 && shared.len() == folded.len());
        for ((dims, one), (_, other)) in shared.iter().zip(&folded) {
            let largest = one.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let far = one.iter().zip(other).find(|(one, other)| (*one - *other).abs() > 1e-4 * largest);
            assert!(largest > 0.0 && far.is_none(), "{architecture:?}, {dims:?}: {far:?}");
        }
    }
}

#[test]
fn normalisation_is_named_or_in_the_graph() {
    let named = packaged(SMALL, |_| ());
    let inside = packaged(SMALL, |options| options.normalisation_place = NormalisationPlace::Graph);
    assert!(named.manifest.input.normalisation.is_some() && inside.manifest.input.normalisation.is_none());
    let text = |package: &Package| {
        read_model_bytes(model(package).clone(), None, &Limits::default()).unwrap().graph.to_string()
    };
    assert!(!text(&named).contains("%normalisation/Sub") && text(&inside).contains("%normalisation/Sub"));
}

#[test]
fn features_are_an_output_where_they_are_asked_for() {
    for precision in [Precision::Float32, Precision::Float16] {
        let package = packaged(SMALL, |options| (options.features, options.precision) = (true, precision));
        let results = run_file(model(&package), 3);
        assert_eq!(results[1].0, [3, 5, 32]);
        assert_eq!(package.manifest.features[0].shape, [5, 32]);
    }
    assert_eq!(run_file(model(&packaged(SMALL, |_| ())), 1).len(), 1);
}

#[test]
fn equal_checkpoints_give_equal_bytes() {
    let twice = || packaged(SMALL, |options| options.gradients = vec![Loss::Dlr]);
    assert_eq!(twice().files, twice().files);
}
