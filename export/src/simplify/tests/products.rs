//! Products that our kernels compute, most of them in bfloat16. The weights of these graphs are exact in it.

use super::*;
use crate::graph::own_operators::{GELU, MATMUL_BFLOAT16, PRODUCT, PRODUCT_BFLOAT16};
use crate::simplify::fuse::fuse;
use crate::simplify::products::{Factors, use_products};
use crate::tensor::{DataType, Tensor};

/// Inputs of magnitude 1 are off by a part of 512 at most, and here some dozens of them meet weights of 2 at most.
const TOLERANCE: f32 = 0.03;

/// Rewrites a typed copy, compares its results through ONNX Runtime, and returns it.
fn rounded(file: &Graph) -> Graph {
    rewritten(file, Factors::Bfloat16, TOLERANCE)
}

/// As [`rounded`], for factors of either kind.
fn rewritten(file: &Graph, factors: Factors, tolerance: f32) -> Graph {
    let before = upgrade(file).unwrap();
    let mut graph = before.clone();
    crate::shape::infer(&mut graph).unwrap();
    use_products(&mut graph, factors);
    crate::shape::check(&graph).unwrap();
    assert_equal_results(&before, &graph, tolerance);
    graph
}

#[test]
fn large_products_by_constant_matrices_are_ours_in_32_bits_too() {
    let narrow = graph(13, "f32[N,5,96]", |graph, x| {
        let (weights, few) = (constant(graph, "#[96,100]"), constant(graph, "#[100,95]"));
        let small = constant(graph, "#0.001");
        let product = push(graph, "MatMul", &[x, weights], "");
        let product = push(graph, "Mul", &[product, small], "");
        push(graph, "MatMul", &[product, few], "")
    });
    assert_eq!(operators(&rewritten(&narrow, Factors::Float32, 1e-4)), [PRODUCT, "Mul", "MatMul"]);
    let rows = graph(13, "f32[N,96]", |graph, x| {
        let (weights, bias) = (constant(graph, "#[130,96]"), constant(graph, "#[130]"));
        let small = constant(graph, "#0.0001");
        let other = push(graph, "Transpose", &[x], "perm=[1,0]");
        let square = push(graph, "MatMul", &[other, x], "");
        let activations = push(graph, "MatMul", &[x, square], "");
        let layer = push(graph, "Gemm", &[activations, weights, bias], "transB=1");
        push(graph, "Mul", &[layer, small], "")
    });
    let found = rewritten(&rows, Factors::Float32, 1e-3);
    assert_eq!(operators(&found), ["Transpose", "MatMul", "MatMul", PRODUCT, "Mul"]);
}

#[test]
fn a_product_takes_in_the_factor_that_only_it_meets() {
    let large = |read_twice: bool| {
        graph(13, "f32[N,96]", |graph, x| {
            let (first, second) = (constant(graph, "#[96,100]"), constant(graph, "#[96,100]"));
            let (bias, small) = (constant(graph, "#[100]"), constant(graph, "#0.0001"));
            let product = push(graph, "Gemm", &[x, first, bias], "");
            let gate = push(graph, "MatMul", &[x, second], "");
            let gate = push(graph, "Sigmoid", &[gate], "");
            let mut result = push(graph, "Mul", &[gate, product], "");
            if read_twice {
                result = push(graph, "Add", &[result, product], "");
            }
            push(graph, "Mul", &[result, small], "")
        })
    };
    for (factors, ours) in [(Factors::Float32, PRODUCT), (Factors::Bfloat16, PRODUCT_BFLOAT16)] {
        let found = rewritten(&large(false), factors, TOLERANCE);
        assert_eq!(operators(&found), [ours, "Sigmoid", ours, "Mul"], "{factors:?}");
        let found = rewritten(&large(true), factors, TOLERANCE);
        assert_eq!(operators(&found), [ours, ours, "Sigmoid", "Mul", "Add", "Mul"], "{factors:?}");
    }
}

#[test]
fn a_product_takes_in_one_factor_only() {
    let file = graph(13, "f32[N,96]", |graph, x| {
        let (first, second) = (constant(graph, "#[96,100]"), constant(graph, "#[96,100]"));
        let small = constant(graph, "#0.01");
        let halved = push(graph, "Mul", &[x, small], "");
        let product = push(graph, "MatMul", &[halved, first], "");
        let gate = push(graph, "MatMul", &[halved, second], "");
        let once = push(graph, "Mul", &[product, gate], "");
        push(graph, "Mul", &[once, gate], "")
    });
    let found = rewritten(&file, Factors::Float32, 1e-3);
    assert_eq!(operators(&found), ["Mul", PRODUCT, PRODUCT, "Mul"]);
}

#[test]
fn products_of_tokens_and_of_rows_are_ours() {
    let file = graph(13, "f32[N,5,24]", |graph, x| {
        let weights = constant(graph, "#[24,40]");
        push(graph, "MatMul", &[x, weights], "")
    });
    assert_eq!(operators(&rounded(&file)), [PRODUCT_BFLOAT16]);
    for (weights, bias, attributes) in
        [("#[24,40]", Some("#[40]"), ""), ("#[33,24]", Some("#[33]"), "transB=1"), ("#[24,16]", None, "")]
    {
        let file = graph(13, "f32[N,24]", |graph, x| {
            let weights = constant(graph, weights);
            let inputs = [Some(weights), bias.map(|bias| constant(graph, bias))].into_iter().flatten();
            let inputs: Vec<ValueId> = [x].into_iter().chain(inputs).collect();
            push(graph, "Gemm", &inputs, attributes)
        });
        assert_eq!(operators(&rounded(&file)), [PRODUCT_BFLOAT16], "{weights}");
    }
}

#[test]
fn weights_that_two_products_read_are_rounded_once_for_each_way_round() {
    let file = graph(13, "f32[N,32]", |graph, x| {
        let weights = constant(graph, "#[32,32]");
        let small = constant(graph, "#0.00390625");
        let first = push(graph, "Gemm", &[x, weights], "");
        let second = push(graph, "Gemm", &[x, weights], "");
        let back = push(graph, "Gemm", &[x, weights], "transB=1");
        let sum = push(graph, "Add", &[first, second], "");
        let sum = push(graph, "Add", &[sum, back], "");
        push(graph, "Mul", &[sum, small], "")
    });
    let graph = rounded(&file);
    assert_eq!(operators(&graph).iter().filter(|found| **found == PRODUCT_BFLOAT16).count(), 3);
    let panels = graph.constants().filter(|(_, tensor)| tensor.dims() == [2, 16, 16]);
    assert_eq!(panels.count(), 2);
}

#[test]
fn a_gelu_keeps_the_bias_that_it_took() {
    let file = graph(20, "f32[N,24]", |graph, x| {
        let (weights, bias) = (constant(graph, "#[24,16]"), constant(graph, "#[16]"));
        let product = push(graph, "Gemm", &[x, weights, bias], "");
        push(graph, "Gelu", &[product], "")
    });
    let before = upgrade(&file).unwrap();
    let mut graph = before.clone();
    fuse(&mut graph);
    use_products(&mut graph, Factors::Bfloat16);
    assert_eq!(operators(&graph), [PRODUCT_BFLOAT16, GELU]);
    assert_equal_results(&before, &graph, TOLERANCE);
}

#[test]
fn other_products_stay() {
    for (name, input, operator, weights, attributes) in [
        ("few columns", "f32[N,24]", "Gemm", "#[24,10]", ""),
        ("few products", "f32[N,8]", "MatMul", "#[8,32]", ""),
        ("a scale", "f32[N,24]", "Gemm", "#[24,32]", "alpha=0.5"),
        ("columns of the batch", "f32[32,N]", "Gemm", "#[32,24]", "transA=1"),
        ("a matrix for each image", "f32[N,2,3,24]", "MatMul", "#[2,24,32]", ""),
        ("a vector", "f32[N,24]", "MatMul", "#[24]", ""),
    ] {
        let file = graph(13, input, |graph, x| {
            let weights = constant(graph, weights);
            push(graph, operator, &[x, weights], attributes)
        });
        assert_eq!(operators(&rounded(&file)), [operator], "{name}");
    }
    for bias in ["#[1,32]", "#[1]"] {
        let file = graph(13, "f32[N,24]", |graph, x| {
            let (weights, bias) = (constant(graph, "#[24,32]"), constant(graph, bias));
            push(graph, "Gemm", &[x, weights, bias], "")
        });
        assert_eq!(operators(&rounded(&file)), ["Gemm"], "{bias}");
    }
}

#[test]
fn products_of_two_activations_take_in_the_transposes_of_their_last_axes() {
    for (axes, wanted) in
        [("perm=[0,2,1]", &[MATMUL_BFLOAT16][..]), ("perm=[0,1,2]", &["Transpose", MATMUL_BFLOAT16])]
    {
        for is_left in [false, true] {
            let file = graph(13, "f32[N,20,20]", |graph, x| {
                let other = push(graph, "Transpose", &[x], axes);
                push(graph, "MatMul", &if is_left { [other, x] } else { [x, other] }, "")
            });
            assert_eq!(operators(&rounded(&file)), wanted, "{axes}");
        }
    }
    let both = graph(13, "f32[N,2,18,20]", |graph, x| {
        let other = push(graph, "Transpose", &[x], "perm=[0,1,3,2]");
        let square = push(graph, "MatMul", &[other, x], "");
        let small = constant(graph, "#0.0625");
        let product = push(graph, "MatMul", &[square, other], "");
        push(graph, "Mul", &[product, small], "")
    });
    assert_eq!(operators(&rounded(&both)), [MATMUL_BFLOAT16, MATMUL_BFLOAT16, "Mul"]);
}

#[test]
fn small_and_shared_matrices_of_activations_stay() {
    let narrow = graph(13, "f32[N,8,20]", |graph, x| {
        let other = push(graph, "Transpose", &[x], "perm=[0,2,1]");
        push(graph, "MatMul", &[x, other], "")
    });
    assert_eq!(operators(&rounded(&narrow)), ["Transpose", "MatMul"]);
    let of_all_images = graph(13, "f32[N,20]", |graph, x| {
        let other = push(graph, "Transpose", &[x], "perm=[1,0]");
        push(graph, "MatMul", &[other, x], "")
    });
    assert_eq!(operators(&rounded(&of_all_images)), ["Transpose", "MatMul"]);
}

#[test]
fn products_in_64_bits_stay() {
    let file = graph(13, "f64[N,24]", |graph, x| {
        let weights = graph.add_constant("weights", Tensor::from_f64(&[24, 32], &[0.1; 24 * 32]));
        push(graph, "MatMul", &[x, weights], "")
    });
    let mut graph = file.clone();
    crate::shape::infer(&mut graph).unwrap();
    use_products(&mut graph, Factors::Bfloat16);
    assert_eq!(operators(&graph), ["MatMul"]);
    assert_eq!(graph.tensor_type(graph.outputs()[0]).unwrap().dtype, DataType::Float64);
}
