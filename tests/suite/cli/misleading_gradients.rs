//! A linear function of pixels behind a staircase of steep sigmoids: gradients are not zero and lead nowhere, and what a step of
//! each pixel does is known.

use std::path::Path;

use assert_cmd::assert::Assert;
use mimir_export::graph::{Attribute, Builder, Dim, Graph, Shape, TensorType};
use mimir_export::onnx::write_model;
use mimir_export::{DataType, Tensor};
use mimir_runtime::evaluate::Verdict;
use mimir_runtime::report::{Report, Rule, RuleVerdict, Warning};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use tempfile::TempDir;

use super::certify;

/// Of an image, 3 x 16 x 16.
const PIXELS: usize = 768;
const IMAGES: usize = 40;
/// Stairs over the range of a pixel.
const STAIRS: usize = 8;
const STEEPNESS: f32 = 4e3;
const EPSILON: f64 = 4.0 / 255.0;

/// Numbers in [0, 1) that look random.
fn number(index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 40) as f64 / (1_u64 << 24) as f64
}

fn weight(pixel: usize) -> f64 {
    let size = 0.5 + number(pixel);
    if number(10_000 + pixel) < 0.5 { size } else { -size }
}

fn value(image: usize, pixel: usize) -> f32 {
    number(100_000 + PIXELS * image + pixel) as f32
}

/// How high a pixel has climbed, of 1.
fn height(value: f64) -> f64 {
    (0..STAIRS).filter(|stair| value > *stair as f64 / STAIRS as f64).count() as f64 / STAIRS as f64
}

fn middle() -> f64 {
    (STAIRS as f64 + 1.0) / 2.0 / STAIRS as f64
}

/// The difference of the first two scores at an image, pixels first changed by `change(pixel, value)`.
fn difference(image: usize, change: impl Fn(usize, f64) -> f64) -> f64 {
    let seen =
        |pixel: usize| height(change(pixel, f64::from(value(image, pixel))).clamp(0.0, 1.0)) - middle();
    (0..PIXELS).map(|pixel| 2.0 * weight(pixel) * seen(pixel)).sum()
}

fn label(image: usize) -> usize {
    usize::from(difference(image, |_, value| value) < 0.0)
}

/// Whether moving every pixel by ε against the class misclassifies the image: in L∞ nothing can do more.
fn is_breakable(image: usize) -> bool {
    let side = if label(image) == 0 { 1.0 } else { -1.0 };
    let worst = difference(image, |pixel, value| value - side * EPSILON * weight(pixel).signum());
    side * worst < -0.1
}

/// With stairs, or of the pixels themselves.
fn write_network(path: &Path, has_stairs: bool) {
    let mut graph = Graph::new("network", 17);
    let shape = Shape([&[Dim::N], &Shape::fixed(&[3, 16, 16]).0[..]].concat());
    let x = graph.add_value("x", Some(TensorType { dtype: DataType::Float32, shape })).unwrap();
    graph.add_input(x);
    let mut b = Builder::new(&mut graph, "network");
    let rows = b.constant(Tensor::from_i64(&[3], &[0, 1, -1]));
    let flat = b.op("Reshape", &[x, rows]).unwrap();
    let seen = if has_stairs {
        let stairs: Vec<f32> = (0..STAIRS).map(|stair| stair as f32 / STAIRS as f32).collect();
        let stairs = b.constant(Tensor::from_f32(&[STAIRS, 1], &stairs));
        let steepness = b.scalar(STEEPNESS);
        let above = b.op("Sub", &[flat, stairs]).unwrap();
        let above = b.op("Mul", &[above, steepness]).unwrap();
        let climbed = b.op("Sigmoid", &[above]).unwrap();
        let axis = b.constant(Tensor::from_i64(&[1], &[1]));
        let climbed = b.op("ReduceSum", &[climbed, axis]).unwrap();
        let share = b.scalar(1.0 / STAIRS as f32);
        b.op("Mul", &[climbed, share]).unwrap()
    } else {
        flat
    };
    let flat = b.op_with("Flatten", &[seen], [("axis", Attribute::Int(1))]).unwrap();
    let weights: Vec<f32> =
        (0..PIXELS).flat_map(|pixel| [weight(pixel) as f32, -weight(pixel) as f32, 0.0, 0.0]).collect();
    let bias = (0..PIXELS).map(|pixel| weight(pixel) * middle()).sum::<f64>() as f32;
    let weights = b.constant(Tensor::from_f32(&[PIXELS, 4], &weights));
    // The other classes are out of reach, and unequal, as ratios of scores need.
    let bias = b.constant(Tensor::from_f32(&[4], &[-bias, bias, -300.0, -400.0]));
    let logits = b.op("Gemm", &[flat, weights, bias]).unwrap();
    graph.add_output(logits);
    std::fs::write(path, write_model(&graph).unwrap()).unwrap();
}

struct Model {
    folder: TempDir,
}

impl Model {
    fn new(has_stairs: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_network(&folder.path().join("model.onnx"), has_stairs);
        let file = std::fs::File::create(folder.path().join("data.npz")).unwrap();
        let mut archive = NpzWriter::new(file);
        let pixels = (0..IMAGES).flat_map(|image| (0..PIXELS).map(move |pixel| value(image, pixel)));
        let images = Array4::from_shape_vec((IMAGES, 3, 16, 16), pixels.collect()).unwrap();
        archive.add_array("images", &images).unwrap();
        let labels: Array1<i64> = (0..IMAGES).map(|image| label(image) as i64).collect();
        archive.add_array("labels", &labels).unwrap();
        archive.finish().unwrap();
        Self { folder }
    }

    /// A gate that nothing but a warning can stop.
    fn gate(&self, flags: &[&str]) -> Assert {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let _ = std::fs::remove_dir_all(self.folder.path().join("out"));
        let mut command = certify();
        command.arg(path("model.onnx")).args(["--data", &format!("npz:{}", path("data.npz"))]);
        command.args(["--report", &path("out"), "--deny-warnings", "--min-attacked-accuracy", "0", "--full"]);
        command.args(flags).assert()
    }

    fn report(&self) -> Report {
        let report = std::fs::read(self.folder.path().join("out/report.json")).unwrap();
        serde_json::from_slice(&report).unwrap()
    }
}

fn mislead(report: &Report) -> Option<(&Vec<usize>, usize)> {
    report.warnings.iter().find_map(|notice| match &notice.warning {
        Warning::MisleadingGradients { images, judged } => Some((images, *judged)),
        _ => None,
    })
}

fn verdict(report: &Report) -> RuleVerdict {
    report.diagnosis.iter().find(|answer| answer.rule == Rule::GradientsPredict).unwrap().verdict
}

const EPSILON_FLAGS: [&str; 2] = ["--epsilon", "4/255"];

/// Attacks along gradients leave images that one step of every pixel breaks, and the gate does not believe them.
#[test]
fn a_staircase_passes_no_gate_of_gradients_alone() {
    let model = Model::new(true);
    let list = ["--attacks", "apgd-ce,apgd-t,fab-t", "--steps", "20"];
    model.gate(&[&EPSILON_FLAGS[..], &list].concat()).code(11);
    let report = model.report();
    assert_eq!(report.clean_accuracy, 1.0);
    let is_left = |image: usize| report.outcomes[image].verdict == Verdict::StillRobust;
    let missed = (0..IMAGES).filter(|image| is_left(*image) && is_breakable(*image)).count();
    assert!(missed >= 8, "it is masked: {missed} of {IMAGES} images are breakable and left");
    let (images, judged) = mislead(&report).unwrap();
    assert!(images.iter().all(|image| is_left(*image)) && 2 * images.len() > judged, "{images:?} {judged}");
    assert_eq!(verdict(&report), RuleVerdict::Fail);
}

#[test]
fn the_preset_fast_does_not_believe_a_staircase_either() {
    let model = Model::new(true);
    model.gate(&[&EPSILON_FLAGS[..], &["--attacks", "fast"]].concat()).code(11);
    assert!(mislead(&model.report()).is_some());
}

/// Whatever the loss, the norm and the kind of search.
#[test]
fn every_attack_along_gradients_is_looked_at() {
    let (stairs, honest) = (Model::new(true), Model::new(false));
    let lists: [(&str, &str, &[&str]); 9] = [
        ("linf", "4/255", &["apgd-ce"]),
        ("linf", "4/255", &["fgsm"]),
        ("linf", "4/255", &["fmn", "--steps", "10"]),
        ("linf", "8/255", &["apgd-dlr", "--steps", "5"]),
        ("l2", "0.25", &["pgd", "--steps", "5"]),
        ("l2", "0.25", &["ddn", "--steps", "10"]),
        ("l2", "0.5", &["fab-t", "--steps", "5"]),
        ("l1", "4", &["apgd-t", "--steps", "10"]),
        ("l1", "2", &["apgd-mt", "--steps", "5"]),
    ];
    for (norm, epsilon, attacks) in lists {
        let flags = [&["--norm", norm, "--epsilon", epsilon, "--attacks"], attacks].concat();
        stairs.gate(&flags).code(11);
        assert!(mislead(&stairs.report()).is_some(), "{norm} {attacks:?}: {:?}", stairs.report().diagnosis);
        honest.gate(&flags);
        assert_eq!(mislead(&honest.report()), None, "{norm} {attacks:?}");
        assert_eq!(verdict(&honest.report()), RuleVerdict::Pass, "{norm} {attacks:?}");
    }
}

/// A radius so small that no promise is beyond rounding, and one at which promises are exact.
#[test]
fn tiny_radii_are_no_cause_for_alarm() {
    for (has_stairs, epsilon, wanted) in [
        (false, "1e-9", RuleVerdict::NotExamined),
        (false, "1e-4", RuleVerdict::Pass),
        (true, "1e-9", RuleVerdict::NotExamined),
    ] {
        let model = Model::new(has_stairs);
        model.gate(&["--epsilon", epsilon, "--attacks", "apgd-ce", "--steps", "3"]);
        assert_eq!((mislead(&model.report()), verdict(&model.report())), (None, wanted), "{epsilon}");
    }
}

/// Without gradients nothing is looked at.
#[test]
fn attacks_without_gradients_promise_nothing() {
    let model = Model::new(true);
    model.gate(&[&EPSILON_FLAGS[..], &["--attacks", "square", "--queries", "10"]].concat()).code(0);
    assert_eq!(verdict(&model.report()), RuleVerdict::NotExamined);
}
