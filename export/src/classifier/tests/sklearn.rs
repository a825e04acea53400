//! Files of scikit-learn's converter, against scikit-learn in float64 and ONNX Runtime on the files themselves.

use std::path::{Path, PathBuf};

use mimir_bundle::{ImageShape, Loss, OutputKind, tensor_names};
use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};
use ndarray_npy::{NpzReader, ReadableElement};

use crate::onnx::{Limits, read_model};
use crate::{ImageClassifier, InputSpec, Result};

const IMAGE: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };
const PIXELS: usize = 64;

const FILES: [&str; 25] = [
    "discriminant",
    "imputed_logistic",
    "l1_logistic",
    "l2_logistic",
    "linear_svc",
    "linear_svc_binary",
    "logistic_binary",
    "logistic_scores",
    "logistic_tensor",
    "logistic_words",
    "max_logistic",
    "minmax_mlp",
    "mlp_binary",
    "mlp_words",
    "naive_bayes",
    "one_against_rest",
    "pca_mlp",
    "ridge_binary",
    "sgd",
    "sgd_binary",
    "standard_logistic",
    "svc_linear",
    "svc_poly",
    "svc_rbf_binary",
    "svc_sigmoid_binary",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/fixtures/sklearn")
}

fn classifier(name: &str) -> Result<ImageClassifier> {
    let file = read_model(&folder().join(format!("{name}.onnx")), &Limits::default())?;
    ImageClassifier::new(file, &InputSpec { image: Some(IMAGE), ..InputSpec::default() })
}

/// What `scripts/reference/sklearn_fixtures.py` stored.
struct Reference {
    images: Vec<f32>,
    labels: Vec<i64>,
    probabilities: bool,
    scores: Vec<f64>,
    predicted: Vec<i64>,
    gradient: Vec<f64>,
    original: Vec<f32>,
}

impl Reference {
    fn read(name: &str) -> Self {
        let file = std::fs::File::open(folder().join(format!("{name}.npz"))).unwrap();
        let mut npz = NpzReader::new(file).unwrap();
        let probabilities: Vec<i64> = array(&mut npz, "probabilities");
        Self {
            images: array(&mut npz, "images"),
            labels: array(&mut npz, "labels"),
            probabilities: probabilities == [1],
            scores: array(&mut npz, "scores"),
            predicted: array(&mut npz, "predicted"),
            gradient: array(&mut npz, "gradient"),
            original: array(&mut npz, "original"),
        }
    }

    fn classes(&self) -> usize {
        self.scores.len() / self.labels.len()
    }

    /// What the copies return: the logarithms of probabilities.
    fn logits(&self) -> Vec<f64> {
        self.scores.iter().map(|score| if self.probabilities { score.ln() } else { *score }).collect()
    }
}

fn array<T: ReadableElement>(npz: &mut NpzReader<std::fs::File>, name: &str) -> Vec<T> {
    let array: ndarray::ArrayD<T> = npz.by_name(name).unwrap();
    array.into_raw_vec_and_offset().0
}

fn outputs(bytes: &[u8], reference: &Reference, with_labels: bool) -> Vec<Vec<f32>> {
    let engine = Engine::load(None).unwrap();
    let mut session = RawSession::new(&engine, bytes, SessionOptions::default()).unwrap();
    let count = reference.labels.len();
    let dims = [count, 1, 8, 8];
    assert_eq!(reference.images.len(), count * PIXELS);
    let mut inputs =
        vec![Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(&reference.images) }];
    if with_labels {
        inputs.push(Input {
            name: tensor_names::LABELS,
            dims: &dims[..1],
            data: Data::I64(&reference.labels),
        });
    }
    session.run(&inputs).unwrap().into_iter().map(|output| output.data).collect()
}

/// Relative to the norm of what is wanted.
fn distance(found: &[f32], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let squares: f64 =
        found.iter().zip(wanted).map(|(found, wanted)| (f64::from(*found) - wanted).powi(2)).sum();
    (squares / wanted.iter().map(|wanted| wanted * wanted).sum::<f64>()).sqrt()
}

#[test]
fn logits_and_gradients_are_those_of_scikit_learn_in_float64() {
    for name in FILES {
        let reference = Reference::read(name);
        let mut classifier = classifier(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let saturates = classifier.manifest().output == OutputKind::Saturating;
        if reference.probabilities {
            // What running the model shows, where its operators do not.
            classifier.set_output_kind(OutputKind::Probabilities);
        }
        let forward = outputs(&classifier.forward_onnx().unwrap(), &reference, false).remove(0);
        if saturates && distance(&forward, &reference.logits()) > 1e-4 {
            // A Sigmoid for each class: the scores before it have the same order.
            assert_predicts(&forward, &reference, name);
            continue;
        }
        let gradient = classifier.gradient_onnx(Loss::CrossEntropy).unwrap();
        let gradient = outputs(&gradient, &reference, true).remove(2);
        let errors = [distance(&forward, &reference.logits()), distance(&gradient, &reference.gradient)];
        println!("{name}: logits {:e}, gradient {:e}", errors[0], errors[1]);
        assert!(errors.iter().all(|error| *error < 1e-4), "{name}: {errors:?}");
    }
}

#[test]
fn the_larger_score_of_the_original_is_the_label_of_scikit_learn() {
    for name in FILES {
        let reference = Reference::read(name);
        let classifier = classifier(name).unwrap();
        let scores = outputs(&classifier.original_onnx().unwrap(), &reference, false).remove(0);
        assert_eq!(classifier.manifest().classes, reference.classes(), "{name}");
        assert!(distance(&scores, &reference.scores) < 1e-4, "{name}: {scores:?}");
        assert_predicts(&scores, &reference, name);
    }
}

fn assert_predicts(scores: &[f32], reference: &Reference, name: &str) {
    for (row, predicted) in scores.chunks(reference.classes()).zip(&reference.predicted) {
        let largest = (0..row.len()).max_by(|left, right| row[*left].total_cmp(&row[*right]));
        assert_eq!(largest, usize::try_from(*predicted).ok(), "{name}");
    }
}

#[test]
fn the_original_is_the_file_with_its_own_kernels_to_the_last_bit() {
    // The two whose scores are turned round or completed are compared with scikit-learn alone.
    let unchanged =
        |name: &&str| !name.starts_with("svc_") && !matches!(*name, "linear_svc_binary" | "ridge_binary");
    for name in FILES.into_iter().filter(unchanged) {
        let (classifier, reference) = (classifier(name).unwrap(), Reference::read(name));
        let text = classifier.original.to_string();
        let kernels = ["LinearClassifier", "Scaler", "Normalizer", "Imputer", "ArrayFeatureExtractor"];
        let file = std::fs::read(folder().join(format!("{name}.onnx"))).unwrap();
        let holds = |kernel: &str| file.windows(kernel.len()).any(|window| window == kernel.as_bytes());
        for kernel in kernels.into_iter().filter(|kernel| *kernel != "ArrayFeatureExtractor" && holds(kernel))
        {
            assert!(text.contains(&format!("ai.onnx.ml::{kernel}")), "{name}: {kernel}");
        }
        assert!(!text.contains("ZipMap"), "{name}");
        assert_eq!(
            outputs(&classifier.original_onnx().unwrap(), &reference, false).remove(0),
            reference.original
        );
    }
}

#[test]
fn probabilities_that_are_rounded_to_one_keep_their_gradient() {
    for name in FILES {
        let mut classifier = classifier(name).unwrap();
        if Reference::read(name).probabilities {
            classifier.set_output_kind(OutputKind::Probabilities);
            let text = classifier.simplified().unwrap().to_string();
            // A logarithm of a rounded probability would be a Log of a Clip.
            assert!(!text.contains("Clip"), "{name}: {text}");
        }
    }
}

#[test]
fn the_softmax_of_a_linear_classifier_is_found_behind_its_normalizer() {
    for name in ["standard_logistic", "logistic_words", "logistic_tensor", "discriminant"] {
        let classifier = classifier(name).unwrap();
        assert_eq!(classifier.manifest().output, OutputKind::Probabilities, "{name}");
        assert_eq!(classifier.scan().softmax_outputs.len(), 1, "{name}: {:?}", classifier.scan());
    }
}

#[test]
fn what_is_not_differentiable_or_not_of_classes_is_refused_with_the_way_out() {
    let cases = [
        ("forest", "is an ensemble of decision trees"),
        ("svc_probability", "train with `SVC(probability=False)`"),
        ("svc_pairs", "one score per pair of 3 classes"),
        ("logistic_columns", "the model has 3 outputs (`i0` [N], `i1` [N], `i2` [N]), wanted one"),
    ];
    for (name, message) in cases {
        let error = classifier(name).unwrap_err().to_string();
        assert!(error.contains(message), "{name}: {error}");
    }
}
