//! What we derive from files that PyTorch exported, beside what PyTorch computes itself in float64.
//!
//! `tests/fixtures/README.md` says what the models are, `scripts/reference/export_fixtures.py` makes them.

use std::fs::File;
use std::path::PathBuf;

use mimir_bundle::{BatchMode, Loss, Normalisation};
use mimir_data::{DataSource, ReadOptions, Split};
use mimir_export::onnx::{Limits, read_model};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::model::{LabelAndTarget, ModelSource};
use mimir_runtime::session::{Engine, OnnxModels, SessionPlan};
use ndarray::{Array1, Array2, ArrayD, ArrayView1, Axis, Ix1};
use ndarray_npy::NpzReader;

/// Largest relative error of a float32 gradient, `|ours - wanted| / |wanted|` for each image. These are below 1e-6.
const LARGEST_ERROR: f64 = 1e-5;

#[test]
fn vision_transformer_of_the_torchscript_exporter() {
    check("vit_torchscript", BatchMode::Dynamic);
}

#[test]
fn vision_transformer_of_the_dynamo_exporter() {
    check("vit_dynamo", BatchMode::Dynamic);
}

#[test]
fn residual_network_with_a_fixed_batch_of_one() {
    check("resnet_batch1", BatchMode::Rebatched);
}

#[test]
fn convolutions_over_channels_last() {
    check("conv_nhwc", BatchMode::Dynamic);
}

fn check(name: &str, batch: BatchMode) {
    let reference = Reference::read(name);
    let prepared = prepare(name, &reference, batch);
    let (original, fast) = (prepared.original_onnx().unwrap(), prepared.forward_onnx().unwrap());
    for (onnx, what) in [(original, "logits of the original"), (fast, "logits of the fast graph")] {
        let mut classifier = sessions(&prepared, &reference, onnx).classifier().unwrap();
        let logits = classifier.logits(reference.images.view()).unwrap();
        assert_close(logits, &reference.logits, what);
    }

    let models = sessions(&prepared, &reference, prepared.original_onnx().unwrap())
        .with_gradient(Loss::CrossEntropy, prepared.gradient_onnx(Loss::CrossEntropy).unwrap())
        .unwrap();

    let mut gradients = models.differentiable(Loss::CrossEntropy).unwrap();
    let pair = |label: &usize| LabelAndTarget { label: *label, target: None };
    let pairs: Vec<LabelAndTarget> = reference.labels.iter().map(pair).collect();
    let answers = gradients.loss_gradient(reference.images.view(), &pairs).unwrap();
    assert_close(&answers.logits, &reference.logits, "logits of the gradient graph");
    assert_close(&column(&answers.loss), &column(&reference.loss), "loss");
    assert_gradients(&answers.gradient, &reference.gradient);
}

fn prepare(name: &str, reference: &Reference, batch: BatchMode) -> ImageClassifier {
    let file = read_model(&fixture(name, "onnx"), &Limits::default()).unwrap();
    let spec = InputSpec { normalisation: Some(reference.normalisation.clone()), ..InputSpec::default() };
    let prepared = ImageClassifier::new(file, &spec).unwrap();
    assert_eq!(prepared.manifest().batch, batch);
    prepared
}

/// Sessions over that forward graph.
fn sessions(prepared: &ImageClassifier, reference: &Reference, onnx: Vec<u8>) -> OnnxModels {
    let engine = Engine::load(None).unwrap();
    let plan = SessionPlan { batch: reference.labels.len(), workers: 1, threads: 1 };
    OnnxModels::new(&engine, prepared.manifest(), onnx, plan).unwrap()
}

/// What PyTorch computes in float64, and for which images.
struct Reference {
    /// `[N, C·H·W]`
    images: Array2<f32>,
    /// `[N]`
    labels: Vec<usize>,
    normalisation: Normalisation,
    /// `[N, K]`
    logits: Array2<f64>,
    /// `[N]`
    loss: Array1<f64>,
    /// `[N, C·H·W]`
    gradient: Array2<f64>,
}

impl Reference {
    fn read(name: &str) -> Self {
        let path = fixture(name, "npz");
        let options = ReadOptions { split: Split::Test, first: None };
        let source: DataSource = format!("npz:{}", path.display()).parse().unwrap();
        let set = mimir_data::open(&source, &options).unwrap();
        let mut images = Array2::zeros((set.count(), set.pixels_per_image()));
        for (image, mut row) in images.rows_mut().into_iter().enumerate() {
            set.read(image, row.as_slice_mut().unwrap()).unwrap();
        }
        let mut npz = NpzReader::new(File::open(path).unwrap()).unwrap();
        let gradient: ArrayD<f64> = npz.by_name("gradient").unwrap();
        let [mean, std] = ["mean", "std"].map(|name| npz.by_name::<_, Ix1>(name).unwrap());
        let to_vec = |array: Array1<f32>| array.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
        Self {
            gradient: gradient.into_shape_with_order(images.dim()).unwrap(),
            normalisation: Normalisation::new(to_vec(mean), to_vec(std)),
            logits: npz.by_name("logits").unwrap(),
            loss: npz.by_name("loss").unwrap(),
            images,
            labels: set.labels,
        }
    }
}

fn fixture(name: &str, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).with_extension(extension)
}

fn column<T: Clone>(values: &Array1<T>) -> Array2<T> {
    values.clone().insert_axis(Axis(1))
}

/// Within 1e-5 of the largest value.
fn assert_close(ours: &Array2<f32>, wanted: &Array2<f64>, what: &str) {
    assert_eq!(ours.dim(), wanted.dim(), "{what}");
    let largest = wanted.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    for (ours, wanted) in ours.iter().zip(wanted) {
        assert!((f64::from(*ours) - wanted).abs() <= 1e-5 * largest, "{what}: {ours}, wanted {wanted}");
    }
}

fn assert_gradients(ours: &Array2<f32>, wanted: &Array2<f64>) {
    assert_eq!(ours.dim(), wanted.dim());
    for (image, (ours, wanted)) in ours.rows().into_iter().zip(wanted.rows()).enumerate() {
        let difference = &ours.mapv(f64::from) - &wanted;
        let error = length(&difference.view()) / length(&wanted);
        assert!(error <= LARGEST_ERROR, "image {image}: relative error {error:e}");
    }
}

fn length(vector: &ArrayView1<f64>) -> f64 {
    vector.dot(vector).sqrt()
}
