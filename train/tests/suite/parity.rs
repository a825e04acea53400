//! Exported networks compute what the trainer computes: logits, predictions, gradients, and accuracy under attack.

use std::path::Path;

use mimir_bundle::checkpoint::{CheckpointHeader, Stage};
use mimir_bundle::{Loss, tensor_names};
use mimir_export::network::{BuildOptions, Checkpoint, Wanted, build, describe};
use mimir_export::onnx::{Limits, read_model_bytes, write_model};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};
use mimir_train::adversary::{LinfBall, pgd};
use mimir_train::checkpoint;
use mimir_train::loss::{cross_entropy, smooth_targets};
use mimir_train::model::{Architecture, Classifier, Family, Pooling, Preset};
use mimir_train::parameters::Parameters;
use ndarray_npy::NpzReader;
use tch::{Device, IndexOp, Kind, Tensor};

const CLASSES: i64 = 10;

/// Largest absolute difference of logits, and of gradients relative to the norm of an image's gradient.
const LOGITS: f64 = 1e-4;
const GRADIENTS: f64 = 1e-3;

/// A network of the trainer, and its exported form.
struct Pair {
    classifier: Classifier,
    forward: RawSession,
    gradient: RawSession,
}

impl Pair {
    /// With random weights that no initialisation has, so that every tensor matters.
    fn new(architecture: Architecture, pooling: Pooling) -> Self {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let classifier =
            Classifier::new(&mut parameters.root(), &architecture, pooling, CLASSES, 0.02, Kind::Float);
        fill(&parameters);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        save(&path, &parameters, architecture, pooling);
        let checkpoint = Checkpoint::read(&path).unwrap();
        let network = describe(&checkpoint, &Wanted::default()).unwrap();
        let graph = build(checkpoint, &network, &BuildOptions::default()).unwrap();
        let model = write_model(&graph).unwrap();
        let file = read_model_bytes(model.clone().into(), None, &Limits::default()).unwrap();
        let exported = ImageClassifier::new(file, &InputSpec::default()).unwrap();
        let gradient = exported.gradient_onnx(Loss::CrossEntropy).unwrap();
        let engine = Engine::load(None).unwrap();
        let session = |model: &[u8]| RawSession::new(&engine, model, SessionOptions::default()).unwrap();
        Self { classifier, forward: session(&model), gradient: session(&gradient) }
    }

    fn exported_logits(&mut self, images: &Tensor) -> Tensor {
        let (dims, pixels) = array(images);
        let input = Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&pixels) };
        tensor(&self.forward.run(&[input]).unwrap()[0])
    }

    fn exported_gradient(&mut self, images: &Tensor, labels: &Tensor) -> Tensor {
        let (dims, pixels) = array(images);
        let labels = Vec::<i64>::try_from(labels).unwrap();
        let inputs = [
            Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&pixels) },
            Input { name: tensor_names::LABELS, dims: &[labels.len()], data: Data::I64(&labels) },
        ];
        let outputs = self.gradient.run(&inputs).unwrap();
        tensor(outputs.iter().find(|output| output.name == tensor_names::IMAGES_GRADIENT).unwrap())
    }

    fn losses(&self, images: &Tensor, labels: &Tensor) -> Tensor {
        cross_entropy(&self.classifier.logits(images, None), &smooth_targets(labels, CLASSES, 0.0))
    }

    fn trained_gradient(&self, images: &Tensor, labels: &Tensor) -> Tensor {
        let x = images.detach().set_requires_grad(true);
        let loss = self.losses(&x, labels).sum(Kind::Float);
        Tensor::run_backward(&[&loss], &[&x], false, false).remove(0)
    }

    /// Largest differences of logits and gradients in batches of `batch`; predictions must be the same.
    fn compare(&mut self, images: &Tensor, batch: i64) -> (f64, f64) {
        let (mut logits, mut gradients) = (0f64, 0f64);
        for images in images.split(batch, 0) {
            let ours = self.exported_logits(&images);
            let theirs = tch::no_grad(|| self.classifier.logits(&images, None));
            let labels = theirs.argmax(1, false);
            assert_eq!(ours.argmax(1, false), labels, "predictions");
            logits = logits.max((&ours - &theirs).abs().max().double_value(&[]));
            let wrong = (&labels + 1).remainder(CLASSES);
            let ours = self.exported_gradient(&images, &wrong).flatten(1, -1);
            let theirs = self.trained_gradient(&images, &wrong).flatten(1, -1);
            let norm = |x: &Tensor| x.square().sum_dim_intlist(1, false, Kind::Double).sqrt();
            let relative = norm(&(&ours - &theirs)) / norm(&theirs);
            gradients = gradients.max(relative.max().double_value(&[]));
        }
        (logits, gradients)
    }
}

fn save(path: &Path, parameters: &Parameters, architecture: Architecture, pooling: Pooling) {
    let header = CheckpointHeader {
        pooling: Some(pooling),
        classes: Some(CLASSES as usize),
        ..CheckpointHeader::new(Stage::Finetune, architecture.into())
    };
    checkpoint::save(path, parameters, &serde_json::to_value(header).unwrap()).unwrap();
}

/// Draws every tensor: matrices so that tokens keep their size, scales around 1, everything else around 0.
fn fill(parameters: &Parameters) {
    tch::manual_seed(0);
    for parameter in parameters.iter() {
        let shape = parameter.tensor.size();
        let fan_in: i64 = shape[1..].iter().product();
        let is_scale =
            parameter.name.ends_with("weight") && shape.len() == 1 || parameter.name.contains("gamma");
        let (deviation, mean) = match shape.len() {
            1 => (0.2, if is_scale { 1.0 } else { 0.0 }),
            3 => (0.5, 0.0),
            _ => ((fan_in as f64).powf(-0.5), 0.0),
        };
        let drawn = Tensor::randn(&shape, tch::kind::FLOAT_CPU) * deviation + mean;
        tch::no_grad(|| parameter.tensor.shallow_clone().copy_(&drawn));
    }
}

fn array(images: &Tensor) -> (Vec<usize>, Vec<f32>) {
    let dims = images.size().iter().map(|&dim| dim as usize).collect();
    (dims, Vec::try_from(images.contiguous().flatten(0, -1)).unwrap())
}

fn tensor(output: &mimir_runtime::session::Output) -> Tensor {
    let dims: Vec<i64> = output.dims.iter().map(|&dim| dim as i64).collect();
    Tensor::from_slice(&output.data).reshape(&dims)
}

fn random_images(count: i64, size: i64) -> Tensor {
    tch::manual_seed(1);
    Tensor::rand([count, 3, size, size], tch::kind::FLOAT_CPU)
}

/// Photographs of the project, evenly over its classes, enlarged to the size of the network.
fn real_images(count: i64, size: i64) -> Tensor {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo/images.npz");
    let mut file = NpzReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let images: ndarray::Array4<u8> = file.by_name("images").unwrap();
    let shape: Vec<i64> = images.shape().iter().map(|&dim| dim as i64).collect();
    let levels: Vec<u8> = images.iter().copied().collect();
    let images = Tensor::from_slice(&levels).reshape(&shape).to_kind(Kind::Float) / 255.0;
    let images = images.i(&(Tensor::arange(count, tch::kind::INT64_CPU) * (shape[0] / count)));
    if shape[3] == size {
        images
    } else {
        images.upsample_bicubic2d([size, size], false, None, None).clamp(0.0, 1.0)
    }
}

fn both(count: i64, size: i64) -> Tensor {
    Tensor::cat(&[random_images(count, size), real_images(count, size)], 0)
}

fn small(family: Family) -> Architecture {
    let (image_size, patch_size) = if family == Family::VitConvStem { (32, 16) } else { (24, 4) };
    let depth = if family == Family::Convit { 4 } else { 3 };
    Architecture { family, width: 48, depth, heads: 4, image_size, patch_size }
}

const FAMILIES: [Family; 4] = [Family::Vit, Family::VitConvStem, Family::Convit, Family::Cait];

#[test]
fn every_family_computes_the_same_as_in_the_trainer() {
    for family in FAMILIES {
        for pooling in [Pooling::Mean, Pooling::ClassToken] {
            let architecture = small(family);
            let mut pair = Pair::new(architecture, pooling);
            let (logits, gradients) = pair.compare(&both(64, architecture.image_size), 32);
            eprintln!("{family:?}, {pooling:?}: logits {logits:.1e}, gradients {gradients:.1e}");
            assert!(logits < LOGITS, "{family:?}, {pooling:?}: logits differ by {logits:e}");
            assert!(gradients < GRADIENTS, "{family:?}, {pooling:?}: gradients differ by {gradients:e}");
        }
    }
}

/// Both attack with their own gradients from the same start. Labels are the clean predictions, so that every image
/// counts, and the radius breaks about half of them.
#[test]
fn pgd_finds_the_same_accuracy_in_both() {
    for (family, epsilon) in [(Family::Vit, 36.0 / 255.0), (Family::Convit, 4.0 / 255.0)] {
        let architecture = small(family);
        let mut pair = Pair::new(architecture, family.pooling());
        let images = both(120, architecture.image_size);
        let labels = tch::no_grad(|| pair.classifier.logits(&images, None)).argmax(1, false);
        let ball = LinfBall::new(&images, epsilon);
        let noise = (Tensor::rand_like(&images) - 0.5) * (2.0 * epsilon);
        let start = (&images + noise).clamp(0.0, 1.0);
        let trained = pgd(&ball, &start, 10, epsilon / 4.0, |x| pair.losses(x, &labels).sum(Kind::Float));
        let mut exported = start.detach();
        for _ in 0..10 {
            let gradient = pair.exported_gradient(&exported, &labels);
            exported = ball.signed_step(&exported, &gradient, epsilon / 4.0);
        }
        let in_trainer = tch::no_grad(|| pair.classifier.logits(&trained, None));
        let in_runtime = pair.exported_logits(&exported);
        let accuracy = |logits: &Tensor| {
            logits
                .argmax(1, false)
                .eq_tensor(&labels)
                .to_kind(Kind::Double)
                .mean(Kind::Double)
                .double_value(&[])
        };
        let (in_trainer, in_runtime) = (accuracy(&in_trainer), accuracy(&in_runtime));
        eprintln!("{family:?}: {in_trainer:.4} in the trainer, {in_runtime:.4} exported");
        assert!((0.1..0.9).contains(&in_trainer), "{family:?}: {in_trainer} says little");
        assert!((in_trainer - in_runtime).abs() <= 0.005, "{family:?}: {in_trainer} and {in_runtime}");
    }
}

/// `cargo test -p mimir-train --test suite -- --ignored every_preset --nocapture`
#[test]
#[ignore = "the networks of the paper at full size: minutes and gigabytes"]
fn every_preset_computes_the_same_as_in_the_trainer() {
    for preset in Preset::ALL {
        let architecture = preset.architecture(224, 16);
        let mut pair = Pair::new(architecture, architecture.family.pooling());
        let (logits, gradients) = pair.compare(&both(4, architecture.image_size), 4);
        eprintln!("{}: logits {logits:.1e}, gradients {gradients:.1e}", preset.name());
        assert!(logits < LOGITS && gradients < GRADIENTS, "{}", preset.name());
    }
}
