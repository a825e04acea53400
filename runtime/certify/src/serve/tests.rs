//! Sessions of the demo's model, without and with a certificate.

use std::num::NonZero;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use mimir_bundle::bundle::{Bundle, BundleManifest};
use mimir_bundle::policy::Policy;
use mimir_bundle::{AttackSpec, Norm, ThreatModel};
use mimir_runtime::evaluate::{EvaluationSet, Silent};
use mimir_runtime::session::Engine;

use super::*;
use crate::options::{BundleMode, CertifyOptions, EngineChoice};
use crate::{ModelInput, certify};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/demo");

fn policy(text: &str) -> Policy {
    Policy::from_toml(&format!("version = 1\n{text}"), &mut |name| Err(format!("no file {name}"))).unwrap()
}

fn anything() -> Policy {
    policy("allow_anything = true")
}

fn bundle() -> Bundle {
    let description: BundleManifest = serde_json::from_value(serde_json::json!({
        "format": "mimir-bundle", "version": "1.0", "architecture": null, "preprocessing": null,
        "input": {
            "image": {"channels": 3, "height": 24, "width": 24}, "layout": "nchw", "pixel_type": "float",
            "channel_order": "rgb", "range": [0, 1],
            "normalisation": {"scale": 1, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        },
        "output": "logits", "classes": {"count": 6, "names": null},
        "features": [{"name": "features", "shape": [288]}],
        "provenance": {
            "checkpoint": null, "experiment": null, "data": null, "parent": null, "created_at": null,
            "tool": {"name": "tests", "version": "1", "commit": null},
        },
        "files": [],
    }))
    .unwrap();
    let model = std::fs::read(format!("{DEMO}/model.onnx")).unwrap();
    Bundle::new(description, [("model.onnx".to_owned(), model.into())]).unwrap()
}

/// A bundle with a certificate, and the folder that it is in.
fn certified() -> &'static Path {
    static CERTIFIED: OnceLock<(tempfile::TempDir, std::path::PathBuf)> = OnceLock::new();
    let (_, path) = CERTIFIED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.mimir");
        bundle().write_new(&path).unwrap();
        let images = format!("npz:{DEMO}/images.npz").parse().unwrap();
        let threat_model = ThreatModel::new(Norm::Linf, 4.0 / 255.0).unwrap();
        let mut options = CertifyOptions::new(ModelInput::open(&path).unwrap(), images, threat_model);
        options.images.read.first = Some(5);
        options.attacks = vec![AttackSpec::named("fgsm").unwrap()];
        options.bundle = BundleMode::WriteCertificate;
        certify(&options, &Silent, &AtomicBool::new(false)).unwrap();
        (folder, path)
    });
    path
}

fn images(count: usize) -> Vec<f32> {
    let images = format!("npz:{DEMO}/images.npz").parse().unwrap();
    let mut source = crate::options::ImageSource::new(images);
    source.read.first = Some(count);
    let opened = crate::OpenedImages::open(&source).unwrap();
    let file = mimir_export::onnx::read_model(
        Path::new(&format!("{DEMO}/model.onnx")),
        &mimir_export::onnx::Limits::default(),
    );
    let engine = Engine::load(None).unwrap();
    let spec = crate::InputSpec::default();
    let prepared = crate::PreparedModel::new(&engine, file.unwrap(), &spec).unwrap();
    let set: EvaluationSet = opened.for_model(prepared.manifest(), mimir_bundle::Pixels::Continuous).unwrap();
    let mut pixels = vec![0.0; count * set.pixels_per_image()];
    for (image, row) in pixels.chunks_exact_mut(set.pixels_per_image()).enumerate() {
        set.read(image, row).unwrap();
    }
    pixels
}

/// What is served is what was evaluated: the same file, run in the same way, gives the same logits.
#[test]
fn certified_batches_give_the_logits_of_the_evaluation() {
    let model = ServedModel::load(certified(), &anything(), &[]).unwrap();
    let options = ServeOptions { batching: Batching::Certified, ..ServeOptions::default() };
    let session = Session::new(&model, &options).unwrap();
    assert_eq!(session.fixed_rows(), Some(model.certificates()[0].certificate.execution.batch));
    let pixels = images(5);
    let served = session.logits(&pixels, &CallLimits::default()).unwrap();

    let input = ModelInput::open(certified()).unwrap();
    let engine = Engine::load(None).unwrap();
    let prepared =
        crate::PreparedModel::new(&engine, input.read().unwrap(), &input.input_spec().unwrap()).unwrap();
    let certificate = &model.certificates()[0].certificate;
    let evaluated = prepared.calibrate_as_recorded(&certificate.model, &certificate.execution).unwrap();
    let mut classifier =
        mimir_runtime::model::ModelSource::classifier(&evaluated.original().unwrap()).unwrap();
    let rows = ndarray::ArrayView2::from_shape((5, pixels.len() / 5), &pixels).unwrap();
    let wanted = classifier.logits(rows).unwrap();
    let wanted: Vec<f32> = wanted.iter().copied().take(served.len()).collect();
    assert_eq!(served, wanted);
    // One image alone, too.
    let alone = session.logits(&pixels[..pixels.len() / 5], &CallLimits::default()).unwrap();
    assert_eq!(alone, wanted[..6]);
}

#[test]
fn more_images_than_a_call_takes_are_run_in_parts() {
    let model = ServedModel::from_bytes(std::fs::read(certified()).unwrap(), &anything(), &[]).unwrap();
    let pixels = images(5);
    let limits = CallLimits::default();
    let whole = Session::new(&model, &ServeOptions::default()).unwrap().logits(&pixels, &limits).unwrap();
    let two = ServeOptions { max_batch: NonZero::new(2).unwrap(), ..ServeOptions::default() };
    let parts = Session::new(&model, &two).unwrap().logits(&pixels, &limits).unwrap();
    // The last part has one image, which is rounded otherwise.
    assert_eq!(parts[..24], whole[..24]);
    assert!(parts.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn a_policy_that_is_not_met_gives_no_model_and_names_what_is_missing() {
    let wanted = policy("[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"8/255\"\nmin_images = 6");
    let error = ServedModel::load(certified(), &wanted, &[]).unwrap_err();
    let ServeError::Refused { verdict, .. } = &error else { panic!("{error}") };
    assert!(verdict.requirements().iter().filter(|requirement| !requirement.met).count() >= 2);
    assert!(error.to_string().contains("min_images: wanted"), "{error}");
    let empty = Policy { allow_anything: false, ..anything() };
    let error = ServedModel::load(Path::new("/nonexistent"), &empty, &[]).unwrap_err();
    assert!(matches!(error, ServeError::Argument(_)), "before anything is read: {error}");
}

/// Nothing of a model is looked at before its policy is met: one that is no model at all is refused for its policy.
#[test]
fn the_policy_comes_before_the_reader_of_models() {
    let known = bundle();
    let description = known.manifest().clone();
    let bundle = Bundle::new(description, [("model.onnx".to_owned(), "no model".into())]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.mimir");
    bundle.write_new(&path).unwrap();
    let wanted = policy("[[evaluation]]\nnorm = \"l2\"\nmin_epsilon = 0.5");
    assert!(matches!(ServedModel::load(&path, &wanted, &[]), Err(ServeError::Refused { .. })));
    assert!(matches!(ServedModel::load(&path, &anything(), &[]), Err(ServeError::Model { .. })));
}

#[test]
fn answers_name_the_class_and_features_are_those_of_the_file() {
    let model = ServedModel::load(certified(), &anything(), &[]).unwrap();
    let pixels = images(3);
    for engine in [EngineChoice::OnnxRuntime, EngineChoice::Rten] {
        let options = ServeOptions { engine, features: true, ..ServeOptions::default() };
        let session = Session::new(&model, &options).unwrap();
        let answers = session.classify(&pixels, &CallLimits::default()).unwrap();
        let logits = session.logits(&pixels, &CallLimits::default()).unwrap();
        for (answer, row) in answers.iter().zip(logits.chunks_exact(6)) {
            assert_eq!(*answer, Answer::new(row, mimir_bundle::OutputKind::Logits));
            assert!(answer.class.is_some());
        }
        let mut features = vec![f32::NAN; 3 * 288];
        session.features_into(0, &pixels, &CallLimits::default(), &mut features).unwrap();
        // They come out of a Relu.
        assert!(features.iter().all(|value| *value >= 0.0) && features.iter().any(|value| *value > 0.0));
    }
}

#[test]
fn a_memory_limit_is_held_against_the_largest_batch() {
    let model = ServedModel::load(certified(), &anything(), &[]).unwrap();
    let of = |rows, limit| ServeOptions {
        max_batch: NonZero::new(rows).unwrap(),
        memory_limit: Some(limit),
        ..ServeOptions::default()
    };
    Session::new(&model, &of(4, 1 << 20)).unwrap();
    let error = Session::new(&model, &of(4096, 1 << 20)).unwrap_err();
    let ServeError::Memory { rows: 4096, needed, .. } = error else { panic!("{error}") };
    // Images and what is made of them: more than the input of 4096 images.
    assert!(needed > 4096 * 3 * 24 * 24 * 4, "{needed}");
}

#[test]
fn pictures_become_inputs_as_an_evaluation_makes_them() {
    let model = ServedModel::load(certified(), &anything(), &[]).unwrap();
    let mut pixels = vec![f32::NAN; 3 * 24 * 24];
    let picture = |side: usize, channels: usize| {
        mimir_data::Picture::new(side, side, channels, vec![102; side * side * channels]).unwrap()
    };
    for channels in [1, 3, 4] {
        model.prepare_picture(picture(24, channels), &mut pixels).unwrap();
        assert!(pixels.iter().all(|pixel| *pixel == 0.4));
    }
    let error = model.prepare_picture(picture(25, 3), &mut pixels).unwrap_err();
    assert!(matches!(error, ServeError::Argument(_)), "this bundle says nothing of other sizes: {error}");
}
