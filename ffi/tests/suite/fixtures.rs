//! Bundles for the programs: the demo's model with and without a certificate, and a slow one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use mimir_bundle::bundle::{Bundle, BundleManifest};
use mimir_bundle::{AttackSpec, Norm, ThreatModel};
use mimir_certify::{BundleMode, CertifyOptions, ModelInput, certify};
use mimir_export::DataType;
use mimir_export::graph::{Builder, Dim, Graph, Shape, TensorType};
use mimir_export::onnx::write_model;
use mimir_runtime::evaluate::Silent;
use serde_json::json;

use crate::library::root;

fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// A description of a model of images of `3 x side x side`.
pub(crate) fn description(side: usize, classes: &serde_json::Value) -> serde_json::Value {
    json!({
        "format": "mimir-bundle",
        "version": "1.0",
        "architecture": null,
        "input": {
            "image": {"channels": 3, "height": side, "width": side},
            "layout": "nchw",
            "pixel_type": "float",
            "channel_order": "rgb",
            "range": [0, 1],
            "normalisation": null,
        },
        "preprocessing": null,
        "output": "logits",
        "classes": classes,
        "features": [],
        "provenance": {
            "checkpoint": null, "experiment": null, "data": null, "parent": null, "created_at": null,
            "tool": {"name": "tests", "version": "1", "commit": null},
        },
        "files": [],
    })
}

/// Writes a bundle of a model in one file.
pub(crate) fn write_bundle(name: &str, description: serde_json::Value, model: Vec<u8>) -> PathBuf {
    let path = folder().join(name);
    let description: BundleManifest = serde_json::from_value(description).unwrap();
    let bundle = Bundle::new(description, [("model.onnx".to_owned(), model.into())]).unwrap();
    bundle.write_new(&path).unwrap();
    path
}

/// The demo's model, without a certificate.
pub(crate) fn plain() -> &'static Path {
    static PLAIN: OnceLock<PathBuf> = OnceLock::new();
    PLAIN.get_or_init(|| {
        let mut description =
            description(24, &json!({"count": 6, "names": ["zero", "one", "two", "three", "four", "five"]}));
        description["input"]["normalisation"] =
            json!({"scale": 1, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]});
        description["preprocessing"] =
            json!({"resize": {"shorter_side": 24}, "crop": [24, 24], "interpolation": "bilinear"});
        description["features"] = json!([{"name": "features", "shape": [288]}]);
        let model = fs::read(root().join("examples/demo/model.onnx")).unwrap();
        write_bundle("plain.mimir", description, model)
    })
}

/// The demo's model, attacked with FGSM at 4/255 on 8 images.
pub(crate) fn certified() -> &'static Path {
    static CERTIFIED: OnceLock<PathBuf> = OnceLock::new();
    CERTIFIED.get_or_init(|| {
        let path = folder().join("certified.mimir");
        fs::copy(plain(), &path).unwrap();
        let images = root().join("examples/demo/images.npz");
        let images = format!("npz:{}", images.display()).parse().unwrap();
        let threat_model = ThreatModel::new(Norm::Linf, 4.0 / 255.0).unwrap();
        let mut options = CertifyOptions::new(ModelInput::open(&path).unwrap(), images, threat_model);
        options.images.read.first = Some(8);
        options.attacks = vec![AttackSpec::named("fgsm").unwrap()];
        options.bundle = BundleMode::WriteCertificate;
        certify(&options, &Silent, &AtomicBool::new(false)).unwrap();
        path
    })
}

/// A chain of large matrix products: a batch of 64 images takes a second or more.
pub(crate) fn slow() -> &'static Path {
    static SLOW: OnceLock<PathBuf> = OnceLock::new();
    SLOW.get_or_init(|| {
        const WIDTH: usize = 2048;
        let mut graph = Graph::new("slow", 17);
        let shape = Shape([Dim::N, Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)].to_vec());
        let images = graph.add_value("images", Some(TensorType { dtype: DataType::Float32, shape })).unwrap();
        graph.add_input(images);
        let tensor = |rows: usize, columns: usize| {
            mimir_export::Tensor::from_f32(&[rows, columns], &vec![1.0 / WIDTH as f32; rows * columns])
        };
        let mut builder = Builder::new(&mut graph, "");
        let (first, middle, last) = (
            builder.constant(tensor(48, WIDTH)),
            builder.constant(tensor(WIDTH, WIDTH)),
            builder.constant(tensor(WIDTH, 6)),
        );
        let mut value = builder.op("Flatten", &[images]).unwrap();
        value = builder.op("MatMul", &[value, first]).unwrap();
        for _ in 0..120 {
            value = builder.op("MatMul", &[value, middle]).unwrap();
        }
        value = builder.op("MatMul", &[value, last]).unwrap();
        graph.rename(value, "logits").unwrap();
        graph.add_output(value);
        write_bundle(
            "slow.mimir",
            description(4, &json!({"count": 6, "names": null})),
            write_model(&graph).unwrap(),
        )
    })
}

/// A policy in a file.
pub(crate) fn policy(name: &str, text: &str) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, text).unwrap();
    path
}
