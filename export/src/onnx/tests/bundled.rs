//! Models of bundles: their external data is in files of the bundle, each byte of one tensor.

use mimir_bundle::bundle::{
    BUNDLE_FORMAT, BUNDLE_VERSION, Bundle, BundleManifest, Classes, FeatureTensor, InputFacts, MODEL,
    MODEL_DATA, Provenance,
};
use mimir_bundle::certificate::Tool;
use mimir_bundle::{ChannelOrder, ImageShape, Layout, PixelType};

use super::external::{external, floats};
use super::*;
use crate::onnx::{check_bundled, read_bundled};

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

/// Another tensor in the same place.
fn again(offset: &str) -> TensorProto {
    TensorProto { name: Some("again".into()), ..at(MODEL_DATA, offset) }
}

#[test]
fn data_is_that_of_the_bundle_and_has_its_digest() {
    let file = read(vec![at(MODEL_DATA, "0"), at(MODEL_DATA, "16")]).unwrap();
    let value = |name| file.graph.constant(file.graph.find(name).unwrap()).unwrap().to_f32().unwrap();
    assert_eq!((value("at 0"), value("at 16")), (vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]));
    let twice = read(vec![at(MODEL_DATA, "0"), again("0")]).unwrap();
    let value = |name| twice.graph.constant(twice.graph.find(name).unwrap()).unwrap().to_f32().unwrap();
    assert_eq!(value("again"), value("at 0"), "a range may be that of two tensors, if it is the same");
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
        (
            vec![at(MODEL_DATA, "4"), again("4"), at(MODEL_DATA, "8")],
            "which overlap bytes 4 to 20 of another tensor",
        ),
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

/// A bundle of those files.
fn bundle_of(files: &[(&str, Vec<u8>)], change: impl FnOnce(&mut BundleManifest)) -> Bundle {
    let mut description = description();
    change(&mut description);
    let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone().into()));
    Bundle::new(description, files).unwrap()
}

fn check(bundle: &Bundle) -> Result<()> {
    check_bundled(bundle, &Limits::default())
}

fn refused(bundle: &Bundle, wanted: &str) {
    let error = check(bundle).expect_err(wanted).to_string();
    assert!(error.contains(wanted), "{wanted}: {error}");
}

fn encoded(initializer: Vec<TensorProto>) -> Vec<u8> {
    model(GraphProto { initializer, ..relu_graph() }).encode_to_vec()
}

/// A graph with inputs and outputs of those names.
fn gradient(inputs: &[&str], outputs: &[&str], initializer: Vec<TensorProto>) -> Vec<u8> {
    let values = |names: &[&str]| names.iter().map(|name| input(name, Vec::new())).collect();
    let node = outputs.iter().map(|output| node("Relu", &["images"], &[output])).collect();
    let graph =
        GraphProto { input: values(inputs), output: values(outputs), node, initializer, ..relu_graph() };
    model(graph).encode_to_vec()
}

const DATA: [u8; 32] = [0; 32];
const GRADIENT: &str = "gradient-cross-entropy.onnx";

#[test]
fn the_graphs_of_a_bundle_are_read_whoever_opens_it() {
    let sound = encoded(vec![at(MODEL_DATA, "0"), again("0"), at(MODEL_DATA, "16")]);
    let data = || (MODEL_DATA, DATA.to_vec());
    let (inputs, outputs) = (["images", "labels"], ["logits", "loss", "images_gradient"]);
    let shared =
        gradient(&inputs, &outputs, vec![at(MODEL_DATA, "16"), at("gradient-cross-entropy.onnx.data", "0")]);
    let own = || ("gradient-cross-entropy.onnx.data", DATA.to_vec());
    check(&bundle_of(&[(MODEL, sound.clone()), data()], |_| ())).unwrap();
    check(&bundle_of(&[(MODEL, sound.clone()), data(), (GRADIENT, shared), own()], |_| ())).unwrap();
    check(&bundle_of(&[(MODEL, encoded(Vec::new()))], |_| ())).unwrap();

    let of_model = |bytes: Vec<u8>| bundle_of(&[(MODEL, bytes), data()], |_| ());
    refused(&of_model(b"garbage".to_vec()), "model.onnx: is not an ONNX file");
    refused(&of_model(sound[..sound.len() - 1].to_vec()), "model.onnx: is not an ONNX file");
    refused(&of_model(Vec::new()), "model.onnx: the file is empty");
    refused(
        &of_model(encoded(vec![at("/etc/passwd", "0")])),
        "its data is in `/etc/passwd`, which is no file",
    );
    refused(&of_model(encoded(vec![at("../x", "0")])), "its data is in `../x`, which is no file");
    refused(&of_model(encoded(vec![at(MODEL_DATA, "17")])), "needs 16 bytes at offset 17");
    refused(
        &of_model(encoded(vec![at(MODEL_DATA, "0"), at(MODEL_DATA, "8")])),
        "which overlap bytes 0 to 16",
    );
    refused(&of_model(encoded(Vec::new())), "model.onnx.data: no tensor of model.onnx is in it");
    let inner = node_with_body(at("/etc/passwd", "0"));
    refused(
        &of_model(model(GraphProto { node: vec![inner], ..relu_graph() }).encode_to_vec()),
        "`/etc/passwd`",
    );

    let with = |bytes: Vec<u8>| bundle_of(&[(MODEL, sound.clone()), data(), (GRADIENT, bytes)], |_| ());
    refused(&with(b"garbage".to_vec()), "gradient-cross-entropy.onnx: is not an ONNX file");
    refused(&with(gradient(&inputs, &outputs, vec![at("/etc/passwd", "0")])), "its data is in `/etc/passwd`");
    refused(&with(gradient(&inputs, &outputs, vec![at("../model.onnx.data", "0")])), "`../model.onnx.data`");
    refused(
        &with(gradient(&inputs[..1], &outputs, Vec::new())),
        "its inputs are images, wanted images, labels",
    );
    refused(&with(gradient(&inputs, &outputs[..2], Vec::new())), "its outputs are logits, loss, wanted");
    let foreign = encoded(vec![at("gradient-x.onnx.data", "0")]);
    let files = [
        (MODEL, foreign),
        ("gradient-x.onnx", sound.clone()),
        data(),
        ("gradient-x.onnx.data", DATA.to_vec()),
    ];
    refused(&bundle_of(&files, |_| ()), "has data in `gradient-x.onnx.data`, which is that of another graph");
    let orphan = [(MODEL, sound.clone()), data(), own()];
    refused(&bundle_of(&orphan, |_| ()), "gradient-cross-entropy.onnx.data: no tensor of");
}

/// An If whose branch has a weight.
fn node_with_body(weight: TensorProto) -> NodeProto {
    let attribute = AttributeProto {
        name: Some("then_branch".into()),
        r#type: Some(attribute_type::GRAPH),
        g: Some(Box::new(GraphProto { initializer: vec![weight], ..relu_graph() })),
        ..AttributeProto::default()
    };
    NodeProto { attribute: vec![attribute], ..node("If", &["x"], &["y"]) }
}

#[test]
fn inputs_and_outputs_are_those_of_the_description() {
    let refused_by = |change: fn(&mut BundleManifest), wanted| {
        refused(&bundle_of(&[(MODEL, encoded(Vec::new()))], change), wanted);
    };
    refused_by(
        |m| m.output = "z".into(),
        "has no output `z`, which manifest.json names; its outputs are `y`",
    );
    refused_by(
        |m| m.input.layout = Layout::Nchw,
        "input `x` is [?, 4], but manifest.json says [N, 1, 1, 4] (nchw)",
    );
    refused_by(|m| m.input.image.width = 5, "but manifest.json says one row of 5 values an image (flat)");
    refused_by(|m| m.input.pixel_type = PixelType::Uint8, "input `x` is f32, but manifest.json says Uint8");
    refused_by(
        |m| m.features = vec![FeatureTensor { name: "tokens".into(), shape: vec![4] }],
        "has no tensor `tokens`, which manifest.json names under features",
    );
    refused_by(
        |m| m.features = vec![FeatureTensor { name: "x".into(), shape: vec![5] }],
        "`x` is [?, 4], but manifest.json says [N, 5]",
    );
    refused_by(
        |m| m.features = vec![FeatureTensor { name: "x".into(), shape: vec![4, 1] }],
        "`x` is [?, 4], but manifest.json says [N, 4, 1]",
    );
    // A model of images with a flat description: its pixels would lie anywhere.
    let images = [None, Some(1), Some(2), Some(2)]
        .map(|size| DimensionProto { dim_value: size, ..DimensionProto::default() });
    let graph = GraphProto { input: vec![input("x", images.to_vec())], ..relu_graph() };
    let flat = bundle_of(&[(MODEL, model(graph).encode_to_vec())], |_| ());
    refused(&flat, "input `x` is [?, 1, 2, 2], but manifest.json says one row of 4 values an image (flat)");
    let classes = [None, Some(5)].map(|size| DimensionProto { dim_value: size, ..DimensionProto::default() });
    let graph = GraphProto { output: vec![input("y", classes.to_vec())], ..relu_graph() };
    let five = bundle_of(&[(MODEL, model(graph).encode_to_vec())], |_| ());
    refused(&five, "the number of classes is 5, but manifest.json says 4");
}
