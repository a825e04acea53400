//! Convolutions that our kernel computes, with what follows them.

use super::*;
use crate::graph::own_operators::WINOGRAD_CONV;
use crate::simplify::winograd::use_winograd;

/// Rewrites a typed copy, compares its results through ONNX Runtime, and returns it.
fn with_kernels(file: &Graph) -> Graph {
    let before = upgrade(file).unwrap();
    let mut graph = before.clone();
    crate::shape::infer(&mut graph).unwrap();
    use_winograd(&mut graph).unwrap();
    crate::shape::check(&graph).unwrap();
    // Sums of 144 products and more.
    assert_equal_results(&before, &graph, 1e-4);
    graph
}

/// A convolution with one row of zeros around, from 16 channels to 16.
fn convolution(graph: &mut Graph, x: ValueId) -> ValueId {
    let (weights, bias) = (constant(graph, "#[16,16,3,3]"), constant(graph, "#[16]"));
    let small = constant(graph, "#0.01");
    let y = push(graph, "Conv", &[x, weights, bias], "pads=[1,1,1,1]");
    push(graph, "Mul", &[y, small], "")
}

/// The same without anything behind it.
fn plain(graph: &mut Graph, x: ValueId) -> ValueId {
    let weights = constant(graph, "#[16,16,3,3]");
    push(graph, "Conv", &[x, weights], "pads=[1,1,1,1]")
}

fn count(graph: &Graph, op_type: &str) -> usize {
    operators(graph).iter().filter(|found| **found == op_type).count()
}

#[test]
fn a_residual_block_is_two_nodes_between_two_transposes() {
    let file = graph(13, "f32[N,16,7,9]", |graph, x| {
        let small = constant(graph, "#0.001");
        let x = push(graph, "Mul", &[x, small], "");
        let first = plain(graph, x);
        let first = push(graph, "Relu", &[first], "");
        let second = plain(graph, first);
        let sum = push(graph, "Add", &[x, second], "");
        push(graph, "Relu", &[sum], "")
    });
    let graph = with_kernels(&file);
    assert_eq!(operators(&graph), ["Mul", "Transpose", WINOGRAD_CONV, WINOGRAD_CONV]);
}

#[test]
fn zeros_around_may_be_none_one_or_two() {
    for attributes in
        ["", "pads=[0,0,0,0]", "pads=[1,1,1,1]", "pads=[2,2,2,2]", "auto_pad=VALID", "auto_pad=SAME_UPPER"]
    {
        let file = graph(13, "f32[N,16,9,6]", |graph, x| {
            let small = constant(graph, "#0.001");
            let x = push(graph, "Mul", &[x, small], "");
            let weights = constant(graph, "#[32,16,3,3]");
            let y = push(graph, "Conv", &[x, weights], attributes);
            push(graph, "Relu", &[y], "")
        });
        let found = with_kernels(&file);
        assert_eq!(operators(&found), ["Mul", WINOGRAD_CONV], "{attributes}");
    }
}

#[test]
fn the_mask_of_a_relu_is_taken_in() {
    let file = graph(13, "f32[N,16,8,8]", |graph, x| {
        let small = constant(graph, "#0.01");
        let x = push(graph, "Mul", &[x, small], "");
        let y = plain(graph, x);
        let mask = push(graph, "HardSigmoid", &[x], &format!("alpha={} beta=0.0", f32::MAX));
        push(graph, "Mul", &[y, mask], "")
    });
    let graph = with_kernels(&file);
    assert_eq!(operators(&graph), ["Mul", "Transpose", WINOGRAD_CONV]);
}

#[test]
fn what_others_read_stays() {
    let file = graph(13, "f32[N,16,8,8]", |graph, x| {
        let small = constant(graph, "#0.01");
        let x = push(graph, "Mul", &[x, small], "");
        let y = plain(graph, x);
        let positive = push(graph, "Relu", &[y], "");
        push(graph, "Sub", &[positive, y], "")
    });
    let graph = with_kernels(&file);
    assert_eq!((count(&graph, WINOGRAD_CONV), count(&graph, "Relu")), (1, 1));
}

#[test]
fn other_convolutions_stay() {
    for (name, input, weights, attributes) in [
        ("stride", "f32[N,16,8,8]", "#[16,16,3,3]", "pads=[1,1,1,1] strides=[2,2]"),
        ("zeros on one side", "f32[N,16,8,8]", "#[16,16,3,3]", "pads=[1,1,1,0]"),
        ("three zeros", "f32[N,16,8,8]", "#[16,16,3,3]", "pads=[3,3,3,3]"),
        ("few pixels of the result", "f32[N,16,5,8]", "#[16,16,3,3]", ""),
        ("groups", "f32[N,16,8,8]", "#[16,8,3,3]", "pads=[1,1,1,1] group=2"),
        ("distance", "f32[N,16,8,8]", "#[16,16,3,3]", "pads=[1,1,1,1] dilations=[2,2]"),
        ("channels", "f32[N,12,8,8]", "#[16,12,3,3]", "pads=[1,1,1,1]"),
        ("many channels", "f32[N,272,4,4]", "#[256,272,3,3]", "pads=[1,1,1,1]"),
        ("few pixels", "f32[N,16,3,8]", "#[16,16,3,3]", "pads=[1,1,1,1]"),
        ("window", "f32[N,16,8,8]", "#[16,16,1,1]", ""),
    ] {
        let file = graph(13, input, |graph, x| {
            let small = constant(graph, "#0.001");
            let x = push(graph, "Mul", &[x, small], "");
            let weights = constant(graph, weights);
            push(graph, "Conv", &[x, weights], attributes)
        });
        assert_eq!(count(&with_kernels(&file), WINOGRAD_CONV), 0, "{name}");
    }
}

#[test]
fn a_result_that_is_scaled_is_scaled_afterwards() {
    let file = graph(13, "f32[N,16,4,4]", |graph, x| {
        let small = constant(graph, "#0.01");
        let x = push(graph, "Mul", &[x, small], "");
        convolution(graph, x)
    });
    let graph = with_kernels(&file);
    assert_eq!((count(&graph, WINOGRAD_CONV), count(&graph, "Mul")), (1, 2));
}
