//! Files of the quantiser, of float16 and of float64: against PyTorch in float64, and against themselves.

use std::path::{Path, PathBuf};

use mimir_bundle::{BatchMode, Loss, tensor_names};
use mimir_runtime::session::{Data, Engine, Input, Optimisation, RawSession, SessionOptions};
use ndarray_npy::{NpzReader, ReadableElement};

use super::WorkingCopy;
use crate::graph::Graph;
use crate::onnx::{Limits, read_model};
use crate::tensor::{DataType, Tensor};
use crate::testing::{add, push, push_all};
use crate::{ImageClassifier, InputSpec};

const SIZE: usize = 8;
const PIXELS: usize = 3 * SIZE * SIZE;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/fixtures/quantised")
}

fn classifier(name: &str) -> ImageClassifier {
    let file = read_model(&folder().join(format!("{name}.onnx")), &Limits::default()).unwrap();
    ImageClassifier::new(file, &InputSpec::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What `scripts/reference/quantised_fixtures.py` stored.
struct Reference {
    images: Vec<f32>,
    labels: Vec<i64>,
    original: Vec<f32>,
    logits: Vec<f64>,
    loss: Vec<f64>,
    gradient: Vec<f64>,
}

impl Reference {
    fn read(name: &str) -> Self {
        let file = std::fs::File::open(folder().join(format!("{name}.npz"))).unwrap();
        let mut npz = NpzReader::new(file).unwrap();
        Self {
            images: array(&mut npz, "images"),
            labels: array(&mut npz, "labels"),
            original: array(&mut npz, "original"),
            logits: array(&mut npz, "logits"),
            loss: array(&mut npz, "loss"),
            gradient: array(&mut npz, "gradient"),
        }
    }

    /// What ONNX Runtime returned for the file, on a processor with VNNI.
    fn recorded(&self) -> Vec<f64> {
        self.original.iter().map(|value| f64::from(*value)).collect()
    }
}

fn array<T: ReadableElement>(npz: &mut NpzReader<std::fs::File>, name: &str) -> Vec<T> {
    let array: ndarray::ArrayD<T> = npz.by_name(name).unwrap();
    array.into_raw_vec_and_offset().0
}

/// The outputs of a file for those images, one image at a time, each output joined.
fn outputs(
    bytes: &[u8],
    images: &[f32],
    labels: Option<&[i64]>,
    optimisation: Optimisation,
) -> Vec<Vec<f32>> {
    let engine = Engine::load(None).unwrap();
    let options = SessionOptions { optimisation, ..SessionOptions::default() };
    let mut session = RawSession::new(&engine, bytes, options).unwrap();
    let mut joined: Vec<Vec<f32>> = Vec::new();
    for (index, image) in images.chunks(PIXELS).enumerate() {
        let mut inputs =
            vec![Input { name: tensor_names::IMAGES, dims: &[1, 3, SIZE, SIZE], data: Data::F32(image) }];
        if let Some(labels) = labels {
            inputs.push(Input {
                name: tensor_names::LABELS,
                dims: &[1],
                data: Data::I64(&labels[index..=index]),
            });
        }
        for (position, output) in session.run(&inputs).unwrap().into_iter().enumerate() {
            if joined.len() <= position {
                joined.push(Vec::new());
            }
            joined[position].extend(output.data);
        }
    }
    joined
}

fn distance(found: &[f32], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let squares: f64 =
        found.iter().zip(wanted).map(|(found, wanted)| (f64::from(*found) - wanted).powi(2)).sum();
    (squares / wanted.iter().map(|wanted| wanted * wanted).sum::<f64>()).sqrt()
}

/// Relative errors of logits, loss and gradient of the copies.
fn copy_errors(name: &str) -> [f64; 3] {
    let (classifier, reference) = (classifier(name), Reference::read(name));
    let forward = outputs(&classifier.forward_onnx().unwrap(), &reference.images, None, Optimisation::All);
    let gradient = classifier.gradient_onnx(Loss::CrossEntropy).unwrap();
    let gradient = outputs(&gradient, &reference.images, Some(&reference.labels), Optimisation::All);
    [
        distance(&forward[0], &reference.logits),
        distance(&gradient[1], &reference.loss),
        distance(&gradient[2], &reference.gradient),
    ]
}

/// With every quantiser where PyTorch has it and no code rounded the other way, only float32 is left. (A sum that lies
/// on the border between two codes could go either way on another machine; none of these images has one.)
#[test]
fn gradients_agree_with_straight_through_quantisers_in_float64() {
    for name in FILES {
        let [_, loss, gradient] = copy_errors(name);
        println!("{name}: loss {loss:e}, gradient {gradient:e}");
        assert!(loss < 1e-5 && gradient < 1e-5, "{name}: loss {loss:e}, gradient {gradient:e}");
    }
}

const FILES: [&str; 11] = [
    "cnn_qdq",
    "cnn_qdq_signed",
    "cnn_qdq_16",
    "cnn_qoperator",
    "vit_qdq",
    "vit_qoperator",
    "cnn_dynamic",
    "vit_dynamic",
    "cnn_float16",
    "vit_float16",
    "vit_float64",
];

/// How far numbers of 8 bits may be apart: fused kernels of integers round ties, and sums before them, in other places,
/// and one code of an output is up to 1.6 % of these logits. Half a precision step is 5·10⁻⁴ for float16.
fn tolerance(name: &str) -> f64 {
    if name.contains("float") { 2e-3 } else { 5e-2 }
}

/// What the file itself returns depends on the processor: without VNNI, ONNX Runtime's products of 8-bit integers
/// saturate. So our original is compared with the file on the processor at hand.
#[test]
fn the_original_returns_the_numbers_of_the_file() {
    // Of the others, the input is no float32.
    for name in FILES.into_iter().filter(|name| !name.contains("float")) {
        let (classifier, images) = (classifier(name), Reference::read(name).images);
        let file = std::fs::read(folder().join(format!("{name}.onnx"))).unwrap();
        let own = outputs(&file, &images, None, Optimisation::All).remove(0);
        let original =
            outputs(&classifier.original_onnx().unwrap(), &images, None, Optimisation::All).remove(0);
        let own: Vec<f64> = own.into_iter().map(f64::from).collect();
        let error = distance(&original, &own);
        println!("{name}: {error:e}");
        assert!(error < 1e-6, "{name}: {error:e}");
    }
}

#[test]
fn the_original_of_a_file_in_float16_returns_its_numbers() {
    for name in ["cnn_float16", "vit_float16"] {
        let (classifier, reference) = (classifier(name), Reference::read(name));
        let original = classifier.original_onnx().unwrap();
        let original = outputs(&original, &reference.images, None, Optimisation::All).remove(0);
        let error = distance(&original, &reference.recorded());
        assert!(error < tolerance(name), "{name}: {error:e}");
    }
}

/// Unfused, so that the quantisers compute in floats and no processor's products of integers take part.
#[test]
fn the_fast_graph_is_near_the_numbers_of_the_file() {
    for name in FILES.into_iter().filter(|name| *name != "vit_float64") {
        let (classifier, reference) = (classifier(name), Reference::read(name));
        let forward = classifier.forward_onnx().unwrap();
        let forward = outputs(&forward, &reference.images, None, Optimisation::Disabled).remove(0);
        let error = distance(&forward, &reference.recorded());
        println!("{name}: {error:e}");
        assert!(error < tolerance(name), "{name}: {error:e}");
    }
}

#[test]
fn the_scan_names_quantisers_and_other_numbers() {
    for name in FILES {
        let classifier = classifier(name);
        let scan = classifier.scan();
        let (float, dynamic) = (name.contains("float"), name.contains("dynamic"));
        let batch = if dynamic { BatchMode::One } else { BatchMode::Dynamic };
        assert_eq!(classifier.manifest().batch, batch, "{name}");
        assert_eq!(scan.straight_through.is_empty(), float, "{name}: {scan:?}");
        assert_eq!(scan.mixes_images.is_empty(), !dynamic, "{name}: {scan:?}");
        assert!(scan.gradient_cuts.is_empty(), "{name}: {scan:?}");
        let copies = name.split_once('_').filter(|_| float).map(|(_, number)| number);
        assert_eq!(
            scan.float32_copy_of.iter().map(String::as_str).collect::<Vec<_>>(),
            Vec::from_iter(copies),
            "{name}"
        );
    }
}

#[test]
fn integers_that_are_not_cast_to_floats_are_refused_with_the_way_out() {
    let mut graph = Graph::new("test", 17);
    let x = add(&mut graph, "f32[N,4]").unwrap();
    let outputs = push_all(&mut graph, "DynamicQuantizeLinear", &[Some(x)], "", 3);
    let weights = Tensor::new(DataType::Int8, vec![4, 2], vec![1; 8].into()).unwrap();
    let weights = graph.add_constant("weights", weights);
    let sums = push(&mut graph, "MatMulInteger", &[outputs[0], weights, outputs[2]], "");
    let output = push(&mut graph, "Add", &[sums, sums], "");
    graph.add_output(output);
    let error = WorkingCopy::new(&graph).unwrap_err().to_string();
    assert_eq!(
        error,
        "node `Add_2` (Add): reads the integers of node `MatMulInteger_1`, which is supported only for a Cast: \
         quantise the model with \
         QuantizeLinear and DequantizeLinear (in ONNX Runtime, `quantize_static` with `QuantFormat.QDQ`)"
    );
}

#[test]
fn arithmetic_on_sizes_keeps_its_precision() {
    let mut graph = Graph::new("test", 17);
    let x = add(&mut graph, "f32[N,4]").unwrap();
    // 7 · 0.1428571428571428 is 0.9999999999999996 in double precision, and 1 in single.
    let tensor =
        |value: f64| Tensor::new(DataType::Float64, vec![], value.to_le_bytes().to_vec().into()).unwrap();
    let (seven, ratio) = (tensor(7.0), tensor(0.142_857_142_857_142_8));
    let (seven, ratio) = (graph.add_constant("seven", seven), graph.add_constant("ratio", ratio));
    let product = push(&mut graph, "Mul", &[seven, ratio], "");
    let floor = push(&mut graph, "Floor", &[product], "");
    let index = push(&mut graph, "Cast", &[floor], "to=7");
    let column = push(&mut graph, "Gather", &[x, index], "axis=1");
    graph.add_output(column);
    let mut copy = WorkingCopy::new(&graph).unwrap();
    assert_eq!(copy.converted_types, []);
    crate::simplify::simplify(&mut copy.graph).unwrap();
    let constant =
        copy.graph.nodes().iter().find(|node| node.op_type == "Gather").unwrap().inputs[1].unwrap();
    assert_eq!(copy.graph.constant(constant).unwrap().to_i64(), Some(vec![0]));
}
