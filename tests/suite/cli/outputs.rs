//! Models whose outputs are no plain logits. Behind a linear model the right verdicts are known in closed form.

use std::fs::File;
use std::path::PathBuf;

use mimir_bundle::{ImageShape, Norm, Pixels, ThreatModel};
use mimir_export::graph::{Attributes, Builder, Dim, Graph, Shape, TensorType, ValueId};
use mimir_export::onnx::write_model;
use mimir_export::{DataType, Tensor};
use mimir_runtime::evaluate::Verdict;
use mimir_runtime::linear::LinearClassifier;
use mimir_runtime::report::Report;
use ndarray::{Array1, Array2, Array4};
use ndarray_npy::NpzWriter;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use tempfile::TempDir;

use super::certify;

const SHAPE: ImageShape = ImageShape { channels: 3, height: 4, width: 4 };
const CLASSES: usize = 5;
const IMAGES: usize = 24;
const EPSILON: f64 = 8.0 / 255.0;

/// A linear model and its images, and the files of both in a folder.
struct Linear {
    folder: TempDir,
    weights: Array2<f32>,
    pixels: Array2<f32>,
    labels: Vec<usize>,
}

/// Numbers between -1 and 1 without a pattern, the same on every machine.
fn number(index: usize) -> f32 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 40) as f32 / 8_388_608.0 - 1.0
}

/// What a file returns: nodes behind the logits.
type Last = fn(&mut Builder<'_>, ValueId) -> Vec<ValueId>;

impl Linear {
    fn new(last: Last) -> Self {
        let weights = Array2::from_shape_fn((CLASSES, SHAPE.pixels()), |(k, pixel)| number(k * 64 + pixel));
        let levels = Array2::from_shape_fn((IMAGES, SHAPE.pixels()), |(image, pixel)| {
            (127.5 + 127.0 * number(1000 + image * 64 + pixel)) as u8
        });
        let pixels = levels.mapv(|level| f32::from(level) / 255.0);
        let labels = pixels.rows().into_iter().map(|image| largest(&weights.dot(&image))).collect();
        let made = Self { folder: tempfile::tempdir().unwrap(), weights, pixels, labels };
        made.write_images(&levels);
        std::fs::write(made.path("model.onnx"), write_model(&made.graph(last)).unwrap()).unwrap();
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_images(&self, levels: &Array2<u8>) {
        let mut archive = NpzWriter::new(File::create(self.path("images.npz")).unwrap());
        let images: Array4<u8> = levels.clone().into_shape_with_order((IMAGES, 3, 4, 4)).unwrap();
        archive.add_array("images", &images).unwrap();
        let labels: Array1<i64> = self.labels.iter().map(|label| *label as i64).collect();
        archive.add_array("labels", &labels).unwrap();
        archive.finish().unwrap();
    }

    fn graph(&self, last: Last) -> Graph {
        let mut graph = Graph::new("linear", 20);
        let dims = [Dim::N, Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)];
        let images = TensorType { dtype: DataType::Float32, shape: Shape(dims.to_vec()) };
        let images = graph.add_value("pixels", Some(images)).unwrap();
        graph.add_input(images);
        let mut builder = Builder::new(&mut graph, "linear");
        let flat = builder.op("Flatten", &[images]).unwrap();
        let turned: Vec<f32> = self.weights.t().iter().copied().collect();
        let weights = builder.constant(Tensor::from_f32(&[SHAPE.pixels(), CLASSES], &turned));
        let logits = builder.op("MatMul", &[flat, weights]).unwrap();
        let outputs = last(&mut builder, logits);
        graph.set_outputs(outputs);
        graph
    }

    /// Whether each image keeps its class in the whole ball.
    fn robust(&self) -> Vec<bool> {
        let linear = LinearClassifier::new(self.weights.clone(), Array1::zeros(CLASSES), SHAPE, 1);
        let threat_model = ThreatModel { norm: Norm::Linf, epsilon: EPSILON, pixels: Pixels::Continuous };
        let images = self.pixels.rows().into_iter().zip(&self.labels);
        let worst = |image: &[f32], label: usize| {
            let others = (0..CLASSES).filter(|class| *class != label);
            let margins = others.map(|other| linear.worst_margin(&threat_model, image, label, other));
            margins.fold(f64::INFINITY, f64::min)
        };
        let margins: Vec<f64> =
            images.map(|(image, label)| worst(image.to_slice().unwrap(), *label)).collect();
        assert!(margins.iter().all(|margin| margin.abs() > 1e-3), "too close to call: {margins:?}");
        margins.into_iter().map(|margin| margin > 0.0).collect()
    }

    fn run(&self, flags: &[&str]) -> assert_cmd::assert::Assert {
        let data = format!("npz:{}", self.path("images.npz").display());
        let mut command = certify();
        command.arg(self.path("model.onnx")).args(["--data", &data, "--epsilon", "8/255", "--norm", "linf"]);
        command.arg("--report").arg(self.path("out")).args(flags).assert()
    }

    /// The verdicts of a targeted attack, which is exact on a linear model.
    fn verdicts(&self, flags: &[&str]) -> Vec<bool> {
        self.run(&[&["--attacks", "apgd-t", "--steps", "8"], flags].concat()).success();
        let report: Report =
            serde_json::from_str(&std::fs::read_to_string(self.path("out/report.json")).unwrap()).unwrap();
        assert_eq!(report.counts.clean_correct, IMAGES);
        report.outcomes.iter().map(|outcome| outcome.verdict == Verdict::StillRobust).collect()
    }
}

fn largest(scores: &Array1<f32>) -> usize {
    (0..scores.len()).fold(0, |best, class| if scores[class] > scores[best] { class } else { best })
}

fn scaled(builder: &mut Builder<'_>, value: ValueId, factor: f32) -> ValueId {
    let factor = builder.scalar(factor);
    builder.op("Mul", &[value, factor]).unwrap()
}

fn softmax(builder: &mut Builder<'_>, logits: ValueId, factor: f32) -> ValueId {
    let logits = scaled(builder, logits, factor);
    builder.op("Softmax", &[logits]).unwrap()
}

/// What saturates behind the logits.
const TAILS: [(&str, Last); 10] = [
    ("a scaled Softmax", |builder, logits| {
        let probabilities = softmax(builder, logits, 100.0);
        vec![scaled(builder, probabilities, 100.0)]
    }),
    ("a clipped Softmax", |builder, logits| {
        let probabilities = softmax(builder, logits, 60.0);
        let (low, high) = (builder.scalar(1e-7), builder.scalar(1.0 - 1e-7));
        vec![builder.op("Clip", &[probabilities, low, high]).unwrap()]
    }),
    ("Softmax twice", |builder, logits| {
        let probabilities = softmax(builder, logits, 100.0);
        vec![builder.op("Softmax", &[probabilities]).unwrap()]
    }),
    ("the mean of two Softmaxes", |builder, logits| {
        let (one, other) = (softmax(builder, logits, 60.0), softmax(builder, logits, 90.0));
        let sum = builder.op("Add", &[one, other]).unwrap();
        vec![scaled(builder, sum, 0.5)]
    }),
    ("the product of two Softmaxes", |builder, logits| {
        let (one, other) = (softmax(builder, logits, 60.0), softmax(builder, logits, 90.0));
        vec![builder.op("Mul", &[one, other]).unwrap()]
    }),
    ("a mean of stacked Softmaxes", |builder, logits| {
        let axes = builder.ints(&[0]);
        let parts = [60.0, 80.0, 100.0].map(|factor| {
            let probabilities = softmax(builder, logits, factor);
            builder.op("Unsqueeze", &[probabilities, axes]).unwrap()
        });
        let stacked = builder.op_with("Concat", &parts, [("axis", 0_i64.into())]).unwrap();
        vec![builder.op_with("ReduceMean", &[stacked, axes], [("keepdims", 0_i64.into())]).unwrap()]
    }),
    ("a Softmax that is written out, and a logarithm", |builder, logits| {
        let axis = builder.ints(&[1]);
        let large = scaled(builder, logits, 60.0);
        let most = builder.op("ReduceMax", &[large, axis]).unwrap();
        let below = builder.op("Sub", &[large, most]).unwrap();
        let exponentials = builder.op("Exp", &[below]).unwrap();
        let sum = builder.op("ReduceSum", &[exponentials, axis]).unwrap();
        let probabilities = builder.op("Div", &[exponentials, sum]).unwrap();
        let little = builder.scalar(1e-6);
        let positive = builder.op("Add", &[probabilities, little]).unwrap();
        vec![builder.op("Log", &[positive]).unwrap()]
    }),
    ("a Sigmoid for each class", |builder, logits| {
        let centred = centred(builder, logits, 12.0);
        vec![builder.op("Sigmoid", &[centred]).unwrap()]
    }),
    ("one less a Tanh of the negative", |builder, logits| {
        let centred = centred(builder, logits, -3.0);
        let bounded = builder.op("Tanh", &[centred]).unwrap();
        let one = builder.scalar(1.0);
        vec![builder.op("Sub", &[one, bounded]).unwrap()]
    }),
    ("a sharpened Softmax", |builder, logits| {
        let probabilities = softmax(builder, logits, 20.0);
        let (four, axis) = (builder.scalar(4.0), builder.ints(&[1]));
        let powers = builder.op("Pow", &[probabilities, four]).unwrap();
        let sum = builder.op("ReduceSum", &[powers, axis]).unwrap();
        vec![builder.op("Div", &[powers, sum]).unwrap()]
    }),
];

/// `factor · (z − mean of the largest two)`: the largest scores straddle zero, so that no bounded function makes them
/// equal.
fn centred(builder: &mut Builder<'_>, logits: ValueId, factor: f32) -> ValueId {
    let (two, axis) = (builder.ints(&[2]), builder.ints(&[1]));
    let inputs = vec![Some(logits), Some(two)];
    let sorted = builder.node("TopK", inputs, Attributes::default(), 2).unwrap()[0];
    let middle = builder.op("ReduceMean", &[sorted, axis]).unwrap();
    let below = builder.op("Sub", &[logits, middle]).unwrap();
    scaled(builder, below, factor)
}

#[test]
fn saturated_scores_leave_the_verdicts_of_a_linear_model_as_they_are() {
    let plain = Linear::new(|_, logits| vec![logits]);
    let robust = plain.robust();
    assert!(robust.contains(&true) && robust.contains(&false), "{robust:?}");
    assert_eq!(plain.verdicts(&[]), robust);
    for (name, last) in TAILS {
        assert_eq!(Linear::new(last).verdicts(&[]), robust, "{name}");
    }
}

#[test]
fn axes_of_length_one_and_other_outputs_leave_the_verdicts_as_they_are() {
    let nested = Linear::new(|builder, logits| {
        let axes = builder.ints(&[2, 3]);
        vec![builder.op("Unsqueeze", &[logits, axes]).unwrap()]
    });
    assert_eq!(nested.verdicts(&[]), nested.robust());
    assert_eq!(nested.verdicts(&["--engine", "rten"]), nested.robust());
    let several = Linear::new(|builder, logits| {
        let gates = builder.op("Sigmoid", &[logits]).unwrap();
        let features = builder.op("Mul", &[logits, gates]).unwrap();
        vec![features, logits]
    });
    let listed = contains("linear/Mul` [N, 5]").and(contains("linear/MatMul` [N, 5]"));
    several.run(&[]).code(3).stderr(listed.and(contains("--output")));
    assert_eq!(several.verdicts(&["--output", "linear/MatMul"]), several.robust());
    let certificate = std::fs::read_to_string(several.path("out/certificate.json")).unwrap();
    assert!(certificate.contains("\"output_name\": \"linear/MatMul\""), "{certificate}");
    several.run(&["--output", "linear/Flatten"]).code(3).stderr(contains("is a tensor inside the model"));
}

/// A gate would pass: the largest score always comes first.
#[test]
fn sorted_scores_pass_no_gate() {
    let sorted = Linear::new(|builder, logits| {
        let count = builder.ints(&[5]);
        let probabilities = builder.op("Softmax", &[logits]).unwrap();
        let inputs = vec![Some(probabilities), Some(count)];
        let outputs = builder.node("TopK", inputs, Attributes::default(), 2).unwrap();
        vec![outputs[1], outputs[0]]
    });
    sorted
        .run(&["--min-attacked-accuracy", "0.1"])
        .code(3)
        .stderr(contains("(TopK): sorts or selects the scores"));
}

/// Ties are decided by the file: its first largest score counts, whatever the scores before a flat part say.
#[test]
fn equal_scores_behind_a_flat_part_break_an_image() {
    // Every score is above 1, so that the file returns the same for all classes, of which it names the first.
    let flat = Linear::new(|builder, logits| {
        let hundred = builder.scalar(100.0);
        let high = builder.op("Add", &[logits, hundred]).unwrap();
        let (low, most) = (builder.scalar(0.0), builder.scalar(1.0));
        vec![builder.op("Clip", &[high, low, most]).unwrap()]
    });
    flat.run(&["--attacks", "apgd-ce", "--steps", "3"]).success();
    let report: Report =
        serde_json::from_str(&std::fs::read_to_string(flat.path("out/report.json")).unwrap()).unwrap();
    let first = flat.labels.iter().filter(|label| **label == 0).count();
    assert_eq!((report.counts.clean_correct, report.counts.broken), (first, 0));

    // Relu: once no score is positive, the file names the first class.
    let cut = Linear::new(|builder, logits| {
        let axis = builder.ints(&[1]);
        let middle = builder.op("ReduceMean", &[logits, axis]).unwrap();
        let half = builder.scalar(0.02);
        let least = builder.op("Add", &[middle, half]).unwrap();
        let above = builder.op("Sub", &[logits, least]).unwrap();
        vec![builder.op("Relu", &[above]).unwrap()]
    });
    let robust = cut.robust();
    let verdicts = cut.verdicts(&[]);
    // Whatever the plain model loses, this one loses too, and it has no more robust images.
    assert!(verdicts.iter().zip(&robust).all(|(found, plain)| *plain || !*found), "{verdicts:?}");
}

/// Sorted by a network of Max and Min, which no operator names.
#[test]
fn scores_in_the_order_of_the_classes_are_a_warning() {
    let sorted = Linear::new(|builder, logits| {
        let axis = || [("axis", 1_i64.into())];
        let mut columns = builder.node("Split", vec![Some(logits)], split_in_five(), 5).unwrap();
        for round in 0..CLASSES {
            for left in (round % 2..CLASSES - 1).step_by(2) {
                let pair = [columns[left], columns[left + 1]];
                columns[left] = builder.op("Max", &pair).unwrap();
                columns[left + 1] = builder.op("Min", &pair).unwrap();
            }
        }
        vec![builder.op_with("Concat", &columns, axis()).unwrap()]
    });
    sorted.run(&["--attacks", "apgd-ce", "--steps", "1"]).success();
    let report = std::fs::read_to_string(sorted.path("out/report.json")).unwrap();
    assert!(report.contains("\"sorted_scores\""), "{report}");
}

fn split_in_five() -> Attributes {
    Attributes::from_pairs([("axis", 1_i64.into()), ("num_outputs", 5_i64.into())])
}
