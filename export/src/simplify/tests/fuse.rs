//! Operators that have kernels take the place of standard ones, and the numbers stay.

use super::*;
use crate::autodiff::kernels::{
    GELU, GELU_GRADIENT, LAYER_NORMALIZATION_GRADIENT, RESIDUAL_LAYER_NORMALIZATION, SOFTMAX,
};
use crate::simplify::fuse::fuse;
use crate::tensor::Tensor;

/// Fuses a copy of a graph at the working opset, compares its results through ONNX Runtime, and returns it.
fn fused(file: &Graph) -> Graph {
    let before = upgrade(file).unwrap();
    let mut graph = before.clone();
    fuse(&mut graph);
    assert_equal_results(&before, &graph, 1e-5);
    graph
}

/// `f(x·W + bias)` of rows, with attributes of the Gemm.
fn activated(graph: &mut Graph, x: ValueId, bias: &str, gemm: &str) -> [ValueId; 2] {
    let (weights, bias) = (constant(graph, "#[4,6]"), constant(graph, bias));
    let product = push(graph, "Gemm", &[x, weights, bias], gemm);
    [product, push(graph, "Gelu", &[product], "")]
}

fn inputs(graph: &Graph, op_type: &str) -> Vec<usize> {
    graph.nodes().iter().filter(|node| node.op_type == op_type).map(|node| node.inputs.len()).collect()
}

#[test]
fn a_gelu_takes_the_bias_of_the_layer_before_it() {
    let file = graph(20, "f32[N,4]", |graph, x| activated(graph, x, "#[6]", "")[1]);
    let graph = fused(&file);
    assert_eq!(operators(&graph), ["Gemm", GELU]);
    assert_eq!((inputs(&graph, "Gemm"), inputs(&graph, GELU)), (vec![2], vec![2]));
}

#[test]
fn a_bias_that_is_no_row_or_is_read_elsewhere_stays_where_it_is() {
    for (name, bias, gemm) in
        [("halved", "#[6]", "beta=0.5"), ("a matrix", "#[1,6]", ""), ("a number", "#[1]", "")]
    {
        let graph = fused(&graph(20, "f32[N,4]", |graph, x| activated(graph, x, bias, gemm)[1]));
        assert_eq!((inputs(&graph, "Gemm"), inputs(&graph, GELU)), (vec![3], vec![1]), "{name}");
    }
    let read_twice = graph(20, "f32[N,4]", |graph, x| {
        let [product, gelu] = activated(graph, x, "#[6]", "");
        push(graph, "Add", &[product, gelu], "")
    });
    assert_eq!(inputs(&fused(&read_twice), "Gemm"), [3]);
    let read_outside = graph(20, "f32[N,4]", |graph, x| {
        let [product, gelu] = activated(graph, x, "#[6]", "");
        graph.add_output(product);
        gelu
    });
    assert_eq!(inputs(&fused(&read_outside), "Gemm"), [3]);
    let no_layer = graph(20, "f32[N,4]", |graph, x| {
        let tanh = push(graph, "Tanh", &[x], "");
        push(graph, "Gelu", &[tanh], "")
    });
    assert_eq!(operators(&fused(&no_layer)), ["Tanh", GELU]);
}

#[test]
fn gradients_of_a_gelu_are_products_with_its_slope() {
    let file = graph(20, "f32[N,4]", |graph, x| {
        let [product, gelu] = activated(graph, x, "#[6]", "");
        let first = push(graph, GELU_GRADIENT, &[gelu, product], "");
        let second = push(graph, GELU_GRADIENT, &[first, product], "");
        push(graph, "Add", &[first, second], "")
    });
    let graph = fused(&file);
    assert_eq!(operators(&graph), ["Gemm", GELU, "Mul", "Mul", "Add"]);
    assert_eq!(inputs(&graph, "Gemm"), [2]);
    let other_function = graph_with_the_tanh_form();
    assert_eq!(operators(&fused(&other_function)), ["Gelu", "Relu"]);
}

fn graph_with_the_tanh_form() -> Graph {
    graph(20, "f32[N,4]", |graph, x| {
        let gelu = push(graph, "Gelu", &[x], "approximate=tanh");
        push(graph, "Relu", &[gelu], "")
    })
}

#[test]
fn a_softmax_over_the_last_axis_has_a_kernel() {
    for (axis, wanted) in [("", SOFTMAX), ("axis=-1", SOFTMAX), ("axis=2", SOFTMAX), ("axis=1", "Softmax")] {
        let file = graph(20, "f32[N,3,37]", |graph, x| push(graph, "Softmax", &[x], axis));
        assert_eq!(operators(&fused(&file)), [wanted], "{axis}");
    }
}

/// `x + (x·W + bias)` of tokens, the layer as rows, and its LayerNormalization.
fn stream(graph: &mut Graph, x: ValueId, scale: fn(&mut Graph) -> ValueId, attributes: &str) -> [ValueId; 2] {
    let (rows, tokens) = (constant(graph, "=[-1,4]"), constant(graph, "=[-1,3,4]"));
    let (weights, bias) = (constant(graph, "#[4,4]"), constant(graph, "#[4]"));
    let flat = push(graph, "Reshape", &[x, rows], "");
    let product = push(graph, "Gemm", &[flat, weights, bias], "");
    let branch = push(graph, "Reshape", &[product, tokens], "");
    let sum = push(graph, "Add", &[branch, x], "");
    let scale = scale(graph);
    [sum, push(graph, "LayerNormalization", &[sum, scale], attributes)]
}

/// A scale that changes nothing.
fn ones(graph: &mut Graph) -> ValueId {
    graph.add_constant("ones", Tensor::from_f32(&[4], &[1.0; 4]))
}

#[test]
fn a_residual_sum_and_its_normalisation_are_one_node_with_the_bias_of_the_branch() {
    for (attributes, read_twice) in [("", false), ("epsilon=0.5 axis=2", true)] {
        let file = graph(20, "f32[N,3,4]", |graph, x| {
            let [sum, normal] = stream(graph, x, ones, attributes);
            if read_twice {
                push(graph, "Add", &[normal, sum], "")
            } else {
                push(graph, "Tanh", &[normal], "")
            }
        });
        let graph = fused(&file);
        let last = if read_twice { "Add" } else { "Tanh" };
        assert_eq!(operators(&graph), ["Reshape", "Gemm", "Reshape", RESIDUAL_LAYER_NORMALIZATION, last]);
        assert_eq!(
            (inputs(&graph, "Gemm"), inputs(&graph, RESIDUAL_LAYER_NORMALIZATION)),
            (vec![2], vec![3])
        );
    }
}

#[test]
fn sums_that_are_normalised_otherwise_stay() {
    let built = |build: &dyn Fn(&mut Graph, ValueId) -> ValueId| {
        let graph = fused(&graph(20, "f32[N,3,4]", build));
        assert!(!operators(&graph).contains(&RESIDUAL_LAYER_NORMALIZATION), "{graph}");
    };
    built(&|graph, x| stream(graph, x, |graph| constant(graph, "#[4]"), "")[1]);
    built(&|graph, x| stream(graph, x, ones, "axis=1")[1]);
    // A row that all tokens share is no stream.
    built(&|graph, x| {
        let (row, scale) = (constant(graph, "#[1,1,4]"), ones(graph));
        let sum = push(graph, "Add", &[x, row], "");
        push(graph, "LayerNormalization", &[sum, scale], "")
    });
    // Somebody reads the means.
    built(&|graph, x| {
        let sum = push(graph, "Add", &[x, x], "");
        let scale = ones(graph);
        let outputs = push_all(graph, "LayerNormalization", &[Some(sum), Some(scale)], "", 2);
        push(graph, "Sub", &[outputs[0], outputs[1]], "")
    });
}

#[test]
fn a_sum_without_a_layer_before_it_is_normalised_without_a_bias() {
    let file = graph(20, "f32[N,3,4]", |graph, x| {
        let (exp, scale) = (push(graph, "Exp", &[x], ""), ones(graph));
        let sum = push(graph, "Add", &[x, exp], "");
        let normal = push(graph, "LayerNormalization", &[sum, scale], "");
        let again = push(graph, "LayerNormalization", &[sum, scale], "");
        push(graph, "Mul", &[normal, again], "")
    });
    let graph = fused(&file);
    assert_eq!(operators(&graph), ["Exp", RESIDUAL_LAYER_NORMALIZATION, "LayerNormalization", "Mul"]);
    assert_eq!(inputs(&graph, RESIDUAL_LAYER_NORMALIZATION), [2]);
}

#[test]
fn what_comes_around_a_layer_is_added_to_its_gradient_where_that_is_made() {
    let gradient = |graph: &mut Graph, x: ValueId| {
        let scale = ones(graph);
        let outputs = push_all(graph, "LayerNormalization", &[Some(x), Some(scale)], "", 3);
        let exp = push(graph, "Exp", &[x], "");
        [push(graph, LAYER_NORMALIZATION_GRADIENT, &[exp, outputs[0], outputs[2]], ""), exp]
    };
    for swapped in [false, true] {
        let file = graph(20, "f32[N,3,4]", |graph, x| {
            let [dx, around] = gradient(graph, x);
            let terms = if swapped { [around, dx] } else { [dx, around] };
            push(graph, "Add", &terms, "")
        });
        let graph = fused(&file);
        assert_eq!(operators(&graph), ["LayerNormalization", "Exp", LAYER_NORMALIZATION_GRADIENT]);
        assert_eq!(inputs(&graph, LAYER_NORMALIZATION_GRADIENT), [4]);
    }
    let read_twice = graph(20, "f32[N,3,4]", |graph, x| {
        let [dx, around] = gradient(graph, x);
        let sum = push(graph, "Add", &[dx, around], "");
        push(graph, "Mul", &[sum, dx], "")
    });
    assert_eq!(inputs(&fused(&read_twice), LAYER_NORMALIZATION_GRADIENT), [3]);
}
