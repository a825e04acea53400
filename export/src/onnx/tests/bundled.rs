//! Models of bundles: their external data is in files of the bundle, each byte of one tensor.

use mimir_bundle::bundle::{
    BUNDLE_FORMAT, BUNDLE_VERSION, Bundle, BundleManifest, Classes, InputFacts, MODEL, MODEL_DATA, Provenance,
};
use mimir_bundle::certificate::Tool;
use mimir_bundle::{ChannelOrder, ImageShape, Layout, PixelType};

use super::external::{external, floats};
use super::*;
use crate::onnx::read_bundled;

fn description() -> BundleManifest {
    BundleManifest {
        format: BUNDLE_FORMAT.into(),
        version: BUNDLE_VERSION.into(),
        architecture: None,
        input: InputFacts {
            image: ImageShape { channels: 1, height: 1, width: 4 },
            layout: Layout::Flat,
            pixel_type: PixelType::Float,
            channel_order: ChannelOrder::Rgb,
            range: [0.0, 1.0],
            normalisation: None,
        },
        preprocessing: None,
        output: "y".into(),
        classes: Classes { count: 4, names: None },
        features: Vec::new(),
        provenance: Provenance {
            checkpoint: None,
            experiment: None,
            data: None,
            parent: None,
            tool: Tool { name: "a test".into(), version: "1".into(), commit: None },
            created_at: None,
        },
        files: Vec::new(),
    }
}

/// A bundle whose model has those initialisers, with eight numbers beside it.
fn bundle(initializer: Vec<TensorProto>) -> Bundle {
    let model = model(GraphProto { initializer, ..relu_graph() }).encode_to_vec();
    let data = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let files = [(MODEL, model), (MODEL_DATA, data)];
    Bundle::new(description(), files.map(|(name, bytes)| (name.to_owned(), bytes.into()))).unwrap()
}

fn read(initializer: Vec<TensorProto>) -> Result<ModelFile> {
    read_bundled(&bundle(initializer), MODEL, &Limits::default())
}

fn at(location: &str, offset: &str) -> TensorProto {
    external(&format!("at {offset}"), &[("location", location), ("offset", offset)])
}

#[test]
fn data_is_that_of_the_bundle_and_has_its_digest() {
    let file = read(vec![at(MODEL_DATA, "0"), at(MODEL_DATA, "16")]).unwrap();
    let value = |name| file.graph.constant(file.graph.find(name).unwrap()).unwrap().to_f32().unwrap();
    assert_eq!((value("at 0"), value("at 16")), (vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]));
    let bundle = bundle(vec![at(MODEL_DATA, "0"), at(MODEL_DATA, "16")]);
    assert_eq!(file.files, bundle.model_files());
}

#[test]
fn what_is_not_the_bundles_or_of_two_tensors_is_refused() {
    let overlap = |first, second| vec![at(MODEL_DATA, first), at(MODEL_DATA, second)];
    let cases = [
        (
            overlap("0", "12"),
            "tensor `at 12`: its data is at bytes 12 to 28 of `model.onnx.data`, which overlap bytes 0 to 16",
        ),
        (
            overlap("12", "0"),
            "tensor `at 0`: its data is at bytes 0 to 16 of `model.onnx.data`, which overlap bytes 12 to 28",
        ),
        (overlap("4", "4"), "which overlap bytes 4 to 20 of another tensor"),
        (vec![at(MODEL_DATA, "20")], "needs 16 bytes at offset 20 of `model.onnx.data`, which has 32"),
        (vec![at(MODEL_DATA, "18446744073709551615")], "needs 16 bytes at offset 18446744073709551615"),
        (
            vec![at("../secret", "0")],
            "its data is in `../secret`, which is no file with weights that the bundle",
        ),
        (vec![at("/etc/passwd", "0")], "its data is in `/etc/passwd`, which is no file with weights"),
        (vec![at("./model.onnx.data", "0")], "its data is in `./model.onnx.data`, which is no file"),
        (vec![at("MODEL.onnx.data", "0")], "its data is in `MODEL.onnx.data`, which is no file"),
        (vec![at("gradient-x.onnx.data", "0")], "which is no file with weights"),
        (vec![at("manifest.json", "0")], "its data is in `manifest.json`, which is no file with weights"),
        (vec![at(MODEL, "0")], "its data is in `model.onnx`, which is no file with weights"),
    ];
    for (tensors, wanted) in cases {
        let error = read(tensors).unwrap_err().to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
    let error = read_bundled(&bundle(Vec::new()), "gradient-x.onnx", &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("the bundle has no graph `gradient-x.onnx`"), "{error}");
}
