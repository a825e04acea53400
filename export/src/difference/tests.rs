use super::{Difference, compare};
use crate::graph::{Attribute, Graph};
use crate::onnx::listing::{Listing, read_listing_bytes};
use crate::onnx::{Limits, write_model};
use crate::tensor::Tensor;
use crate::testing::{add, push};

fn listing(graph: &Graph) -> Listing {
    read_listing_bytes(write_model(graph).unwrap().into(), None, &Limits::default()).unwrap()
}

fn difference(before: &Graph, after: &Graph, tolerance: f64) -> Difference {
    compare(&listing(before), &listing(after), tolerance)
}

/// `relu(x·w) + b`, softmax; `extra` puts an Identity in front, `base` begins the names of inner values.
fn sample(weights: &[f32], extra: bool, base: &str) -> Graph {
    let mut graph = Graph::new("test", 17);
    let x = add(&mut graph, "f32[N, 2]").unwrap();
    let x = if extra { push(&mut graph, "Identity", &[x], "") } else { x };
    let w = graph.add_constant(&format!("{base}w"), Tensor::from_f32(&[2, 2], weights));
    let b = graph.add_constant(&format!("{base}b"), Tensor::from_f32(&[2], &[0.5, 0.25]));
    let product = push(&mut graph, "MatMul", &[x, w], "");
    let sum = push(&mut graph, "Add", &[product, b], "");
    let result = push(&mut graph, "Softmax", &[sum], "axis=-1");
    graph.rename(product, &format!("{base}product")).unwrap();
    graph.rename(sum, &format!("{base}sum")).unwrap();
    graph.rename(result, "y").unwrap();
    graph.add_output(result);
    graph
}

const WEIGHTS: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

#[test]
fn a_model_equals_itself() {
    let graph = sample(&WEIGHTS, false, "");
    let found = difference(&graph, &graph, 0.0);
    assert!(found.equal, "{found}");
    assert_eq!((found.nodes.equal, found.weights.equal, found.renamed.len()), (3, 2, 0));
}

#[test]
fn weights_differ_by_number() {
    let (before, after) = (sample(&WEIGHTS, false, ""), sample(&[1.0, 2.5, 3.0, 3.75], false, ""));
    let found = difference(&before, &after, 0.0);
    assert!(!found.equal);
    let elements = found.weights.changed[0].elements.unwrap();
    assert_eq!((elements.largest, elements.mean), (0.5, 0.1875));
    assert_eq!((elements.different, elements.elements, elements.not_finite), (2, 4, 0));
    assert!(difference(&before, &after, 0.5).equal && !difference(&before, &after, 0.49).equal);
    let text = found.to_string();
    let line = "  ~ %w: f32[2, 2]  largest difference 5.000e-1, mean 1.875e-1, 2 of 4 elements differ\n";
    assert!(text.starts_with("different\n") && text.contains(line), "{text}");
}

#[test]
fn no_tolerance_covers_nan_or_infinities() {
    let before = sample(&WEIGHTS, false, "");
    for number in [f32::NAN, f32::INFINITY] {
        let found = difference(&before, &sample(&[1.0, number, 3.0, 4.0], false, ""), 1e9);
        assert!(!found.equal);
        assert_eq!(found.weights.changed[0].elements.unwrap().not_finite, 1);
    }
}

#[test]
fn other_names_of_inner_values_do_not_count() {
    let found = difference(&sample(&WEIGHTS, false, ""), &sample(&WEIGHTS, false, "val_"), 0.0);
    assert!(found.equal, "{found}");
    let names = found.renamed.iter().map(|(before, after)| format!("{before} {after}"));
    assert_eq!(names.collect::<Vec<_>>(), ["b val_b", "product val_product", "sum val_sum", "w val_w"]);
}

#[test]
fn swapped_weights_of_one_type_do_count() {
    let graph = |first: &str, second: &str| {
        let mut graph = Graph::new("test", 17);
        let x = add(&mut graph, "f32[N, 2]").unwrap();
        let values = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]];
        let w = [first, second].map(|name| (name, values[usize::from(name == "b")]));
        let [w, v] = w.map(|(name, values)| graph.add_constant(name, Tensor::from_f32(&[2, 2], &values)));
        let product = push(&mut graph, "MatMul", &[x, w], "");
        let product = push(&mut graph, "MatMul", &[product, v], "");
        graph.add_output(product);
        graph
    };
    let found = difference(&graph("a", "b"), &graph("b", "a"), 0.0);
    assert!(!found.equal);
    assert_eq!((found.weights.equal, found.nodes.changed.len()), (2, 2), "{found}");
}

#[test]
fn added_removed_and_changed_nodes_are_named() {
    let (plain, longer) = (sample(&WEIGHTS, false, ""), sample(&WEIGHTS, true, ""));
    let found = difference(&plain, &longer, 0.0);
    assert_eq!(found.nodes.added, ["%identity: f32[N, 2] = Identity(%input)".replace(": f32[N, 2]", "")]);
    assert_eq!(found.nodes.changed[0].changes[0].what, "inputs");
    assert_eq!(difference(&longer, &plain, 0.0).nodes.removed.len(), 1);

    let mut changed = plain.clone();
    let mut nodes = changed.nodes().to_vec();
    nodes[2].attributes.0.insert("axis".to_owned(), Attribute::Int(0));
    changed.set_nodes(nodes);
    let found = difference(&plain, &changed, 0.0);
    assert!(found.to_string().contains("  ~ %y (Softmax)\n      attribute axis: -1 → 0\n"), "{found}");
}

#[test]
fn interface_and_opset_count() {
    let before = sample(&WEIGHTS, false, "");
    let mut after = before.clone();
    after.opset = 18;
    after.rename(after.outputs()[0], "logits").unwrap();
    let found = difference(&before, &after, 0.0);
    let what: Vec<&str> = found.model.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(what, ["opset", "output 0"], "{found}");
}

#[test]
fn shapes_that_differ_are_shown_without_numbers() {
    let before = sample(&WEIGHTS, false, "");
    let mut after = before.clone();
    let w = after.find("w").unwrap();
    after.set_constant(w, Tensor::from_f32(&[2, 3], &[0.0; 6]));
    let found = difference(&before, &after, 0.0);
    let weight = &found.weights.changed[0];
    assert_eq!(
        (weight.before.as_str(), weight.after.as_str(), weight.elements),
        ("f32[2, 2]", "f32[2, 3]", None)
    );
}

/// Consumers validate against the committed schema: it changes only together with [`Difference::VERSION`].
#[test]
fn the_committed_schema_is_that_of_the_type() {
    crate::testing::assert_schema::<Difference>("diff.schema.json");
}
