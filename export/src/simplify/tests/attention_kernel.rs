//! Attention by our kernel, from every form in which exporters write it.

use super::*;
use crate::graph::own_operators::ATTENTION;
use crate::simplify::simplify_for_kernels;

/// Simplifies a copy for our kernels, compares its results through ONNX Runtime, and returns it.
fn with_kernels(file: &Graph) -> Graph {
    let mut graph = upgrade(file).unwrap();
    simplify_for_kernels(&mut graph).unwrap();
    assert_equal_results(file, &graph, ATTENTION_TOLERANCE);
    graph
}

#[test]
fn attention_is_one_layer_and_one_node() {
    for projections in [Projections::Apart, Projections::Joint] {
        let file = graph(14, "f32[N,5,8]", |graph, x| {
            let [_, averages] = shares_and_averages(graph, x, projections);
            linear(graph, averages, "#[8,3]", "#[3]")
        });
        let simple = with_kernels(&file);
        assert_eq!(operators(&simple), ["Reshape", "Gemm", ATTENTION, "Gemm", "Reshape"], "{projections:?}");
    }
}

#[test]
fn tokens_of_their_own_are_no_packed_ones() {
    let file = graph(14, "f32[N,5,8]", |graph, x| shares_and_averages(graph, x, Projections::OtherQuery)[1]);
    let simple = with_kernels(&file);
    assert_eq!(shapes_of(&simple, "Gemm"), ["[5N, 8]", "[5N, 16]"]);
    assert_eq!(shapes_of(&simple, ATTENTION), ["[5N, 8]"]);
}

#[test]
fn one_token_asks_all() {
    let file = graph(17, "f32[N,5,8]", |graph, x| {
        let [_, averages] = shares_and_averages(graph, x, Projections::Joint);
        let tokens = linear(graph, averages, "#[8,8]", "#[8]");
        let tokens = push(graph, "Add", &[x, tokens], "");
        token(graph, tokens, "=3")
    });
    let simple = with_kernels(&file);
    assert_eq!(shapes_of(&simple, ATTENTION), ["[N, 8]"]);
}

#[test]
fn attention_whose_shares_others_read_has_no_kernel() {
    let file = graph(14, "f32[N,5,8]", |graph, x| {
        let [shares, averages] = shares_and_averages(graph, x, Projections::Apart);
        graph.add_output(shares);
        averages
    });
    assert!(!operators(&with_kernels(&file)).contains(&ATTENTION));
}

#[test]
fn many_tokens_are_left_to_the_engine() {
    let file = graph(14, "f32[N,300,8]", |graph, x| {
        let heads = constant(graph, "=[0,300,2,4]");
        let [query, key, value] = ["perm=[0,2,1,3]", "perm=[0,2,3,1]", "perm=[0,2,1,3]"].map(|perm| {
            let projected = linear(graph, x, "#[8,8]", "#[8]");
            let small = constant(graph, "#0.05");
            let projected = push(graph, "Mul", &[projected, small], "");
            let heads = push(graph, "Reshape", &[projected, heads], "");
            push(graph, "Transpose", &[heads], perm)
        });
        let scores = push(graph, "MatMul", &[query, key], "");
        let shares = push(graph, "Softmax", &[scores], "axis=-1");
        let mixed = push(graph, "MatMul", &[shares, value], "");
        let tokens = push(graph, "Transpose", &[mixed], "perm=[0,2,1,3]");
        let target = constant(graph, "=[0,300,8]");
        push(graph, "Reshape", &[tokens, target], "")
    });
    let simple = with_kernels(&file);
    assert!(operators(&simple).contains(&"Softmax") && !operators(&simple).contains(&ATTENTION));
}
