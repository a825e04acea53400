//! Networks whose counterexamples lie behind ReLUs that are off around the image, or behind a gate that is shut: which attacks
//! find them is known.

use std::path::Path;

use mimir_bundle::attack::Argument;
use mimir_export::DataType;
use mimir_export::Tensor;
use mimir_export::graph::{Builder, Dim, Graph, Shape, TensorType, ValueId};
use mimir_export::onnx::write_model;
use mimir_runtime::report::{Report, Warning};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use tempfile::TempDir;

use super::{Demo, certify};

/// Pixels of an image, 8 x 8.
const PIXELS: usize = 64;
/// Units of the hidden layers: one that matters, the others off everywhere.
const UNITS: usize = 16;

/// How an activation is written.
type Activation = fn(&mut Builder<'_>, ValueId) -> mimir_export::Result<ValueId>;

/// `h = relu(sum of +-x - 3.2)`, `z_1 = relu(h - 1.6)`, `z_0 = 0.8`. At grey the sum is 0, and within 0.1 of it at most
/// 6.4: then `h = 3.2` and `z_1 = 1.6`. Within 0.05 the first unit is off.
fn write_network(path: &Path, activation: Activation) {
    let mut graph = Graph::new("network", 18);
    let shape = Shape([&[Dim::N], &Shape::fixed(&[1, 8, 8]).0[..]].concat());
    let x = graph.add_value("x", Some(TensorType { dtype: DataType::Float32, shape })).unwrap();
    graph.add_input(x);
    let mut builder = Builder::new(&mut graph, "network");
    let flat = builder.op("Flatten", &[x]).unwrap();
    let mut first = vec![0.0; PIXELS * UNITS];
    for pixel in 0..PIXELS {
        // A board whose stripes and squares sum to nearly nothing.
        first[pixel * UNITS] = if (pixel / 8 + pixel % 8) % 2 == 0 { 1.0 } else { -1.0 };
    }
    let hidden = layer(&mut builder, flat, (PIXELS, UNITS), &first, -3.2, activation);
    let mut second = vec![0.0; UNITS * UNITS];
    second[0] = 1.0;
    let hidden = layer(&mut builder, hidden, (UNITS, UNITS), &second, -1.6, activation);
    let mut last = vec![0.0; UNITS * 2];
    last[1] = 1.0;
    let weights = builder.constant(Tensor::from_f32(&[UNITS, 2], &last));
    let bias = builder.constant(Tensor::from_f32(&[2], &[0.8, 0.0]));
    let logits = builder.op("Gemm", &[hidden, weights, bias]).unwrap();
    graph.add_output(logits);
    std::fs::write(path, write_model(&graph).unwrap()).unwrap();
}

/// A layer of ReLUs; all units but the first are off by far.
fn layer(
    builder: &mut Builder<'_>,
    input: ValueId,
    (from, to): (usize, usize),
    weights: &[f32],
    bias: f32,
    activation: Activation,
) -> ValueId {
    let mut biases = vec![-10.0; to];
    biases[0] = bias;
    let weights = builder.constant(Tensor::from_f32(&[from, to], weights));
    let biases = builder.constant(Tensor::from_f32(&[to], &biases));
    let sum = builder.op("Gemm", &[input, weights, biases]).unwrap();
    activation(builder, sum).unwrap()
}

fn relu(builder: &mut Builder<'_>, x: ValueId) -> mimir_export::Result<ValueId> {
    builder.op("Relu", &[x])
}

/// `z = p E + x W`, where `p` are the shares of the two branches that the gate makes of the score `s = factor (t - 0.05)`: the mean
/// of the pixels times a board. At grey it is 0, and within 0.1 of it at most 0.1. The first branch says class 0 and the second
/// class 1; the pixels themselves add a little to class 0.
fn write_gated(path: &Path, factor: f32, gate: Activation) {
    let mut graph = Graph::new("network", 18);
    let shape = Shape([&[Dim::N], &Shape::fixed(&[1, 8, 8]).0[..]].concat());
    let x = graph.add_value("x", Some(TensorType { dtype: DataType::Float32, shape })).unwrap();
    graph.add_input(x);
    let mut builder = Builder::new(&mut graph, "network");
    let flat = builder.op("Flatten", &[x]).unwrap();
    let sign = |pixel: usize| if (pixel / 8 + pixel % 8).is_multiple_of(2) { 1.0 } else { -1.0 };
    let board: Vec<f32> = (0..PIXELS).map(|pixel| factor * sign(pixel) / PIXELS as f32).collect();
    let board = builder.constant(Tensor::from_f32(&[PIXELS, 1], &board));
    let shift = builder.constant(Tensor::from_f32(&[1], &[-0.05 * factor]));
    let score = builder.op("Gemm", &[flat, board, shift]).unwrap();
    let shares = gate(&mut builder, score).unwrap();
    let branches = builder.constant(Tensor::from_f32(&[2, 2], &[1.0, 0.0, 0.0, 1.0]));
    let chosen = builder.op("MatMul", &[shares, branches]).unwrap();
    let weights: Vec<f32> = (0..2 * PIXELS).map(|index| if index % 2 == 0 { 0.002 } else { 0.0 }).collect();
    let weights = builder.constant(Tensor::from_f32(&[PIXELS, 2], &weights));
    let own = builder.op("MatMul", &[flat, weights]).unwrap();
    let logits = builder.op("Add", &[chosen, own]).unwrap();
    graph.add_output(logits);
    std::fs::write(path, write_model(&graph).unwrap()).unwrap();
}

/// The report and the summary of a run on two grey images of class 0.
fn run(flags: &[&str]) -> (Report, String, TempDir) {
    run_with(relu, flags)
}

fn run_with(activation: Activation, flags: &[&str]) -> (Report, String, TempDir) {
    run_on(|path| write_network(path, activation), flags)
}

fn run_on(write: impl Fn(&Path), flags: &[&str]) -> (Report, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write(&path("model.onnx"));
    let mut archive = NpzWriter::new(std::fs::File::create(path("data.npz")).unwrap());
    archive.add_array("images", &Array4::from_elem((2, 1, 8, 8), 0.5_f32)).unwrap();
    archive.add_array("labels", &Array1::from_elem(2, 0_i64)).unwrap();
    archive.finish().unwrap();
    let mut command = certify();
    command.arg(path("model.onnx")).arg("--data").arg(format!("npz:{}", path("data.npz").display()));
    command.arg("--report").arg(path("out")).args(flags);
    let output = command.assert().success().get_output().stdout.clone();
    let report = serde_json::from_slice(&std::fs::read(path("out/report.json")).unwrap()).unwrap();
    (report, String::from_utf8(output).unwrap(), folder)
}

fn warned(report: &Report) -> bool {
    report.warnings.iter().any(|notice| matches!(notice.warning, Warning::SilentUnits { .. }))
}

#[test]
fn what_is_behind_silent_units_is_found_after_the_standard_attacks() {
    let (report, summary, _folder) = run(&["--epsilon", "0.1", "--queries", "300"]);
    let names: Vec<&str> = report.attacks.iter().map(|attack| attack.name.as_str()).collect();
    assert_eq!(names, ["apgd-ce", "apgd-t", "fab-t", "square", "relaxed-pgd"]);
    assert_eq!(report.attacks.iter().map(|attack| attack.broken).collect::<Vec<_>>(), [0, 0, 0, 0, 2]);
    assert_eq!((report.standard_accuracy, report.attacked_accuracy), (Some(1.0), 0.0));
    assert!(warned(&report), "{:?}", report.warnings);
    assert!(summary.contains("standard accuracy  100"), "{summary}");
}

/// The fast preset spares most of random search only where gradients can be trusted.
#[test]
fn the_fast_preset_adds_what_a_masked_model_calls_for() {
    let (report, _, _folder) = run(&["--epsilon", "0.1", "--attacks", "fast"]);
    let names: Vec<&str> = report.attacks.iter().map(|attack| attack.name.as_str()).collect();
    assert_eq!(names, ["fmn", "apgd-t", "square", "relaxed-pgd"]);
    assert_eq!((report.preset.as_deref(), report.attacked_accuracy), (Some("fast"), 0.0));
    let queries = |report: &Report| report.attacks[2].parameters.get("queries");
    assert_eq!(queries(&report), Some(Argument::Count(5000)));
    let (report, _, _folder) = run(&["--epsilon", "0.1", "--attacks", "fast", "--steps", "5"]);
    assert_eq!(queries(&report), Some(Argument::Count(5000)), "steps are no queries");
    let (report, _, _folder) = run(&["--epsilon", "0.1", "--attacks", "fast", "--queries", "40"]);
    assert_eq!(queries(&report), Some(Argument::Count(40)), "what was asked for stays");
    let demo = Demo::new();
    demo.run(&["--attacks", "fast"]).success();
    let report = demo.report();
    let names: Vec<&str> = report.attacks.iter().map(|attack| attack.name.as_str()).collect();
    assert_eq!((names, report.preset.as_deref()), (vec!["fmn", "apgd-t", "square"], Some("fast")));
    assert_eq!(queries(&report), Some(Argument::Count(500)));
    let is_said = |warning: &Warning| matches!(warning, Warning::FastPreset);
    assert!(report.warnings.iter().any(|notice| is_said(&notice.warning)), "{:?}", report.warnings);
    assert_eq!(demo.certificate().preset.as_deref(), Some("fast"));
}

#[test]
fn out_of_reach_it_is_not_found_and_a_list_of_attacks_is_what_it_says() {
    let (report, _, _folder) = run(&["--epsilon", "0.05", "--queries", "50"]);
    assert_eq!((report.attacks.len(), report.attacked_accuracy), (5, 1.0));
    let (report, _, _folder) = run(&["--epsilon", "0.1", "--attacks", "apgd-ce"]);
    assert_eq!((report.attacks.len(), report.attacked_accuracy, report.standard_accuracy), (1, 1.0, None));
    assert!(warned(&report), "the warning does not depend on the attacks");
    let (report, _, _folder) = run(&["--epsilon", "0.1", "--attacks", "relaxed-pgd", "--seed", "7"]);
    assert_eq!((report.attacks.len(), report.attacked_accuracy), (1, 0.0));
}

#[test]
fn a_model_whose_units_pass_gradients_gets_neither_warning_nor_attack() {
    let demo = Demo::new();
    demo.run(&["--attacks", "standard", "--steps", "3", "--queries", "5"]).success();
    let report = demo.report();
    assert_eq!((report.attacks.len(), report.standard_accuracy), (4, None));
    assert!(!warned(&report), "{:?}", report.warnings);
    assert_eq!(demo.certificate().standard_still_robust, None);
}

#[test]
fn relu_in_other_words_is_seen_too() {
    let forms: [(&str, Activation); 3] = [
        ("u > 0 ? u : 0", |builder, u| {
            let zero = builder.scalar(0.0);
            let above = builder.op("Greater", &[u, zero])?;
            builder.op("Where", &[above, u, zero])
        }),
        ("(u + |u|)/2", |builder, u| {
            let half = builder.scalar(0.5);
            let size = builder.op("Abs", &[u])?;
            let sum = builder.op("Add", &[u, size])?;
            builder.op("Mul", &[sum, half])
        }),
        ("a slope of zero", |builder, u| builder.op_with("LeakyRelu", &[u], [("alpha", 0.0.into())])),
    ];
    for (name, form) in forms {
        let (report, _, _folder) = run_with(form, &["--epsilon", "0.1", "--queries", "20", "--steps", "20"]);
        assert_eq!((report.attacks.len(), report.attacked_accuracy), (5, 0.0), "{name}");
        assert!(warned(&report), "{name}: {:?}", report.warnings);
    }
}

/// The scores of the two branches, `-s` and `s`.
fn both(builder: &mut Builder<'_>, s: ValueId) -> mimir_export::Result<ValueId> {
    let signs = builder.constant(Tensor::from_f32(&[1, 2], &[-1.0, 1.0]));
    builder.op("MatMul", &[s, signs])
}

/// The shares `1 - p` and `p`.
fn with_rest(builder: &mut Builder<'_>, p: ValueId) -> mimir_export::Result<ValueId> {
    let one = builder.scalar(1.0);
    let rest = builder.op("Sub", &[one, p])?;
    builder.op_with("Concat", &[rest, p], [("axis", 1.into())])
}

const GATES: [(&str, Activation); 5] = [
    ("Softmax", |builder, s| {
        let scores = both(builder, s)?;
        builder.op_with("Softmax", &[scores], [("axis", (-1).into())])
    }),
    ("a Softmax in other words", |builder, s| {
        let scores = both(builder, s)?;
        let axes = builder.ints(&[1]);
        let largest = builder.op("ReduceMax", &[scores, axes])?;
        let scores = builder.op("Sub", &[scores, largest])?;
        let powers = builder.op("Exp", &[scores])?;
        let sum = builder.op("ReduceSum", &[powers, axes])?;
        builder.op("Div", &[powers, sum])
    }),
    ("Sigmoid", |builder, s| {
        let p = builder.op("Sigmoid", &[s])?;
        with_rest(builder, p)
    }),
    ("Tanh", |builder, s| {
        let half = builder.scalar(0.5);
        let tanh = builder.op("Tanh", &[s])?;
        let halved = builder.op("Mul", &[tanh, half])?;
        let p = builder.op("Add", &[halved, half])?;
        with_rest(builder, p)
    }),
    ("HardSigmoid", |builder, s| {
        let p = builder.op("HardSigmoid", &[s])?;
        with_rest(builder, p)
    }),
];

/// No gradient leads from one branch to the other, and no rule about zero gradients sees it: those of the pixels are none.
#[test]
fn behind_a_gate_that_is_shut_gradients_find_nothing_and_it_is_said() {
    let flags = ["--epsilon", "0.1", "--queries", "50", "--steps", "20"];
    for (name, gate) in GATES {
        let model = |path: &Path| write_gated(path, 1e4, gate);
        let gradients = ["--epsilon", "0.1", "--steps", "20", "--attacks", "apgd-ce,apgd-t,fab-t"];
        let (report, ..) = run_on(model, &gradients);
        assert_eq!((report.attacks.len(), report.attacked_accuracy), (3, 1.0), "{name}");
        assert!(warned(&report), "{name}: {:?}", report.warnings);
        let (report, ..) = run_on(model, &flags);
        let broken: Vec<usize> = report.attacks.iter().map(|attack| attack.broken).collect();
        assert_eq!((broken, report.attacked_accuracy), (vec![0, 0, 0, 0, 2], 0.0), "{name}");
        assert_eq!(report.standard_accuracy, Some(1.0), "{name}");
    }
}

/// A gate that passes gradients is no reason for a warning, nor for another attack.
#[test]
fn a_gate_that_is_ajar_is_an_operator_like_others() {
    for (name, gate) in &GATES[..4] {
        let flags = ["--epsilon", "0.1", "--queries", "50", "--steps", "20"];
        let (report, ..) = run_on(|path| write_gated(path, 40.0, *gate), &flags);
        assert_eq!((report.attacks.len(), report.attacks[0].broken), (4, 2), "{name}");
        assert!(!warned(&report), "{name}: {:?}", report.warnings);
    }
}
