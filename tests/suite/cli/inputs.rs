//! Linear classifiers behind what exporters write around inputs and batches: their accuracy is known in closed form.

use std::fs::File;
use std::path::Path;

use mimir_export::graph::{Attribute, Attributes, Dim, Graph, Node, Shape, TensorType, ValueId};
use mimir_export::onnx::write_model;
use mimir_export::{DataType, Tensor};
use mimir_runtime::report::{Report, Warning};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use predicates::str::contains;
use tempfile::TempDir;

use super::certify;

const CLASSES: usize = 5;
const SIDE: usize = 4;
const PIXELS: usize = 3 * SIDE * SIDE;
const IMAGES: usize = 20;
const EPSILON: f32 = 8.0 / 255.0;

/// A margin that rounding may turn.
const SLIM: f32 = 1e-3;

/// Numbers in `[0, 1)` that look random: SplitMix64 of the index.
fn number(index: usize) -> f32 {
    let mut state = (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((state ^ (state >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
}

/// `[K, C·H·W]`
fn weights() -> Vec<f32> {
    (0..CLASSES * PIXELS).map(|index| number(index + 7) - 0.5).collect()
}

/// Columns of every row of pixels in the other order.
fn mirrored(values: &[f32]) -> Vec<f32> {
    values.chunks(SIDE).flat_map(|row| row.iter().rev().copied()).collect()
}

fn image(index: usize) -> Vec<f32> {
    (0..PIXELS).map(|pixel| number(1_000_000 + index * PIXELS + pixel)).collect()
}

fn logit(weights: &[f32], class: usize, image: &[f32]) -> f32 {
    weights[class * PIXELS..][..PIXELS].iter().zip(image).map(|(weight, pixel)| weight * pixel).sum()
}

/// The least margin of a class over another one, for any image in the ball.
fn worst_margin(weights: &[f32], label: usize, image: &[f32], epsilon: f32) -> f32 {
    let against = |other: usize| {
        let margin = logit(weights, label, image) - logit(weights, other, image);
        let moved = image.iter().enumerate().map(|(pixel, value)| {
            let slope = weights[label * PIXELS + pixel] - weights[other * PIXELS + pixel];
            let (low, high) = ((value - epsilon).max(0.0), (value + epsilon).min(1.0));
            if slope > 0.0 { slope * (low - value) } else { slope * (high - value) }
        });
        margin + moved.sum::<f32>()
    };
    (0..CLASSES).filter(|other| *other != label).map(against).fold(f32::INFINITY, f32::min)
}

/// A model in a folder, and images of which the exact answer is known.
struct Linear {
    folder: TempDir,
    clean: usize,
    robust: usize,
}

impl Linear {
    /// Images for a classifier with those weights, and the file that `build` makes of one with [`weights`].
    fn new(effective: &[f32], input: &[usize], build: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut graph = Graph::new("linear", 16);
        let dims = input.iter().map(|size| if *size == 0 { Dim::N } else { Dim::Fixed(*size) }).collect();
        let images = TensorType { dtype: DataType::Float32, shape: Shape(dims) };
        let x = graph.add_value("x", Some(images)).unwrap();
        graph.add_input(x);
        let logits = build(&mut graph, x);
        graph.add_output(logits);
        std::fs::write(folder.path().join("model.onnx"), write_model(&graph).unwrap()).unwrap();
        let (clean, robust) = write_images(&folder.path().join("data.npz"), effective);
        Self { folder, clean, robust }
    }

    fn run(&self, flags: &[&str]) -> assert_cmd::assert::Assert {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let data = format!("npz:{}", path("data.npz"));
        let epsilon = EPSILON.to_string();
        certify()
            .args([path("model.onnx").as_str(), "--data", &data, "--epsilon", &epsilon])
            .args(["--attacks", "apgd-ce,apgd-t", "--steps", "20", "--report", &path("out")])
            .args(flags)
            .assert()
    }

    fn report(&self) -> Report {
        let text = std::fs::read_to_string(self.folder.path().join("out/report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Runs it, and compares what it says with the closed form.
    fn assert_exact(&self, flags: &[&str]) -> Report {
        self.run(flags).success();
        let report = self.report();
        assert!(self.robust > 0 && self.robust < self.clean && self.clean < IMAGES);
        let found = (report.counts.clean_correct, report.counts.still_robust);
        assert_eq!(found, (self.clean, self.robust));
        report
    }
}

/// Writes images and labels; how many are classified correctly, and how many of them in the whole ball.
fn write_images(path: &Path, weights: &[f32]) -> (usize, usize) {
    let (mut images, mut labels, mut counts) = (Vec::new(), Vec::new(), (0, 0));
    for index in 0.. {
        if labels.len() == IMAGES {
            break;
        }
        let pixels = image(index);
        let best =
            (0..CLASSES).max_by(|a, b| logit(weights, *a, &pixels).total_cmp(&logit(weights, *b, &pixels)));
        // Every fifth label is wrong.
        let label = if labels.len() % 5 == 4 { (best.unwrap() + 1) % CLASSES } else { best.unwrap() };
        let (clean, worst) =
            (worst_margin(weights, label, &pixels, 0.0), worst_margin(weights, label, &pixels, EPSILON));
        if clean.abs() < SLIM || worst.abs() < SLIM {
            continue;
        }
        counts.0 += usize::from(clean > 0.0);
        counts.1 += usize::from(worst > 0.0);
        images.extend(pixels);
        labels.push(label as i64);
    }
    let images = Array4::from_shape_vec((IMAGES, 3, SIDE, SIDE), images).unwrap();
    let mut archive = NpzWriter::new(File::create(path).unwrap());
    archive.add_array("images", &images).unwrap();
    archive.add_array("labels", &Array1::from(labels)).unwrap();
    archive.finish().unwrap();
    counts
}

/// Adds a node with those outputs.
fn nodes(
    graph: &mut Graph,
    op_type: &str,
    inputs: &[ValueId],
    attributes: &[(&str, Attribute)],
    outputs: usize,
) -> Vec<ValueId> {
    let ids: Vec<ValueId> = (0..outputs).map(|_| graph.add_fresh_value(op_type, None)).collect();
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    graph.push_node(Node {
        name: graph.value(ids[0]).name.clone(),
        op_type: op_type.to_owned(),
        inputs: inputs.iter().copied().map(Some).collect(),
        outputs: ids.iter().copied().map(Some).collect(),
        attributes: Attributes(attributes),
    });
    ids
}

fn node(graph: &mut Graph, op_type: &str, inputs: &[ValueId], attributes: &[(&str, Attribute)]) -> ValueId {
    nodes(graph, op_type, inputs, attributes, 1)[0]
}

fn ints(graph: &mut Graph, values: &[i64]) -> ValueId {
    graph.add_constant("ints", Tensor::vector_i64(values))
}

/// `Flatten → Gemm` with [`weights`].
fn head(graph: &mut Graph, x: ValueId) -> ValueId {
    let flat = node(graph, "Flatten", &[x], &[]);
    product(graph, flat)
}

fn product(graph: &mut Graph, flat: ValueId) -> ValueId {
    let weights = graph.add_constant("weights", Tensor::from_f32(&[CLASSES, PIXELS], &weights()));
    node(graph, "Gemm", &[flat, weights], &[("transB", 1_i64.into())])
}

/// `x` with its columns in the other order.
fn flipped(graph: &mut Graph, x: ValueId) -> ValueId {
    let [starts, ends, axes, steps] = [-1, i64::MIN + 1, 3, -1].map(|value| ints(graph, &[value]));
    node(graph, "Slice", &[x, starts, ends, axes, steps], &[])
}

const DYNAMIC: [usize; 4] = [0, 3, SIDE, SIDE];

fn has_warning(report: &Report, wanted: &Warning) -> bool {
    report.warnings.iter().any(|notice| notice.warning == *wanted)
}

#[test]
fn inputs_that_nothing_reads() {
    let linear = Linear::new(&weights(), &DYNAMIC, |graph, x| {
        let phase = TensorType { dtype: DataType::Bool, shape: Shape::default() };
        let phase = graph.add_value("keras_learning_phase", Some(phase)).unwrap();
        graph.add_input(phase);
        head(graph, x)
    });
    linear.assert_exact(&[]);
}

#[test]
fn a_batch_of_seven_that_a_reshape_states() {
    let linear = Linear::new(&weights(), &[7, 3, SIDE, SIDE], |graph, x| {
        let target = ints(graph, &[7, -1]);
        let flat = node(graph, "Reshape", &[x, target], &[]);
        product(graph, flat)
    });
    let report = linear.assert_exact(&[]);
    assert!(has_warning(&report, &Warning::Rebatched), "{:?}", report.warnings);
}

/// Adds a constant for each of four images.
fn with_row_constants(graph: &mut Graph, x: ValueId, constant: &[f32]) -> ValueId {
    let constant = graph.add_constant("rows", Tensor::from_f32(&[4, 1, 1, SIDE], constant));
    let joined = node(graph, "Concat", &[x, x], &[("axis", 2_i64.into())]);
    let [starts, ends, axes] = [0, SIDE as i64, 2].map(|value| ints(graph, &[value]));
    let first = node(graph, "Slice", &[joined, starts, ends, axes], &[]);
    let sum = node(graph, "Add", &[first, constant], &[]);
    head(graph, sum)
}

#[test]
fn a_batch_of_four_that_cannot_be_changed() {
    let linear = Linear::new(&weights(), &[4, 3, SIDE, SIDE], |graph, x| {
        with_row_constants(graph, x, &[0.0; 4 * SIDE])
    });
    let report = linear.assert_exact(&[]);
    assert!(has_warning(&report, &Warning::FixedBatch { rows: 4 }), "{:?}", report.warnings);
    linear
        .run(&["--batch", "8"])
        .code(2)
        .stderr(contains("--batch: the model takes 4 images at a time, not 8"));
}

#[test]
fn images_that_depend_on_their_place_in_a_fixed_batch_are_refused() {
    let constant: Vec<f32> = (0..4 * SIDE).map(|index| index as f32).collect();
    let linear =
        Linear::new(&weights(), &[4, 3, SIDE, SIDE], |graph, x| with_row_constants(graph, x, &constant));
    linear.run(&[]).code(3).stderr(contains("the logits of an image depend on the others"));
}

#[test]
fn sequences_of_channels() {
    let linear = Linear::new(&weights(), &DYNAMIC, |graph, x| {
        let channels = node(graph, "SplitToSequence", &[x], &[("axis", 1_i64.into())]);
        let parts: Vec<ValueId> = (0..3)
            .map(|index| {
                let index = graph.add_constant("index", Tensor::from_i64(&[], &[index]));
                node(graph, "SequenceAt", &[channels, index], &[])
            })
            .collect();
        let joined = node(graph, "Concat", &parts, &[("axis", 1_i64.into())]);
        head(graph, joined)
    });
    linear.assert_exact(&[]);
}

/// A grid of the centres of the pixels, from right to left.
#[test]
fn a_grid_that_mirrors() {
    let place = |index: usize| (2 * index + 1) as f32 / SIDE as f32 - 1.0;
    let grid: Vec<f32> =
        (0..SIDE * SIDE).flat_map(|pixel| [-place(pixel % SIDE), place(pixel / SIDE)]).collect();
    let linear = Linear::new(&mirrored(&weights()), &DYNAMIC, |graph, x| {
        let grid = graph.add_constant("grid", Tensor::from_f32(&[1, SIDE, SIDE, 2], &grid));
        let shape = node(graph, "Shape", &[x], &[]);
        let first = ints(graph, &[0]);
        let batch = node(graph, "Gather", &[shape, first], &[]);
        let rest = ints(graph, &[SIDE as i64, SIDE as i64, 2]);
        let target = node(graph, "Concat", &[batch, rest], &[("axis", 0_i64.into())]);
        let grid = node(graph, "Expand", &[grid, target], &[]);
        let sampled = node(graph, "GridSample", &[x, grid], &[]);
        head(graph, sampled)
    });
    linear.assert_exact(&[]);
}

/// The mean over an image and its mirror image, which stand behind each other in the batch.
#[test]
fn test_time_flips_in_the_batch() {
    let mean: Vec<f32> =
        weights().iter().zip(mirrored(&weights())).map(|(weight, other)| (weight + other) / 2.0).collect();
    let linear = Linear::new(&mean, &DYNAMIC, |graph, x| {
        let mirror = flipped(graph, x);
        let both = node(graph, "Concat", &[x, mirror], &[("axis", 0_i64.into())]);
        let logits = head(graph, both);
        let halves = nodes(graph, "Split", &[logits], &[("axis", 0_i64.into())], 2);
        node(graph, "Mean", &halves, &[])
    });
    let report = linear.assert_exact(&[]);
    let mixes =
        |notice: &mimir_runtime::report::Notice| matches!(notice.warning, Warning::MixesImages { .. });
    assert!(!report.warnings.iter().any(mixes), "{:?}", report.warnings);
}

#[test]
fn the_shape_of_an_image_that_fits_neither_images_nor_model_is_a_usage_error() {
    let linear = Linear::new(&weights(), &DYNAMIC, head);
    linear.assert_exact(&["--input-shape", "3,4,4"]);
    let expected =
        "--input-shape: an image is said to be 3 × 8 × 8 (channels, height, width), but the images are";
    linear.run(&["--input-shape", "3,8,8"]).code(2).stderr(contains(expected));
}
