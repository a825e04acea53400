//! Networks with the batch last: what they become, and that the numbers stay.

use super::*;
use crate::autodiff::{Kernels, differentiate};
use crate::graph::own_operators::CONVOLUTION_BATCH_LAST;
use crate::graph::{Graph, ValueId};
use crate::onnx::{SharedWeights, write_prepared};
use crate::simplify::factor_out_common;
use crate::testing::{add, push, run};
use mimir_bundle::{Loss, tensor_names};

fn constant(graph: &mut Graph, text: &str) -> ValueId {
    add(graph, text).unwrap()
}

fn operators(graph: &Graph) -> Vec<&str> {
    graph.nodes().iter().map(|node| node.op_type.as_str()).collect()
}

fn convolution(graph: &mut Graph, x: ValueId, weights: &str, bias: &str, attributes: &str) -> ValueId {
    let inputs = [x, constant(graph, weights), constant(graph, bias)];
    push(graph, "Conv", &inputs, attributes)
}

/// A residual network of strided and plain convolutions, `f32[N, 3, 16, 16] → logits [N, 5]`.
fn residual_network(input: &str) -> Graph {
    let mut graph = Graph::new("test", 20);
    let images = add(&mut graph, input).unwrap();
    let stem = convolution(&mut graph, images, "#[8,3,3,3]", "#[8]", "strides=[2,2] pads=[1,1,1,1]");
    let stem = push(&mut graph, "Relu", &[stem], "");
    let body = convolution(&mut graph, stem, "#[32,8,3,3]", "#[32]", "strides=[2,2] pads=[1,1,1,1]");
    let body = push(&mut graph, "Relu", &[body], "");
    let body = convolution(&mut graph, body, "#[32,32,3,3]", "#[32]", "pads=[1,1,1,1]");
    let shortcut = convolution(&mut graph, stem, "#[32,8,1,1]", "#[32]", "strides=[2,2]");
    let sum = push(&mut graph, "Add", &[body, shortcut], "");
    let block = push(&mut graph, "Relu", &[sum], "");
    let flat = push(&mut graph, "Flatten", &[block], "");
    let (weights, bias) = (constant(&mut graph, "#[5,512]"), constant(&mut graph, "#[5]"));
    let logits = push(&mut graph, "Gemm", &[flat, weights, bias], "transB=1");
    graph.rename(logits, tensor_names::LOGITS).unwrap();
    finished(graph, logits)
}

/// The graph with its output and its types.
fn finished(mut graph: Graph, output: ValueId) -> Graph {
    graph.add_output(output);
    crate::shape::infer(&mut graph).unwrap();
    graph
}

/// The turned graph, whose results are those of the graph for batches that fill registers and that do not.
fn turned(graph: &Graph) -> Graph {
    let mut turned = graph.clone();
    assert!(turn(&mut turned));
    crate::shape::check(&turned).unwrap();
    for batch in [1, 3, 16, 17] {
        for ((_, wanted), (_, found)) in run(graph, batch).into_iter().zip(run(&turned, batch)) {
            assert_eq!(wanted.len(), found.len());
            let largest = wanted.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let error = wanted.iter().zip(&found).fold(0.0_f32, |error, (a, b)| error.max((a - b).abs()));
            assert!(error <= 1e-5 * largest, "batch {batch}: {error} beside {largest}");
        }
    }
    turned
}

#[test]
fn a_network_is_turned_once_and_its_layers_do_what_follows_them() {
    let graph = turned(&residual_network("f32[N,3,16,16]"));
    let layers = [CONVOLUTION_BATCH_LAST; 5];
    assert_eq!(operators(&graph), [&["Reshape", "Transpose"][..], &layers, &["Transpose"]].concat());
    // Whoever runs it knows how many images fill a register.
    let lanes = |graph| write_prepared(graph, &mut SharedWeights::default()).unwrap().lanes;
    assert_eq!((lanes(&graph), lanes(&residual_network("f32[N,3,16,16]"))), (16, 1));
}

#[test]
fn a_gradient_is_turned_with_its_network() {
    let mut gradient =
        differentiate(&residual_network("f32[N,3,16,16]"), Loss::Margin, Kernels::Mimir).unwrap();
    factor_out_common(&mut gradient);
    let graph = turned(&gradient);
    let count = |name: &str| operators(&graph).into_iter().filter(|operator| *operator == name).count();
    assert_eq!(count(CONVOLUTION_BATCH_LAST), 10);
    for absorbed in ["Conv", "ConvTranspose", "Gemm", "Relu", "HardSigmoid", "Flatten"] {
        assert_eq!(count(absorbed), 0, "{absorbed}");
    }
    let takes_gate = |node: &&crate::graph::Node| node.inputs.len() == 5;
    assert_eq!(graph.nodes().iter().filter(takes_gate).count(), 3);
}

#[test]
fn what_the_kernel_lacks_leaves_the_graph_alone() {
    let left_alone = |name: &str, mut graph: Graph| {
        let before = graph.to_string();
        assert!(!turn(&mut graph), "{name}");
        assert_eq!(graph.to_string(), before, "{name}");
    };
    let network = |input: &str, build: &dyn Fn(&mut Graph, ValueId) -> ValueId| {
        let mut graph = Graph::new("test", 20);
        let images = add(&mut graph, input).unwrap();
        let output = build(&mut graph, images);
        finished(graph, output)
    };
    left_alone("few images", residual_network("f32[2,3,16,16]"));
    left_alone(
        "large activations",
        network("f32[N,3,64,64]", &|graph, x| {
            convolution(graph, x, "#[16,3,3,3]", "#[16]", "pads=[1,1,1,1]")
        }),
    );
    left_alone(
        "groups",
        network("f32[N,4,8,8]", &|graph, x| convolution(graph, x, "#[4,1,3,3]", "#[4]", "group=4")),
    );
    left_alone(
        "padding that an output shape decides",
        network("f32[N,16,8,8]", &|graph, mut x| {
            for _ in 0..4 {
                x = convolution(graph, x, "#[16,16,3,3]", "#[16]", "pads=[1,1,1,1]");
            }
            let weights = constant(graph, "#[16,4,3,3]");
            push(graph, "ConvTranspose", &[x, weights], "strides=[2,2] output_shape=[16,16]")
        }),
    );
    left_alone("one axis", network("f32[N,4,8]", &|graph, x| convolution(graph, x, "#[4,4,3]", "#[4]", "")));
    left_alone(
        "weights that are computed",
        network("f32[N,4,8,8]", &|graph, x| {
            let weights = constant(graph, "#[4,4,3,3]");
            let weights = push(graph, "Tanh", &[weights], "");
            push(graph, "Conv", &[x, weights], "")
        }),
    );
    left_alone("no convolution", network("f32[N,4,8,8]", &|graph, x| push(graph, "Relu", &[x], "")));
    left_alone(
        "more to turn than to save",
        network("f32[N,1,8,8]", &|graph, x| convolution(graph, x, "#[1,1,1,1]", "#[1]", "")),
    );
}

#[test]
fn nodes_between_the_layers_stay_what_they_are() {
    let mut graph = Graph::new("test", 20);
    let images = add(&mut graph, "f32[N,3,8,8]").unwrap();
    let x = convolution(&mut graph, images, "#[16,3,3,3]", "#[16]", "pads=[1,1,1,1]");
    let half = constant(&mut graph, "#[1,1,1,1]");
    let x = push(&mut graph, "Mul", &[x, half], "");
    let x = push(&mut graph, "Tanh", &[x], "");
    let x = convolution(&mut graph, x, "#[16,16,3,3]", "#[16]", "pads=[1,1,1,1]");
    // A mean over pixels needs them in their own order.
    let x = push(&mut graph, "GlobalAveragePool", &[x], "");
    let graph = turned(&finished(graph, x));
    let between = ["Mul", "Tanh"];
    let layer = [CONVOLUTION_BATCH_LAST];
    let end = ["Transpose", "Reshape", "GlobalAveragePool"];
    assert_eq!(operators(&graph), [&["Reshape", "Transpose"][..], &layer, &between, &layer, &end].concat());
}

#[test]
fn a_result_that_is_read_twice_is_not_absorbed() {
    let mut graph = Graph::new("test", 20);
    let images = add(&mut graph, "f32[N,3,8,8]").unwrap();
    let x = convolution(&mut graph, images, "#[16,3,3,3]", "#[16]", "pads=[1,1,1,1]");
    let relu = push(&mut graph, "Relu", &[x], "");
    let y = convolution(&mut graph, relu, "#[16,16,3,3]", "#[16]", "pads=[1,1,1,1]");
    let sum = push(&mut graph, "Add", &[y, x], "");
    let doubled = push(&mut graph, "Add", &[sum, sum], "");
    let graph = turned(&finished(graph, doubled));
    let layer = [CONVOLUTION_BATCH_LAST];
    let end = ["Add", "Transpose", "Reshape"];
    assert_eq!(operators(&graph), [&["Reshape", "Transpose"][..], &layer, &["Relu"], &layer, &end].concat());
}
