//! rten beside ONNX Runtime: the sessions that the library makes give the same numbers on both, whatever the loss. And searches in
//! reduced precision beside those in 32 bits.

use std::path::Path;

use mimir_bundle::Loss;
use mimir_certify::{ModelInput, PreparedModel};
use mimir_data::{DataSource, ReadOptions, Split};
use mimir_export::InputSpec;
use mimir_runtime::attack::Query;
use mimir_runtime::model::{Cotangents, FeatureBatch, GradientBatch, LabelAndTarget, ModelSource};
use mimir_runtime::processor;
use mimir_runtime::session::{Engine, OnnxModels, Precision, SessionPlan};
use ndarray::{Array2, ArrayView1};

/// Images of each model.
const IMAGES: usize = 2;

/// Either engine alone is within 1e-5 of PyTorch's float64 (`fixtures`); the ratio of logits divides by a difference
/// of them, which costs another digit.
const LARGEST_ERROR: f64 = 1e-4;

#[test]
fn the_demo() {
    check("examples/demo/model.onnx", "examples/demo/images.npz");
}

#[test]
fn vision_transformer_of_the_torchscript_exporter() {
    check("tests/fixtures/vit_torchscript.onnx", "tests/fixtures/vit_torchscript.npz");
}

#[test]
fn vision_transformer_of_the_dynamo_exporter() {
    check("tests/fixtures/vit_dynamo.onnx", "tests/fixtures/vit_dynamo.npz");
}

#[test]
fn residual_network_with_a_fixed_batch_of_one() {
    check("tests/fixtures/resnet_batch1.onnx", "tests/fixtures/resnet_batch1.npz");
}

#[test]
fn convolutions_over_channels_last() {
    check("tests/fixtures/conv_nhwc.onnx", "tests/fixtures/conv_nhwc.npz");
}

/// On a processor without bfloat16 both are the same.
#[test]
fn in_mixed_precision_searches_are_near_and_the_file_decides_as_ever() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["vit_torchscript", "vit_dynamo"] {
        let (engine, file) = (Engine::load(None).unwrap(), format!("tests/fixtures/{name}.onnx"));
        let (exact, classes) = models(&engine, &root.join(&file), Precision::Float32);
        let (mixed, _) = models(&engine, &root.join(&file), Precision::Mixed);
        let (images, pairs) = images_of(&root.join(format!("tests/fixtures/{name}.npz")), classes);
        let original =
            |models: &OnnxModels| models.classifier().unwrap().logits(images.view()).unwrap().clone();
        assert_eq!(original(&exact), original(&mixed), "{name}: what decides");
        let searched =
            |models: &OnnxModels| models.search_classifier().unwrap().logits(images.view()).unwrap().clone();
        let (logits, rounded) = (searched(&exact), searched(&mixed));
        assert_within(0.03, &logits, &rounded, "logits of searches");
        assert_eq!(logits != rounded, processor::has_bfloat16_kernels(), "{name}: what searches");
        for &loss in Loss::ALL {
            let gradient = |models: &OnnxModels| {
                let mut model = models.differentiable(loss).unwrap();
                model.loss_gradient(images.view(), &pairs).unwrap().gradient.clone()
            };
            assert_within(0.1, &gradient(&exact), &gradient(&mixed), "gradient");
        }
    }
}

fn check(model: &str, images: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let [(ort, classes), (rten, _)] = [Engine::load(None).unwrap(), Engine::rten()]
        .map(|engine| models(&engine, &root.join(model), Precision::Float32));
    let (images, pairs) = images_of(&root.join(images), classes);

    let logits = |models: &OnnxModels| {
        let original = models.classifier().unwrap().logits(images.view()).unwrap().clone();
        let fast = models.search_classifier().unwrap().logits(images.view()).unwrap().clone();
        [original, fast]
    };
    for (ort, rten) in logits(&ort).iter().zip(&logits(&rten)) {
        assert_close(ort, rten, "logits");
    }
    check_features(&ort, &rten, &images);
    for &loss in Loss::ALL {
        let answers = |models: &OnnxModels| -> GradientBatch {
            models.differentiable(loss).unwrap().loss_gradient(images.view(), &pairs).unwrap().clone()
        };
        let (ort, rten) = (answers(&ort), answers(&rten));
        assert_close(&ort.logits, &rten.logits, "logits of the gradient graph");
        assert_close(&column(&ort), &column(&rten), "loss");
        assert_close(&ort.gradient, &rten.gradient, "gradient");
    }
}

/// The logits, features and gradient of a model that is cut open at what its last linear layer reads.
fn check_features(ort: &OnnxModels, rten: &OnnxModels, images: &Array2<f32>) {
    let answers = |models: &OnnxModels| -> FeatureBatch {
        let mut model = models.feature_model().unwrap();
        let found = model.logits_and_features(images.view()).unwrap();
        let (logits, features) = (found.logits.clone(), found.features.clone());
        let cotangents =
            Cotangents { logits: logits.as_slice().unwrap(), features: features.as_slice().unwrap() };
        let gradient = model.gradient(images.view(), cotangents).unwrap().gradient.clone();
        FeatureBatch { logits, features, gradient, returned: None }
    };
    let (ort, rten) = (answers(ort), answers(rten));
    assert_close(&ort.logits, &rten.logits, "logits of the model cut open");
    assert_close(&ort.features, &rten.features, "features");
    assert_close(&ort.gradient, &rten.gradient, "gradient of logits and features");
    assert!(ort.gradient.iter().any(|slope| *slope != 0.0));
}

/// Sessions for all that an attack may ask.
fn models(engine: &Engine, model: &Path, precision: Precision) -> (OnnxModels, usize) {
    let prepared =
        PreparedModel::new(engine, ModelInput::from(model).read().unwrap(), &InputSpec::default()).unwrap();
    let calibrated = prepared.with_plan(SessionPlan { batch: IMAGES, workers: 1, threads: 1 });
    let calibrated = calibrated.with_default_feature().unwrap();
    let gradients = Loss::ALL.iter().map(|loss| Query::Gradient(*loss));
    let others = [Query::Forward, Query::Features, Query::FeatureGradient];
    let queries = others.into_iter().chain(gradients).collect();
    let models = calibrated.sessions_for(&queries, precision).unwrap();
    (models, calibrated.manifest().classes)
}

fn images_of(path: &Path, classes: usize) -> (Array2<f32>, Vec<LabelAndTarget>) {
    let options = ReadOptions { split: Split::Test, first: Some(IMAGES) };
    let source: DataSource = format!("npz:{}", path.display()).parse().unwrap();
    let set = mimir_data::open(&source, &options).unwrap();
    let mut images = Array2::zeros((IMAGES, set.pixels_per_image()));
    for (image, mut row) in images.rows_mut().into_iter().enumerate() {
        set.read(image, row.as_slice_mut().unwrap()).unwrap();
    }
    let pair = |label: &usize| LabelAndTarget { label: *label, target: Some((label + 1) % classes) };
    (images, set.labels.iter().map(pair).collect())
}

fn column(answers: &GradientBatch) -> Array2<f32> {
    answers.loss.clone().insert_axis(ndarray::Axis(1))
}

/// Each row within [`LARGEST_ERROR`] of the other's length.
fn assert_close(ort: &Array2<f32>, rten: &Array2<f32>, what: &str) {
    assert_within(LARGEST_ERROR, ort, rten, what);
}

/// The same within another share.
fn assert_within(share: f64, ort: &Array2<f32>, rten: &Array2<f32>, what: &str) {
    assert_eq!(ort.dim(), rten.dim(), "{what}");
    let length = |row: ArrayView1<f64>| row.dot(&row).sqrt();
    for (ort, rten) in ort.rows().into_iter().zip(rten.rows()) {
        let (ort, rten) = (ort.mapv(f64::from), rten.mapv(f64::from));
        let (distance, size) = (length((&ort - &rten).view()), length(ort.view()));
        assert!(distance <= share * size, "{what}: {distance} of {size}");
    }
}
