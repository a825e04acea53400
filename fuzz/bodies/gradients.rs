//! Gradients of composed graphs against differences, taken in float64 by the file's own numbers.

use std::sync::OnceLock;

use mimir_bundle::{Loss, tensor_names};
use mimir_export::ImageClassifier;
use mimir_export::onnx::write_model;
use mimir_runtime::session::{Data, Engine, EngineError, Input, RawSession, SessionOptions};

use super::graphs::{Freedom, composed};
use super::onnx;

/// Directions in which the derivative is compared.
const DIRECTIONS: usize = 4;

/// Half the width of a difference, and of a second that tells kinks and curvature.
const STEPS: [f32; 2] = [1.0 / 128.0, 1.0 / 512.0];

/// The gradient of the margin `z_y - max z_j` at one image, and the differences of that margin in float64.
pub(crate) fn run(bytes: &[u8]) {
    let Some(graph) = composed(bytes, Freedom::Differentiable) else { return };
    let file = write_model(&graph).expect("a composed graph can be written");
    let read = onnx::model(&file).expect("a composed graph can be read");
    let Some(classifier) = onnx::every_graph(read) else { return };
    let Some(case) = Case::new(&classifier, bytes) else { return };
    let Some((gradient, label)) = case.gradient() else { return };
    for direction in 0..DIRECTIONS {
        case.compare(&gradient, label, direction);
    }
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::load(None).expect("MIMIR_ORT_DYLIB names ONNX Runtime"))
}

fn session(model: &[u8]) -> Result<RawSession, EngineError> {
    RawSession::new(engine(), model, SessionOptions::default())
}

struct Case<'c> {
    classifier: &'c ImageClassifier,
    dims: [usize; 3],
    classes: usize,
    image: Vec<f32>,
    margins: Vec<u8>,
}

impl<'c> Case<'c> {
    fn new(classifier: &'c ImageClassifier, bytes: &[u8]) -> Option<Self> {
        let manifest = classifier.manifest();
        let dims = [manifest.image.channels, manifest.image.height, manifest.image.width];
        let seed =
            bytes.iter().fold(7_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        let image = uniform(seed, dims.iter().product());
        let image = image.into_iter().map(|value| 0.1 + 0.8 * value).collect();
        // An operator that takes no float64: nothing to compare with.
        let margins = classifier.margin_onnx().ok()?;
        Some(Self { classifier, dims, classes: manifest.classes, image, margins })
    }

    /// The gradient that attacks follow, and the label whose margin it is of; none where the logits are not finite, or
    /// two of the others are nearly the same, so that the greater is a matter of rounding.
    fn gradient(&self) -> Option<(Vec<f32>, usize)> {
        let model = self.classifier.gradient_onnx(Loss::Margin).ok()?;
        let mut session = session(&model).expect("an engine takes a gradient graph");
        let logits = self.run(&mut session, tensor_names::LOGITS, &vec![0.0; self.classes])?;
        if logits.iter().any(|logit| !logit.is_finite() || logit.abs() > 1e4) {
            return None;
        }
        let label = 0;
        let mut others: Vec<usize> = (1..self.classes).collect();
        others.sort_by(|one, other| logits[*other].total_cmp(&logits[*one]));
        if let [first, second, ..] = others[..]
            && logits[first] - logits[second] < 1e-2 * (1.0 + logits[first].abs())
        {
            return None;
        }
        let mut cotangent = vec![0.0; self.classes];
        cotangent[label] = 1.0;
        cotangent[others[0]] = -1.0;
        let gradient = self.run(&mut session, tensor_names::IMAGES_GRADIENT, &cotangent)?;
        gradient.iter().all(|value| value.is_finite()).then_some((gradient, label))
    }

    fn run(&self, session: &mut RawSession, output: &str, cotangent: &[f32]) -> Option<Vec<f32>> {
        let [channels, height, width] = self.dims;
        let outputs = session.run(&[
            Input {
                name: tensor_names::IMAGES,
                dims: &[1, channels, height, width],
                data: Data::F32(&self.image),
            },
            Input { name: tensor_names::COTANGENT, dims: &[1, self.classes], data: Data::F32(cotangent) },
        ]);
        let outputs = outputs.expect("a gradient graph runs");
        outputs.into_iter().find(|found| found.name == output).map(|found| found.data)
    }

    fn compare(&self, gradient: &[f32], label: usize, direction: usize) {
        let along: Vec<f32> = uniform(direction as u64 + 11, gradient.len())
            .into_iter()
            .map(|value| (2.0 * value - 1.0).signum() * f32::from(value > 0.2))
            .collect();
        let Some(slopes) = self.slopes(&along, label) else { return };
        let products = gradient.iter().zip(&along).map(|(slope, step)| f64::from(slope * step));
        let (found, size) = products.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
        let Slopes { central, curved, scale } = slopes;
        let tolerance = 1e-2 * central.abs() + 2e-3 * size + 1e-3 * scale + curved;
        assert!(
            (found - central).abs() <= tolerance,
            "direction {direction}: the gradient says {found}, differences {central} ± {tolerance}"
        );
    }

    /// The derivative of the margin along a direction; none at a kink, or where the graph cannot be run in float64.
    fn slopes(&self, along: &[f32], label: usize) -> Option<Slopes> {
        let mut points = self.image.clone();
        for step in STEPS {
            for sign in [step, -step] {
                points.extend(self.image.iter().zip(along).map(|(value, by)| value + sign * by));
            }
        }
        let rows = 1 + 2 * STEPS.len();
        let [channels, height, width] = self.dims;
        let labels = vec![label as i64; rows];
        let mut session = session(&self.margins).ok()?;
        let outputs = session.run(&[
            Input {
                name: tensor_names::IMAGES,
                dims: &[rows, channels, height, width],
                data: Data::F32(&points),
            },
            Input { name: tensor_names::LABELS, dims: &[rows], data: Data::I64(&labels) },
        ]);
        let margins: Vec<f64> = outputs.ok()?.into_iter().next()?.data.into_iter().map(f64::from).collect();
        if margins.iter().any(|margin| !margin.is_finite()) {
            return None;
        }
        let [wide, near] = STEPS.map(f64::from);
        let slope = |above: f64, below: f64, width: f64| (above - below) / width;
        let (first, second) =
            (slope(margins[1], margins[2], 2.0 * wide), slope(margins[3], margins[4], 2.0 * near));
        let (right, left) = (slope(margins[3], margins[0], near), slope(margins[0], margins[4], near));
        // Margins are rounded to float32 once.
        let scale = margins[0].abs().max(1.0) * f64::from(f32::EPSILON) / near * 1e3;
        let size = first.abs().max(second.abs()).max(right.abs()).max(left.abs());
        let curved = (first - second).abs();
        let is_kink = (right - left).abs() > 0.05 * size + scale || curved > 0.02 * size + scale;
        (!is_kink).then_some(Slopes { central: (16.0 * second - first) / 15.0, curved, scale })
    }
}

struct Slopes {
    /// Central difference, extrapolated.
    central: f64,
    /// What the width changes.
    curved: f64,
    /// What rounding changes.
    scale: f64,
}

/// Numbers in [0, 1), the same for the same seed.
fn uniform(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        // xorshift64*, Vigna 2016.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1_u64 << 24) as f32
    };
    (0..count).map(|_| next()).collect()
}
