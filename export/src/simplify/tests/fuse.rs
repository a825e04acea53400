//! Operators that have kernels take the place of standard ones, and the numbers stay.

use super::*;
use crate::graph::own_operators::{GELU, GELU_GRADIENT, SOFTMAX};
use crate::simplify::fuse::fuse;

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
