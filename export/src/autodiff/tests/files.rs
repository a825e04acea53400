//! Gradients of model files: against PyTorch and TensorFlow in float64, and against central differences.

use std::path::{Path, PathBuf};

use ndarray_npy::{NpzReader, ReadableElement};

use super::super::testing::{Numbers, dot};
use super::*;
use crate::classifier;
use crate::graph::own_operators::ATTENTION;
use crate::onnx::{Limits, read_model};
use crate::simplify::{simplify, simplify_for_kernels};
use crate::upgrade::upgrade;

/// Where the channels of the file's input stand.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Nchw,
    Nhwc,
}

/// The graph of a file, ready to differentiate.
fn prepared(path: &Path, kernels: Kernels) -> Graph {
    let file = read_model(path, &Limits::default()).unwrap();
    let mut graph = upgrade(&file.graph).unwrap();
    match kernels {
        Kernels::Standard => simplify(&mut graph).unwrap(),
        Kernels::Mimir | Kernels::BatchLast | Kernels::Products | Kernels::Bfloat16 => {
            simplify_for_kernels(&mut graph).unwrap();
        }
    }
    graph
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// What PyTorch or TensorFlow computed for some images `[N, 3, S, S]`; see `scripts/reference/export_fixtures.py`.
struct Reference {
    images: Vec<f32>,
    labels: Vec<i64>,
    mean: Vec<f32>,
    std: Vec<f32>,
    loss: Vec<f64>,
    gradient: Vec<f64>,
}

impl Reference {
    fn read(path: &Path) -> Self {
        let mut npz = NpzReader::new(std::fs::File::open(path).unwrap()).unwrap();
        Self {
            images: array(&mut npz, "images"),
            labels: array(&mut npz, "labels"),
            mean: array(&mut npz, "mean"),
            std: array(&mut npz, "std"),
            loss: array(&mut npz, "loss"),
            gradient: array(&mut npz, "gradient"),
        }
    }

    /// Number of pixels of one image in one channel.
    fn area(&self) -> usize {
        self.images.len() / self.labels.len() / self.mean.len()
    }

    /// Normalised images, row by row in the layout of the file.
    fn inputs(&self, layout: Layout) -> Vec<f32> {
        let channels = self.mean.len();
        let normalised =
            |index: usize, channel: usize| (self.images[index] - self.mean[channel]) / self.std[channel];
        (0..self.images.len())
            .map(|index| {
                let source = self.source(index, layout);
                normalised(source, source / self.area() % channels)
            })
            .collect()
    }

    /// Where in `[N, C, H, W]` the element stands that is at `index` in the layout of the file.
    fn source(&self, index: usize, layout: Layout) -> usize {
        let (area, channels) = (self.area(), self.mean.len());
        let (image, within) = (index / (area * channels), index % (area * channels));
        match layout {
            Layout::Nchw => index,
            Layout::Nhwc => image * area * channels + within % channels * area + within / channels,
        }
    }
}

fn array<T: ReadableElement>(npz: &mut NpzReader<std::fs::File>, name: &str) -> Vec<T> {
    let array: ndarray::ArrayD<T> = npz.by_name(name).unwrap();
    array.into_raw_vec_and_offset().0
}

/// Fails unless loss and gradient of both forms of the graph are within 1e-5 of float64, in the 2-norm.
#[track_caller]
fn assert_near(name: &str, layout: Layout) {
    for kernels in [Kernels::Standard, Kernels::Mimir] {
        let (loss, gradient) = distances(name, layout, kernels);
        println!("{name}, {kernels:?}: loss {loss:e}, gradient {gradient:e}");
        assert!(loss < 1e-5 && gradient < 1e-5, "{name}, {kernels:?}: loss {loss:e}, gradient {gradient:e}");
    }
}

/// Largest error of loss and gradient relative to the reference's float64, in the 2-norm.
fn distances(name: &str, layout: Layout, kernels: Kernels) -> (f64, f64) {
    let folder = checkout().join("tests/fixtures");
    let reference = Reference::read(&folder.join(format!("{name}.npz")));
    let forward = prepared(&folder.join(format!("{name}.onnx")), kernels);
    let shape = forward.shape(forward.inputs()[0]).unwrap().clone();
    let inputs = reference.inputs(layout);
    let batch = if shape.0[0].fixed().is_some() { 1 } else { reference.labels.len() };
    let dims: Vec<usize> = shape.0.iter().map(|dim| dim.at_batch(batch)).collect();
    let rows = dims.iter().product();
    let graph = classifier::gradient::gradient_graph(forward, Loss::CrossEntropy, kernels).unwrap();
    let (mut loss, mut gradient) = (Vec::new(), Vec::new());
    for (x, labels) in inputs.chunks(rows).zip(reference.labels.chunks(batch)) {
        let [_, batch_loss, batch_gradient] = outputs(&graph, &dims, x, labels);
        loss.extend(batch_loss);
        gradient.extend(batch_gradient);
    }
    let mut by_pixel = vec![0.0; gradient.len()];
    for (index, value) in gradient.iter().enumerate() {
        let source = reference.source(index, layout);
        by_pixel[source] = value / reference.std[source / reference.area() % reference.std.len()];
    }
    (distance(&loss, &reference.loss), distance(&by_pixel, &reference.gradient))
}

fn distance(found: &[f32], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let squares = found.iter().zip(wanted).map(|(found, wanted)| (f64::from(*found) - wanted).powi(2));
    squares.sum::<f64>().sqrt() / wanted.iter().map(|wanted| wanted * wanted).sum::<f64>().sqrt()
}

#[test]
fn exported_models_agree_with_pytorch_in_float64() {
    // The two ViTs have their attention by our kernel.
    for name in ["vit_torchscript", "vit_dynamo"] {
        let file = checkout().join("tests/fixtures").join(name).with_extension("onnx");
        let forward = prepared(&file, Kernels::Mimir);
        let heads = forward.nodes().iter().filter(|node| node.op_type == ATTENTION).count();
        let shares = forward.nodes().iter().filter(|node| node.op_type == "Softmax").count();
        assert!(heads > 0 && shares == 0, "{name}: {heads}, {shares}");
    }
    // PyTorch's own float32 is off by 7e-7 on a ViT, and by 7e-3 on a deep ReLU network.
    for (name, layout) in [
        ("vit_torchscript", Layout::Nchw),
        ("vit_dynamo", Layout::Nchw),
        ("resnet_batch1", Layout::Nchw),
        ("conv_nhwc", Layout::Nhwc),
        ("control_flow", Layout::Nchw),
    ] {
        assert_near(name, layout);
    }
}

/// Factors that are rounded to eight bits leave a gradient that points the same way.
#[test]
fn gradients_of_products_in_bfloat16_are_near_those_in_float64() {
    for name in ["vit_torchscript", "vit_dynamo"] {
        let (loss, gradient) = distances(name, Layout::Nchw, Kernels::Bfloat16);
        println!("{name}: loss {loss:e}, gradient {gradient:e}");
        assert!(loss < 0.02, "{name}: loss {loss:e}");
        assert!((1e-5..0.05).contains(&gradient), "{name}: gradient {gradient:e}");
    }
}

#[test]
fn tiny_members_of_many_families_agree_with_pytorch_in_float64() {
    for name in [
        "beit",
        "cait",
        "convit",
        "convnext",
        "convnext_v2",
        "densenet",
        "efficientnet",
        "high_resolution",
        "levit",
        "maxvit",
        "mixer",
        "mobilenet_v3",
        "mobilevit",
        "nfnet",
        "poolformer",
        "shufflenet",
        "squeezenet",
        "swin",
        "vit_opset20",
        "vit_opset23",
        "xcit",
    ] {
        assert_near(&format!("tiny/{name}"), Layout::Nchw);
    }
}

#[test]
fn tiny_networks_of_keras_agree_with_tensorflow_in_float64() {
    for name in ["keras_mobilenet", "keras_vit"] {
        assert_near(&format!("tiny/{name}"), Layout::Nhwc);
    }
}

#[test]
fn models_that_nobody_here_trained() {
    let folder = checkout().join("../shared/models");
    if !folder.exists() {
        println!("skipped: {} is not there; the fixtures cover the same operators", folder.display());
        return;
    }
    for name in ["vit_pgd_2_3_16", "resnet_2b", "mnist_fc_256x2"] {
        let cosine = cosine(&prepared(&folder.join(format!("{name}.onnx")), Kernels::Standard));
        assert!(cosine > 0.9999, "{name}: cosine {cosine}");
    }
}

/// Cosine between directional derivatives from the gradient and from central differences.
fn cosine(forward: &Graph) -> f64 {
    const STEP: f32 = 1e-3;
    let dims = |id| forward.shape(id).unwrap().0.iter().map(|dim| dim.at_batch(1)).collect::<Vec<usize>>();
    let (x_dims, z_dims) = (dims(forward.inputs()[0]), dims(forward.outputs()[0]));
    let mut numbers = Numbers::new(2);
    let x = numbers.draw(Domain::Real, x_dims.iter().product());
    let w = numbers.draw(Domain::Real, z_dims.iter().product());
    let free = differentiate(forward, Loss::Margin, Kernels::Standard).unwrap();
    let mut free = session(&free);
    let gradient = {
        let outputs = free
            .run(&[float(tensor_names::IMAGES, &x_dims, &x), float(tensor_names::COTANGENT, &z_dims, &w)])
            .unwrap();
        outputs.into_iter().next_back().unwrap().data
    };
    let mut value = |x: Vec<f32>| {
        let outputs = free
            .run(&[float(tensor_names::IMAGES, &x_dims, &x), float(tensor_names::COTANGENT, &z_dims, &w)])
            .unwrap();
        dot(&outputs[0].data, &w)
    };
    let (mut products, mut found_squares, mut wanted_squares) = (0.0, 0.0, 0.0);
    for _ in 0..32 {
        let v = numbers.draw(Domain::Real, x.len());
        let moved = |sign: f32| x.iter().zip(&v).map(|(x, v)| x + sign * STEP * v).collect::<Vec<f32>>();
        let wanted = (value(moved(1.0)) - value(moved(-1.0))) / (2.0 * f64::from(STEP));
        let found = dot(&gradient, &v);
        products += wanted * found;
        found_squares += found * found;
        wanted_squares += wanted * wanted;
    }
    products / (found_squares * wanted_squares).sqrt()
}
