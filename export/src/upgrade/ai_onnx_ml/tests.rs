//! The decomposition of each operator against ONNX Runtime's kernel, and attributes that do not fit.

use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};

use super::OPERATORS;
use crate::error::Result;
use crate::graph::{Attribute, Attributes, Graph, Node};
use crate::onnx::write_model;
use crate::testing::add;
use crate::upgrade::upgrade;

type Pairs<'a> = &'a [(&'a str, Attribute)];

fn floats(values: &[f32]) -> Attribute {
    Attribute::Floats(values.to_vec())
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn words(values: &[&str]) -> Attribute {
    Attribute::Texts(values.iter().map(|word| (*word).to_owned()).collect())
}

/// A graph of one such operator; behind the first of `inputs`, which is fed, stand constants.
fn graph(op_type: &str, inputs: &[&str], attributes: Pairs<'_>) -> Graph {
    let mut graph = Graph::new("test", 17);
    let inputs: Vec<_> = inputs.iter().map(|text| add(&mut graph, text)).collect();
    let op_type = format!("ai.onnx.ml::{op_type}");
    let output = OPERATORS.iter().find(|operator| operator.op_type == op_type).unwrap().output;
    let outputs = (0..=output).map(|index| Some(graph.add_fresh_value(&format!("y{index}"), None)));
    let outputs: Vec<_> = outputs.collect();
    graph.add_output(outputs[output].unwrap());
    let attributes =
        Attributes(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
    graph.push_node(Node { name: "node".to_owned(), op_type, inputs, outputs, attributes });
    graph
}

fn run(graph: &Graph, rows: &[Vec<f32>]) -> (Vec<usize>, Vec<f32>) {
    let engine = Engine::load(None).unwrap();
    let model = write_model(graph).unwrap();
    let mut session = RawSession::new(&engine, &model, SessionOptions::default()).unwrap();
    let (dims, data) = ([rows.len(), rows[0].len()], rows.concat());
    let output =
        session.run(&[Input { name: "input", dims: &dims, data: Data::F32(&data) }]).unwrap().remove(0);
    (output.dims, output.data)
}

/// Rows of three features: usual ones, one that is zero, one of negative numbers.
fn rows() -> Vec<Vec<f32>> {
    vec![vec![0.4, -1.5, 2.25], vec![0.0, 0.0, 0.0], vec![-0.25, -3.0, -0.5], vec![0.1, 0.2, 0.3]]
}

/// Fails unless the decomposition gives the results of the kernel.
#[track_caller]
fn assert_same(op_type: &str, inputs: &[&str], attributes: Pairs<'_>, rows: &[Vec<f32>]) -> Vec<f32> {
    let original = graph(op_type, inputs, attributes);
    let decomposed = upgrade(&original).unwrap();
    assert!(decomposed.nodes().iter().all(|node| !node.op_type.contains("::")));
    let ((wanted_dims, wanted), (dims, found)) = (run(&original, rows), run(&decomposed, rows));
    assert_eq!(dims, wanted_dims, "{op_type}");
    for (found, wanted) in found.iter().zip(&wanted) {
        let near = (found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0);
        assert!(near, "{op_type} {attributes:?}: {found} is not {wanted}");
    }
    wanted
}

#[test]
fn a_scaler_has_one_offset_for_all_features_or_one_for_each() {
    let cases = [[floats(&[0.5]), floats(&[2.0])], [floats(&[0.5, -1.0, 2.0]), floats(&[2.0, 0.0, -0.5])]];
    for [offset, scale] in cases {
        assert_same("Scaler", &["f32[N,3]"], &[("offset", offset), ("scale", scale)], &rows());
    }
}

#[test]
fn a_row_whose_norm_is_zero_stays_and_the_largest_element_may_be_negative() {
    for norm in ["L1", "L2", "MAX"] {
        assert_same("Normalizer", &["f32[N,3]"], &[("norm", Attribute::from(norm))], &rows());
    }
    let largest = assert_same("Normalizer", &["f32[N,3]"], &[], &rows());
    assert_eq!(largest[3..9], [0.0, 0.0, 0.0, 1.0, 12.0, 2.0]);
}

/// Two rows of coefficients that are each other's negative and one that is not, for three classes.
fn linear(transform: &str) -> Vec<(&'static str, Attribute)> {
    vec![
        ("coefficients", floats(&[0.25, -0.5, 0.125, 0.1, 0.2, 0.3, 0.0, 0.0, 0.0])),
        ("intercepts", floats(&[0.5, 0.25, 0.0])),
        ("classlabels_ints", ints(&[3, 1, 7])),
        ("post_transform", Attribute::from(transform)),
    ]
}

#[test]
fn every_transform_of_linear_scores_is_that_of_the_kernel() {
    for transform in ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"] {
        // The scores of the third class are zero, which SOFTMAX_ZERO counts as none.
        assert_same("LinearClassifier", &["f32[N,3]"], &linear(transform), &rows());
    }
    let mut attributes = linear("PROBIT");
    // PROBIT wants scores between 0 and 1, and is rounded most near one half.
    attributes[0].1 = floats(&[0.05, -0.02, 0.025, 0.01, 0.02, 0.03, 0.0, 0.05, 0.0]);
    attributes[1].1 = floats(&[0.3, 0.25, 0.75]);
    assert_same("LinearClassifier", &["f32[N,3]"], &attributes, &rows());
}

#[test]
fn classes_may_be_words() {
    let mut attributes = linear("SOFTMAX");
    attributes[2] = ("classlabels_strings", words(&["cat", "dog", "owl"]));
    assert_same("LinearClassifier", &["f32[N,3]"], &attributes, &rows());
}

fn one_row(transform: &str) -> Vec<(&'static str, Attribute)> {
    vec![
        ("coefficients", floats(&[0.25, -0.5, 0.125])),
        ("intercepts", floats(&[0.5])),
        ("classlabels_ints", ints(&[0, 1])),
        ("post_transform", Attribute::from(transform)),
    ]
}

#[test]
fn one_row_for_two_classes_is_a_logistic_score() {
    let scores = assert_same("LinearClassifier", &["f32[N,3]"], &one_row("LOGISTIC"), &rows());
    assert!((scores[0] + scores[1] - 1.0).abs() < 1e-6);
}

#[test]
fn one_row_whose_scores_are_not_its_label_is_refused() {
    for transform in ["NONE", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"] {
        let error = upgrade(&graph("LinearClassifier", &["f32[N,3]"], &one_row(transform))).unwrap_err();
        assert!(error.to_string().contains("so the class with the larger score is not the label"), "{error}");
    }
}

fn machine(kernel: &str, classes: usize) -> Vec<(&'static str, Attribute)> {
    let count = [2, 1, 2];
    let vectors: i64 = count[..classes].iter().sum();
    let number = |index: i64| (index * 37 % 11 - 5) as f32 / 8.0;
    let numbers = |count: usize| floats(&(0..count as i64).map(number).collect::<Vec<f32>>());
    let vectors = vectors as usize;
    vec![
        ("kernel_type", Attribute::from(kernel)),
        ("kernel_params", floats(&[0.25, 0.5, 3.0])),
        ("vectors_per_class", ints(&count[..classes])),
        ("support_vectors", numbers(3 * vectors)),
        ("coefficients", numbers((classes - 1) * vectors)),
        ("rho", numbers(classes * (classes - 1) / 2)),
        ("classlabels_ints", ints(&[4, 5, 6][..classes])),
    ]
}

#[test]
fn every_kernel_of_two_and_of_three_classes_is_that_of_the_kernel_of_onnx_runtime() {
    for kernel in ["LINEAR", "POLY", "RBF", "SIGMOID"] {
        for classes in [2, 3] {
            assert_same("SVMClassifier", &["f32[N,3]"], &machine(kernel, classes), &rows());
        }
    }
}

#[test]
fn probabilities_of_support_vectors_are_refused_with_the_way_out() {
    let mut attributes = machine("RBF", 2);
    attributes.extend([("prob_a", floats(&[1.0])), ("prob_b", floats(&[0.0]))]);
    let error = upgrade(&graph("SVMClassifier", &["f32[N,3]"], &attributes)).unwrap_err().to_string();
    assert_eq!(
        error,
        "node `node` (ai.onnx.ml::SVMClassifier): computes probabilities by an iteration that has no gradient: \
         train with `SVC(probability=False)`"
    );
}

#[test]
fn missing_values_get_the_number_of_their_feature() {
    let cases: [Pairs<'_>; 4] = [
        &[("imputed_value_floats", floats(&[7.0, 8.0, 9.0]))],
        &[("imputed_value_floats", floats(&[7.0])), ("replaced_value_float", Attribute::Float(0.1))],
        // As many as no features: ONNX Runtime takes the first one.
        &[("imputed_value_floats", floats(&[7.0, 8.0])), ("replaced_value_float", Attribute::Float(0.2))],
        &[("imputed_value_floats", floats(&[7.0])), ("replaced_value_float", Attribute::Float(f32::NAN))],
    ];
    for attributes in cases {
        let mut rows = rows();
        if matches!(attributes.last(), Some((_, Attribute::Float(value))) if value.is_nan()) {
            rows[0][1] = f32::NAN;
        }
        let found = assert_same("Imputer", &["f32[N,3]"], attributes, &rows);
        assert!(found.contains(&7.0), "{found:?}");
    }
}

#[test]
fn features_are_chosen_joined_and_compared_as_the_kernels_do() {
    for indices in ["=[1]", "=[2,0,2]"] {
        assert_same("ArrayFeatureExtractor", &["f32[N,3]", indices], &[], &rows());
    }
    assert_same("FeatureVectorizer", &["f32[N,3]"], &[("inputdimensions", ints(&[3]))], &rows());
    assert_same("Binarizer", &["f32[N,3]"], &[("threshold", Attribute::Float(0.2))], &rows());
    assert_same("Binarizer", &["f32[N,3]"], &[], &rows());
}

#[test]
fn inputs_of_a_feature_vectorizer_lie_side_by_side_as_floats() {
    let mut graph = Graph::new("test", 17);
    let x = add(&mut graph, "f32[N,3]");
    let doubles = graph.add_fresh_value("double", None);
    let double = Attributes::from_pairs([("to", Attribute::Int(11))]);
    let cast = "Cast".to_owned();
    graph.push_node(Node {
        name: cast.clone(),
        op_type: cast,
        inputs: vec![x],
        outputs: vec![Some(doubles)],
        attributes: double,
    });
    let y = graph.add_fresh_value("y", None);
    graph.push_node(Node {
        name: "node".to_owned(),
        op_type: "ai.onnx.ml::FeatureVectorizer".to_owned(),
        inputs: vec![Some(doubles); 2],
        outputs: vec![Some(y)],
        attributes: Attributes::from_pairs([("inputdimensions", ints(&[3, 3]))]),
    });
    graph.add_output(y);
    let (wanted, found) = (run(&graph, &rows()), run(&upgrade(&graph).unwrap(), &rows()));
    assert_eq!(found, wanted);
    assert_eq!(found.0, [4, 6]);
}

/// An operator, its attributes, and what is said about them.
struct Hostile {
    op_type: &'static str,
    attributes: Vec<(&'static str, Attribute)>,
    message: &'static str,
}

fn changed(
    op_type: &'static str,
    base: Vec<(&'static str, Attribute)>,
    name: &'static str,
    value: Attribute,
    message: &'static str,
) -> Hostile {
    let mut attributes = base;
    attributes.retain(|(other, _)| *other != name);
    attributes.push((name, value));
    Hostile { op_type, attributes, message }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line for each attribute and what is wrong with it")]
fn attributes_that_do_not_fit_are_errors() {
    let scaler = || vec![("offset", floats(&[0.5; 3])), ("scale", floats(&[0.5; 3]))];
    let cases = [
        changed("Scaler", scaler(), "scale", floats(&[]), "no attribute `scale`"),
        changed("Scaler", scaler(), "offset", floats(&[1.0]), "`offset` has 1 numbers, wanted 3"),
        changed("Scaler", scaler(), "offset", ints(&[1]), "attribute `offset` is an INTS, wanted a FLOATS"),
        changed("Scaler", scaler(), "scale", floats(&[1.0, f32::NAN, 1.0]), "holds NaN"),
        Hostile {
            op_type: "Scaler",
            attributes: vec![("offset", floats(&[0.5; 2])), ("scale", floats(&[0.5; 2]))],
            message: "`scale` has 2 numbers, wanted 3",
        },
        changed("Normalizer", vec![], "norm", Attribute::from("L3"), "`norm` is `L3`"),
        changed(
            "LinearClassifier",
            linear("NONE"),
            "coefficients",
            floats(&[0.0; 8]),
            "has 8 numbers, wanted 9",
        ),
        changed("LinearClassifier", linear("NONE"), "intercepts", floats(&[]), "has 0 numbers, wanted 3"),
        changed("LinearClassifier", linear("NONE"), "classlabels_ints", ints(&[]), "has neither"),
        changed("LinearClassifier", linear("SIGMOID"), "multi_class", Attribute::Int(1), "is `SIGMOID`"),
        changed("SVMClassifier", machine("RBF", 3), "vectors_per_class", ints(&[1, -1, 4]), "is negative"),
        changed(
            "SVMClassifier",
            machine("RBF", 3),
            "vectors_per_class",
            ints(&[i64::MAX; 3]),
            "no support vectors",
        ),
        changed("SVMClassifier", machine("RBF", 3), "vectors_per_class", ints(&[0; 3]), "no support vectors"),
        changed(
            "SVMClassifier",
            machine("RBF", 3),
            "vectors_per_class",
            ints(&[2, 2]),
            "has 2 numbers, wanted 3",
        ),
        changed(
            "SVMClassifier",
            machine("RBF", 3),
            "support_vectors",
            floats(&[1.0]),
            "has 1 numbers, wanted 15",
        ),
        changed(
            "SVMClassifier",
            machine("RBF", 3),
            "coefficients",
            floats(&[1.0]),
            "has 1 numbers, wanted 10",
        ),
        changed("SVMClassifier", machine("RBF", 3), "rho", floats(&[1.0]), "has 1 numbers, wanted 3"),
        changed(
            "SVMClassifier",
            machine("RBF", 3),
            "kernel_params",
            floats(&[1.0]),
            "has 1 numbers, wanted 3",
        ),
        changed("SVMClassifier", machine("CHI2", 3), "multi_class", Attribute::Int(1), "is `CHI2`"),
        changed(
            "SVMClassifier",
            machine("RBF", 3),
            "classlabels_ints",
            ints(&[1]),
            "has 3 numbers, wanted 1",
        ),
        changed(
            "SVMClassifier",
            machine("RBF", 3),
            "post_transform",
            Attribute::from("LOGISTIC"),
            "of pairs",
        ),
        changed("Imputer", vec![], "imputed_value_int64s", ints(&[1]), "imputes f32, wanted"),
        changed("FeatureVectorizer", vec![], "inputdimensions", ints(&[4]), "has 3 features, but"),
        changed("FeatureVectorizer", vec![], "inputdimensions", ints(&[-3]), "has 3 features, but"),
        changed("FeatureVectorizer", vec![], "inputdimensions", ints(&[]), "has 0 numbers, wanted 1"),
    ];
    for Hostile { op_type, attributes, message } in cases {
        let error = upgrade(&graph(op_type, &["f32[N,3]"], &attributes)).unwrap_err().to_string();
        assert!(error.contains(message), "{op_type}: {error}");
        assert!(error.starts_with("node `node`"), "{op_type}: {error}");
    }
}

#[test]
fn indices_that_are_outside_or_computed_are_errors() {
    let extracted = |indices: &str| -> Result<Graph> {
        upgrade(&graph("ArrayFeatureExtractor", &["f32[N,3]", indices], &[]))
    };
    for indices in ["=[3]", "=[-1]", "=[]"] {
        assert!(extracted(indices).unwrap_err().to_string().contains("its indices are ["), "{indices}");
    }
    assert!(extracted("i64[N]").unwrap_err().to_string().contains("computed at run time"));
}

#[test]
fn images_that_are_no_rows_of_features_are_an_error() {
    for op_type in ["Scaler", "Normalizer", "LinearClassifier", "SVMClassifier"] {
        let error = upgrade(&graph(op_type, &["f32[N,1,3]"], &[])).unwrap_err().to_string();
        assert!(error.contains("wanted one row of features for each image, [N, F]"), "{error}");
    }
}
