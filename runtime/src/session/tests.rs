//! The engine on real sessions: a small Vision Transformer with random weights and its gradient graph.

use std::sync::OnceLock;

use mimir_bundle::{
    BatchMode, ChannelOrder, ImageShape, Layout, Loss, Manifest, Norm, OutputKind, PixelType, Pixels,
    PreparedGraph, ThreatModel, tensor_names,
};
use mimir_export::Tensor;
use mimir_export::autodiff::{Kernels, differentiate};
use mimir_export::graph::{Attributes, Builder, Graph, Node};
use mimir_export::onnx::write_model;
use mimir_export::vit::{VitConfig, vit};
use ndarray::{Array2, s};

use super::*;
use crate::archive::Archive;
use crate::evaluate::{Control, Curve, Evaluation, EvaluationSet, Plan, Silent, evaluate};
use crate::journal::CounterexampleStore;
use crate::logits::predicted_class;
use crate::loss::at_logits;
use crate::model::{LabelAndTarget, ModelSource};
use crate::random::{Key, Stream};

const VIT: VitConfig = VitConfig {
    image_size: 8,
    patch_size: 4,
    channels: 3,
    dim: 24,
    depth: 2,
    heads: 3,
    mlp_ratio: 2,
    classes: 5,
};

const IMAGES: usize = 40;

fn manifest(batch: BatchMode) -> Manifest {
    Manifest {
        model_digest: String::new(),
        files: Vec::new(),
        opset: 20,
        ir_version: 9,
        producer: "mimir".to_owned(),
        image: ImageShape { channels: 3, height: 8, width: 8 },
        layout: Layout::Nchw,
        pixel_type: PixelType::Float,
        channel_order: ChannelOrder::Rgb,
        normalisation: None,
        classes: VIT.classes,
        batch,
        output_name: "logits".to_owned(),
        output: OutputKind::Logits,
    }
}

fn onnx_runtime() -> Engine {
    Engine::load(None).unwrap()
}

fn models(engine: &Engine, batch: usize, threads: usize) -> OnnxModels {
    models_of(engine, BatchMode::Dynamic, batch, threads)
}

fn models_of(engine: &Engine, mode: BatchMode, batch: usize, threads: usize) -> OnnxModels {
    static GRAPHS: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let [original, gradient] = GRAPHS.get_or_init(|| {
        let forward = balanced_vit();
        let gradient = differentiate(&forward, Loss::CrossEntropy, Kernels::Standard).unwrap();
        [write_model(&forward).unwrap(), write_model(&gradient).unwrap()]
    });
    let plan = SessionPlan { batch, workers: 1, threads };
    OnnxModels::new(engine, &manifest(mode), original.clone(), plan)
        .unwrap()
        .with_gradient(Loss::CrossEntropy, gradient.clone())
        .unwrap()
}

/// With random weights one class wins everywhere; less the logits of the grey image, every class wins somewhere.
fn balanced_vit() -> Graph {
    let mut graph = vit(VIT, 3).unwrap();
    let bytes = write_model(&graph).unwrap();
    let mut session = RawSession::new(&onnx_runtime(), &bytes, SessionOptions::default()).unwrap();
    let grey = session.run(&[pixels(tensor_names::IMAGES, &[1, 3, 8, 8], &[0.5; 192])]).unwrap().remove(0);
    let raw = graph.outputs()[0];
    graph.rename(raw, "raw").unwrap();
    let mut builder = Builder::new(&mut graph, "balance");
    let grey = builder.constant(Tensor::from_f32(&[VIT.classes], &grey.data));
    let logits = builder.op("Sub", &[raw, grey]).unwrap();
    graph.rename(logits, tensor_names::LOGITS).unwrap();
    graph.set_outputs(vec![logits]);
    graph
}

fn images() -> Array2<f32> {
    let mut images = Array2::zeros((IMAGES, 192));
    let key = Key { seed: 5, image: 0, attack: "images", target: None, restart: 0 };
    Stream::new(&key).fill_uniform(images.as_slice_mut().unwrap());
    images * 0.5 + 0.5
}

/// The predictions of the model, so that every image is attacked.
fn labels(images: &Array2<f32>) -> Vec<usize> {
    let mut classifier = models(&onnx_runtime(), IMAGES, 1).classifier().unwrap();
    let logits = classifier.logits(images.view()).unwrap();
    logits.rows().into_iter().map(|row| predicted_class(row.as_slice().unwrap()).unwrap()).collect()
}

fn run(
    source: &dyn ModelSource,
    images: &Array2<f32>,
    labels: &[usize],
    norm: Norm,
    workers: usize,
) -> (Evaluation, Vec<Option<Vec<f32>>>) {
    let epsilon = match norm {
        Norm::Linf => 0.03,
        Norm::L2 => 0.3,
        Norm::L1 => 3.0,
    };
    let attacks = vec![mimir_bundle::AttackSpec::named("apgd-ce").unwrap()];
    let plan = Plan {
        threat_model: ThreatModel { norm, epsilon, pixels: Pixels::Continuous },
        attacks,
        seed: 0,
        workers,
        stop_when_decided: None,
        curve: Curve::No,
        votes: 1,
    };
    let store = CounterexampleStore::anonymous(images.ncols()).unwrap();
    let archive = Archive::none().with_counterexamples(store);
    let set = EvaluationSet::new(images, labels).unwrap();
    let evaluation = evaluate(source, &set, &plan, &Control::new(&Silent, &archive)).unwrap();
    let store = archive.counterexamples().unwrap();
    let pixels = |slot: &Option<u64>| {
        let mut pixels = vec![0.0; images.ncols()];
        slot.map(|slot| store.read(slot, &mut pixels).map(|()| pixels).unwrap())
    };
    let pixels = evaluation.slots.iter().map(pixels).collect();
    (evaluation, pixels)
}

#[test]
fn results_do_not_depend_on_batch_workers_or_threads() {
    let images = images();
    let labels = labels(&images);
    for (engine, norm) in
        [(onnx_runtime(), Norm::Linf), (onnx_runtime(), Norm::L2), (Engine::rten(), Norm::Linf)]
    {
        let name = engine.kind().name();
        let (reference, pixels) = run(&models(&engine, 32, 1), &images, &labels, norm, 1);
        let broken = pixels.iter().flatten().count();
        assert!((5..IMAGES - 5).contains(&broken), "{name} {norm:?}: {broken} of {IMAGES}");
        for (batch, workers, threads) in [(2, 2, 1), (7, 1, 2), (7, 2, 1), (32, 2, 1)] {
            let (other, found) = run(&models(&engine, batch, threads), &images, &labels, norm, workers);
            assert_eq!(other.outcomes, reference.outcomes, "{name} {norm:?} {batch} {workers} {threads}");
            assert_eq!(found, pixels, "{name} {norm:?} {batch} {workers} {threads}");
        }
    }
}

/// An image keeps its verdict when others leave the set, as long as its position, which keys its noise, stays.
#[test]
fn results_do_not_depend_on_the_images_that_follow() {
    let images = images();
    let labels = labels(&images);
    let (all, pixels) = run(&models(&onnx_runtime(), 7, 1), &images, &labels, Norm::Linf, 1);
    let some = images.slice(s![..11, ..]).to_owned();
    let (first, found) = run(&models(&onnx_runtime(), 7, 1), &some, &labels[..11], Norm::Linf, 1);
    assert_eq!(first.outcomes, all.outcomes[..11]);
    assert_eq!(found, pixels[..11]);
}

#[test]
fn the_gradient_session_agrees_with_central_differences_of_the_loss() {
    let images = images().slice_move(s![..2, ..]);
    let pairs = [LabelAndTarget { label: 1, target: None }, LabelAndTarget { label: 4, target: None }];
    for engine in [onnx_runtime(), Engine::rten()] {
        agrees_with_differences(&engine, &images, &pairs);
    }
}

fn agrees_with_differences(engine: &Engine, images: &Array2<f32>, pairs: &[LabelAndTarget]) {
    let mut graph = models(engine, 2, 1).differentiable(Loss::CrossEntropy).unwrap();
    let answers = graph.loss_gradient(images.view(), pairs).unwrap().clone();
    // Along the gradient itself the derivative is its squared length.
    let rate = 1e-2 / answers.gradient.map(|value| value * value).sum().sqrt();
    let mut loss_at = |side: f32| {
        let moved = images + &(&answers.gradient * (side * rate));
        graph.loss_gradient(moved.view(), pairs).unwrap().loss.sum()
    };
    let slope = (loss_at(1.0) - loss_at(-1.0)) / (2.0 * rate);
    let want = answers.gradient.map(|value| value * value).sum();
    assert!((slope - want).abs() < 0.02 * want, "{slope}, want {want}");
}

/// A model that takes full batches only gets them, and says of each image what it says in a batch of any size.
#[test]
fn batches_that_are_not_full_are_filled() {
    let engine = Engine::load(None).unwrap();
    let images = Array2::from_shape_fn((3, 192), |(row, pixel)| ((row * 192 + pixel) % 17) as f32 / 16.0);
    let pairs = [0, 1, 2].map(|label| LabelAndTarget { label, target: None });
    let [any, full] = [BatchMode::Dynamic, BatchMode::Fixed(4)].map(|mode| {
        let models = models_of(&engine, mode, 4, 1);
        let mut classifier = models.classifier().unwrap();
        let logits = classifier.logits(images.view()).unwrap().clone();
        let mut gradients = models.differentiable(Loss::CrossEntropy).unwrap();
        let answers = gradients.loss_gradient(images.view(), &pairs).unwrap().clone();
        (logits, answers)
    });
    for row in 0..3 {
        assert_eq!(any.0.row(row), full.0.row(row));
        assert_eq!(any.1.loss[row], full.1.loss[row]);
        assert_eq!(any.1.gradient.row(row), full.1.gradient.row(row));
    }
    // The last image again.
    assert_eq!(full.0.row(3), full.0.row(2));
    assert_eq!(any.0.row(3).sum(), 0.0);
}

/// Of a graph that computes sixteen images side by side, calls are filled up to that, even where the batch is smaller.
#[test]
fn registers_that_are_not_full_are_filled() {
    let engine = Engine::load(None).unwrap();
    let images = Array2::from_shape_fn((5, 192), |(row, pixel)| ((row * 192 + pixel) % 17) as f32 / 16.0);
    let pairs: Vec<LabelAndTarget> = (0..5).map(|label| LabelAndTarget { label, target: None }).collect();
    let answers = |lanes: usize, batch: usize| {
        let forward = balanced_vit();
        let gradient = differentiate(&forward, Loss::CrossEntropy, Kernels::Standard).unwrap();
        let [forward, gradient] = [&forward, &gradient].map(|graph| PreparedGraph {
            lanes,
            ..PreparedGraph::self_contained(write_model(graph).unwrap())
        });
        let plan = SessionPlan { batch, workers: 1, threads: 1 };
        let models = OnnxModels::new(&engine, &manifest(BatchMode::Dynamic), forward.clone(), plan).unwrap();
        let models = models.with_search(forward).unwrap();
        let models = models.with_gradient(Loss::CrossEntropy, gradient).unwrap();
        let mut classifier = models.search_classifier().unwrap();
        assert_eq!(classifier.batch(), batch);
        let logits = classifier.logits(images.view()).unwrap().clone();
        let mut gradients = models.differentiable(Loss::CrossEntropy).unwrap();
        (logits, gradients.loss_gradient(images.view(), &pairs).unwrap().clone())
    };
    let alone = answers(1, 5);
    for batch in [5, 7, 16, 20] {
        let (logits, gradients) = answers(16, batch);
        for row in 0..5 {
            assert_eq!(logits.row(row), alone.0.row(row), "{batch}");
            assert_eq!(gradients.logits.row(row), alone.1.logits.row(row), "{batch}");
            assert_eq!(gradients.loss[row], alone.1.loss[row], "{batch}");
            assert_eq!(gradients.gradient.row(row), alone.1.gradient.row(row), "{batch}");
        }
        // The last image again, as far as there is room.
        for row in 5..batch.min(16) {
            assert_eq!(logits.row(row), logits.row(4), "{batch}");
            assert_eq!(gradients.gradient.row(row), gradients.gradient.row(4), "{batch}");
        }
        assert!((16..batch).all(|row| logits.row(row).iter().all(|logit| *logit == 0.0)), "{batch}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let engine = Engine::load(None).unwrap();
    let plan = SessionPlan { batch: 4, workers: 1, threads: 1 };
    let fixed = OnnxModels::new(&engine, &manifest(BatchMode::One), Vec::new(), plan).unwrap_err();
    assert!(fixed.to_string().contains("cannot be run in batches of 4"), "{fixed}");

    let original = write_model(&vit(VIT, 3).unwrap()).unwrap();
    let forward_only =
        OnnxModels::new(&engine, &manifest(BatchMode::Dynamic), original.clone(), plan).unwrap();
    let error = forward_only.differentiable(Loss::CrossEntropy).err().unwrap();
    assert_eq!(error.to_string(), "gradient graph: there is none for the loss CrossEntropy");

    let wrong_classes = Manifest { classes: 6, ..manifest(BatchMode::Dynamic) };
    let models = OnnxModels::new(&engine, &wrong_classes, original, plan).unwrap();
    let mut classifier = models.classifier().unwrap();
    let error = classifier.logits(Array2::zeros((4, 192)).view()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "original model: did not return the outputs logits (24 values) in their sizes"
    );
    for (rows, columns) in [(5, 192), (0, 192), (4, 191)] {
        let error = classifier.logits(Array2::zeros((rows, columns)).view()).unwrap_err();
        assert!(error.to_string().contains(&format!("was given images [{rows}, {columns}]")), "{error}");
    }
}

#[test]
fn a_session_runs_named_tensors() {
    let model = write_model(&vit(VIT, 3).unwrap()).unwrap();
    let image = vec![0.5; 192];
    let mut logits = Vec::new();
    for engine in [onnx_runtime(), Engine::rten()] {
        let mut session = RawSession::new(&engine, &model, SessionOptions::default()).unwrap();
        let outputs = session.run(&[pixels(tensor_names::IMAGES, &[1, 3, 8, 8], &image)]).unwrap();
        assert_eq!((outputs[0].name.as_str(), outputs[0].dims.as_slice()), ("logits", [1, 5].as_slice()));
        logits.push(outputs[0].data.clone());
        for (name, dims) in [("pictures", [1, 3, 8, 8]), ("images", [1, 3, 4, 16]), ("images", [2, 3, 8, 8])]
        {
            session.run(&[pixels(name, &dims, &image)]).unwrap_err();
        }
        // It still runs after what did not fit.
        assert_eq!(
            session.run(&[pixels(tensor_names::IMAGES, &[1, 3, 8, 8], &image)]).unwrap()[0].data,
            logits[logits.len() - 1]
        );
    }
    // A relative distance of 1e-4 is some hundred times what sums of 32-bit floats in another order differ by here.
    for (ort, rten) in logits[0].iter().zip(&logits[1]) {
        assert!((ort - rten).abs() <= 1e-4 * (1.0 + ort.abs()), "{logits:?}");
    }
}

#[test]
fn engines_say_what_they_are() {
    let (ort, rten) = (onnx_runtime(), Engine::rten());
    assert_eq!((ort.kind(), rten.kind()), (EngineKind::OnnxRuntime, EngineKind::Rten));
    assert!(ort.library().unwrap().to_string_lossy().contains("onnxruntime") && rten.library().is_none());
    for engine in [ort, rten] {
        assert_eq!(EngineKind::named(engine.kind().name()), Some(engine.kind()));
        assert_eq!((engine.version().split('.').count(), engine.device()), (3, Device::Cpu));
        assert_eq!(engine.on(Device::Cpu).unwrap().device(), Device::Cpu);
    }
    assert_eq!(EngineKind::named("tract"), None);
    let error = Engine::rten().on(Device::Cuda(0)).unwrap_err();
    assert_eq!(error, EngineError::ProcessorOnly(Device::Cuda(0)));
}

#[test]
fn a_library_that_somebody_named_is_never_replaced_by_rten() {
    let asked = std::path::Path::new("/nonexistent/libonnxruntime.so");
    Engine::load_or_rten(Some(asked)).unwrap_err();
    let (engine, reason) = Engine::load_or_rten(None).unwrap();
    assert_eq!((engine.kind(), reason), (EngineKind::OnnxRuntime, None));
}

fn pixels<'a>(name: &'a str, dims: &'a [usize], values: &'a [f32]) -> Input<'a> {
    Input { name, dims, data: Data::F32(values) }
}

#[test]
fn an_operator_that_rten_lacks_is_an_error_that_names_it_and_the_way_to_onnx_runtime() {
    let mut graph = vit(VIT, 3).unwrap();
    let logits = graph.outputs()[0];
    let tensor_type = graph.tensor_type(logits).unwrap().clone();
    let output = graph.add_value("out", Some(tensor_type)).unwrap();
    let (name, op_type) = ("the_node".to_owned(), "Selu".to_owned());
    let (inputs, outputs) = (vec![Some(logits)], vec![Some(output)]);
    graph.push_node(Node { name, op_type, inputs, outputs, attributes: Attributes::default() });
    graph.set_outputs(vec![output]);
    let model = write_model(&graph).unwrap();
    RawSession::new(&onnx_runtime(), &model, SessionOptions::default()).unwrap();
    let error = RawSession::new(&Engine::rten(), &model, SessionOptions::default()).unwrap_err();
    assert!(matches!(error, EngineError::Unsupported { .. }), "{error}");
    let error = error.to_string();
    for part in ["`the_node`", "Selu", "make setup", "--onnxruntime", "MIMIR_ORT_DYLIB"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

/// Tells the test below that it is the process whose first sessions are built.
const FIRST_SESSIONS: &str = "MIMIR_TEST_FIRST_SESSIONS";

/// Builds a session on each of several threads, all at once.
fn build_at_once() {
    let bytes = write_model(&vit(VIT, 3).unwrap()).unwrap();
    let (engine, start) = (onnx_runtime(), std::sync::Barrier::new(8));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                RawSession::new(&engine, &bytes, SessionOptions::default()).unwrap();
            });
        }
    });
}

#[test]
fn the_first_sessions_of_a_process_may_be_built_at_once() {
    if std::env::var_os(FIRST_SESSIONS).is_some() {
        return build_at_once();
    }
    // ONNX Runtime learns of our operators once a process: that takes processes of their own.
    for _ in 0..4 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "session::tests::the_first_sessions_of_a_process_may_be_built_at_once"]);
        let output = child.env(FIRST_SESSIONS, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Each loss through its own gradient graph: what the row of the table declares is what the graph has and is fed.
#[test]
fn every_loss_and_its_gradient_are_those_of_the_closed_form() {
    let images = images().slice_move(s![..2, ..]);
    let pairs = [LabelAndTarget { label: 1, target: Some(3) }, LabelAndTarget { label: 4, target: Some(0) }];
    let forward = balanced_vit();
    let original = write_model(&forward).unwrap();
    let engine = onnx_runtime();
    let plan = SessionPlan { batch: 2, workers: 1, threads: 1 };
    for &loss in Loss::ALL {
        let graph = write_model(&differentiate(&forward, loss, Kernels::Standard).unwrap()).unwrap();
        let models = OnnxModels::new(&engine, &manifest(BatchMode::Dynamic), original.clone(), plan).unwrap();
        let mut graph = models.with_gradient(loss, graph).unwrap().differentiable(loss).unwrap();
        let answers = graph.loss_gradient(images.view(), &pairs).unwrap().clone();
        for (row, pair) in pairs.iter().enumerate() {
            let logits = answers.logits.row(row).to_vec();
            let wanted = at_logits(loss, &logits, *pair, &mut vec![0.0; logits.len()]);
            assert!((answers.loss[row] - wanted).abs() < 1e-5, "{loss:?}: {}, {wanted}", answers.loss[row]);
        }
        // Along the gradient the loss rises by its squared length.
        let want = answers.gradient.map(|value| value * value).sum();
        let rate = 3e-3 / want.sqrt();
        let mut loss_at = |side: f32| {
            let moved = &images + &(&answers.gradient * (side * rate));
            graph.loss_gradient(moved.view(), &pairs).unwrap().loss.sum()
        };
        let slope = (loss_at(1.0) - loss_at(-1.0)) / (2.0 * rate);
        assert!((slope - want).abs() < 0.02 * want, "{loss:?}: {slope}, want {want}");
    }
}
